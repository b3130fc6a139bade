"""Texts with and without secrets for every rule.

Secrets are concatenated here, so that secret scanners of this repository don't report them.
"""

from __future__ import annotations

import base64
import json
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_deploy.source.files.secrets import secret_rule_of_name
from mosaic_deploy.source.secrets import rules
from mosaic_deploy.source.secrets.kinds import KNOWN_MAKER, MAX_SCANNED_SIZE, SECRET_KINDS, SecretFinding
from mosaic_deploy.source.secrets.known_makers import maker_rules
from mosaic_deploy.source.secrets.rules import RULES, scan_for_secrets

RANDOM = "q7Zx8Kq2Lw9Rt4Yv7Bn3Mc6Pd1Fs5Gh0JkUeWaTiOo2S"
KEY = "mk_" + RANDOM[:43]
BASE64 = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
BEGIN = "-----BEGIN {}PRIVATE KEY-----"
END = "-----END PRIVATE KEY-----"
AWS = "AKI" + "AQ7XK2LWRT4YVBN3M"


def _part(value: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _token(claims: dict[str, object], algorithm: str = "HS256") -> str:
    return f"{_part({'alg': algorithm, 'typ': 'JWT'})}.{_part(claims)}.{RANDOM[:43]}"


BAD = {
    "jwt": [
        _token({"sub": "42", "exp": 2000000000}),
        "Authorization: Bearer " + _token({"role": "service_role", "iss": "supabase"}),
    ],
    "mosaic_key": [
        KEY,
        f'headers: {{"X-API-Key": "{KEY}"}}',
        f"MOSAIC_API_KEY={KEY}\n",
        "mk_" + "9f86d081884c7d659a2feaa0c55ad015",
        "mk_live_" + RANDOM[:24],
        "mk_" + "Ab3-" * 3 + "x9Kq2Lw9Rt4Yv7",
    ],
    "database_url": [
        "postgres://app:" + "s3cr3t-Pa55" + "@db.prod.internal/app",
        "postgresql://tenant_pod_16f:" + "hT9pQ2" + "@db.mosaic.site:5432/tenant_pod_16f",
        'DATABASE_URL="postgresql+asyncpg://u:' + "hT9%2FpQ2" + '@10.0.0.5/x?sslmode=require"',
        "POSTGRES://u:" + "hT9pQ2xx" + "@localhost/db",
        "mysql://root:" + "toor99" + "@db:3306",
        "mongodb+srv://admin:" + "Gk3vQ9" + "@cluster0.ab1cd.mongodb.net/",
        "redis://:" + "kd83jdla" + "@cache:6379/0",
        "amqps://u:" + "kd83jdla" + "@mq",
    ],
    "private_key": [
        f"{BEGIN.format('')}\n{BASE64}\n{BASE64}\n{END}",
        f"{BEGIN.format('RSA ')}\r\n{BASE64}\r\n{END}",
        f'"private_key": "{BEGIN.format("")}\\n{BASE64}\\n{END}\\n"',
        f"{BEGIN.format('RSA ')}\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,AB12\n\n{BASE64}\n{END}",
        f"    {BEGIN.format('EC ')}\n    {BASE64}\n",
        f"{BEGIN.format('OPENSSH ')}\n{BASE64}\n",
        "-----BEGIN PGP " + f"PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\n\n{BASE64}\n",
    ],
    "aws_key": [AWS, f"aws_access_key_id = {AWS}\n", f'"{"ASIA" + AWS[4:]}"'],
    "github_token": ["ghp_" + RANDOM[:36], "token: gho_" + RANDOM[:36], "github_pat_" + RANDOM[:22] + "_" + (RANDOM * 2)[:59]],
    "slack_token": [
        "xoxb-" + "730195826413-902847561320-" + RANDOM[:24],
        "https://hooks.slack.com/services/" + "T0AB3CD5E/B0FG7HJ9K/" + RANDOM[:24],
    ],
    "stripe_key": ["sk_live_" + RANDOM[:24], "rk_live_" + RANDOM[:40]],
    "google_key": ['"private_key_id": "' + "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b" + '"'],
    "ai_key": [
        "sk-proj-" + RANDOM[:24] + "T3Blbk" + "FJ" + RANDOM[:24],
        "sk-" + RANDOM[:20] + "T3Blbk" + "FJ" + RANDOM[:20],
        "sk-ant-" + "api03-" + (RANDOM * 3)[:95],
    ],
}  # fmt: skip
GOOD = [
    "",
    _token({"role": "anon", "iss": "supabase"}),
    _token({"sub": "42"}, "none"),
    _token({"sub": "1234567890", "name": "John Doe"}),
    f"eyJhbGciOi.eyJzdWIiOi.{RANDOM}",
    "glpat-xxxxxxxxxxxxxxxxxxxx",
    "npm_config_registry_and_other_variable_names_of_it",
    "mk_…",
    "mk_xxxxx",
    "mk_your_key_here",
    "mk_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "mk_0123456789abcdef0123456789abcdef",
    "mk_create_element_from_template_v2",
    "mk_" + "a" * 40,
    "MOSAIC_API_KEY=mk_replace_me_with_your_own_key_1234567",
    "var mk_k8s_u32_to_i64_and_back_again=1",
    f"xmk_{RANDOM[:40]}",
    "postgres://user:password@localhost/db",
    "postgres://user:pass@host:5432/db",
    "postgresql://postgres:postgres@localhost:5432/postgres",
    "postgres://app:app@db/app",
    "postgres://user:secret@db.internal/app",
    "postgres://user:Tr0ub4dor@db.example.com/app",
    "postgres://user:Tr0ub4dor@example.org",
    "postgres://user:<password>@db.prod/app",
    "postgres://user:[YOUR-PASSWORD]@db.prod/app",
    "postgres://${USER}:${PASSWORD}@${HOST}/app",
    "postgres://$USER:$PASSWORD@$HOST/app",
    "postgres://{user}:{password}@{host}/app",
    "postgres://%s:%s@%s/app",
    "postgres://user:***@db.prod/app",
    "postgres://user:…@db.prod/app",
    "postgres://user:xxxxxxxx@db.prod/app",
    "postgres://user@db.prod/app",
    "postgres://db.prod:5432/app",
    '"postgres://" + user + ":" + pass + "@" + host',
    "https://user:hT9pQ2xx@db.prod/",
    "see postgres://docs and http://a:b@c",
    "git clone ssh://git:hT9pQ2xx@host",
    BEGIN.format("RSA "),
    f'if (text.startsWith("{BEGIN.format("")}")) parse()',
    f"{BEGIN.format('')}\n...\n{END}",
    f"{BEGIN.format('')}\nMIIEvQIBADANBg...\n{END}",
    f"{BEGIN.format('')}\n{'x' * 64}\n{END}",
    f"-----BEGIN PUBLIC KEY-----\n{BASE64}\n",
    f"-----BEGIN CERTIFICATE-----\n{BASE64}\n",
    "AKIAIOSFODNN7EXAMPLE",
    "AKIAXXXXXXXXXXXXXXXX",
    "AKIA",
    f"data:font/woff2;base64,d09GMgAB{AWS}AAAA",
    "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "ghp_short",
    "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
    "xoxb-your-token-here",
    f"sk_test_{RANDOM[:24]}",
    f"pk_live_{RANDOM[:24]}",
    "sk_live_your_secret_key_goes_here_now",
    '"private_key_id": "0000000000000000000000000000000000000000"',
    "AIza" + "SyA1B2C3D4E5F6G7H8I9J0K1L2M3N4O5P6Q",
    "sk-ant-api03-…",
    "risk-antagonist",
]  # fmt: skip


@pytest.mark.parametrize(("rule", "text"), [(rule, text) for rule, texts in BAD.items() for text in texts])
@pytest.mark.parametrize("around", ["{}", "let a = '{}';\n", "<p>{}</p>", "é\n\n\tx {} x"])
def test_bad(rule: str, text: str, around: str) -> None:
    content = around.format(text).encode()
    [finding] = scan_for_secrets(content)
    assert finding.rule == rule
    line = content.decode().split("\n")[finding.line - 1]
    assert finding.column >= len(around.partition("{")[0].rpartition("\n")[2]) + 1
    assert finding.column <= len(line)


@pytest.mark.parametrize("text", GOOD)
def test_good(text: str) -> None:
    assert scan_for_secrets(text.encode()) == ()
    assert scan_for_secrets(f"before '{text}' after\n".encode()) == ()


def test_every_rule_has_cases_and_a_name() -> None:
    assert {rule for rule, _ in RULES} == BAD.keys() == SECRET_KINDS.keys() - {"env_file", "key_store"}


def test_a_finding_has_line_and_column_but_not_the_secret() -> None:
    [finding] = scan_for_secrets(f"one\ntwo\nžluť {KEY}".encode())
    assert finding == SecretFinding("mosaic_key", 3, 6)
    assert finding.message == "looks like a Mosaic API key"


def test_only_the_first_findings_are_reported_in_order() -> None:
    text = "\n".join([KEY, AWS, KEY, AWS, KEY, AWS, KEY])
    assert [(f.rule, f.line) for f in scan_for_secrets(text.encode())] == [
        ("mosaic_key", 1),
        ("aws_key", 2),
        ("mosaic_key", 3),
        ("aws_key", 4),
        ("mosaic_key", 5),
    ]


def test_binary_and_large_files_are_not_scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    assert scan_for_secrets(b"\x89PNG\0" + KEY.encode()) == ()
    assert scan_for_secrets(KEY.encode() + b" " * 9000 + b"\0") != ()
    monkeypatch.setattr(rules, "MAX_SCANNED_SIZE", 100)
    assert scan_for_secrets(KEY.encode() + b" " * 100) == ()
    assert MAX_SCANNED_SIZE == 25 * 1024 * 1024


@pytest.mark.parametrize(
    "name", [".env", "a/.env", ".ENV", ".env.production", ".env.local", ".envrc", "prod.env"]
)
def test_env_files(name: str) -> None:
    assert secret_rule_of_name(name) == "env_file"


@pytest.mark.parametrize("name", ["a/server.p12", "client.PFX", "debug.keystore"])
def test_key_stores(name: str) -> None:
    assert secret_rule_of_name(name) == "key_store"


@pytest.mark.parametrize(
    "name", [".env.example", ".env.sample", "a/.env.template", "env.js", "environment", ".environment", "env"]
)
def test_other_files(name: str) -> None:
    assert secret_rule_of_name(name) is None


MAKER_KEYS = {
    "digitalocean-pat": "dop_v1_" + "9f86d081884c7d659a2feaa0c55ad015" * 2,
    "gitlab-pat": "glpat-" + RANDOM[:20],
    "npm-access-token": "npm_" + RANDOM[:36],
    "pypi-upload-token": "pypi-AgEIcHlwaS5vcmc" + RANDOM + RANDOM[:20],
    "sendgrid-api-token": "SG." + RANDOM[:22] + "." + RANDOM[:43],
    "huggingface-access-token": "hf_" + "qZxKqLwRtYvBnMcPdFsGhJkUeWaTiOoSyH",
    "databricks-api-token": "dapi" + "9f86d081884c7d659a2feaa0c55ad015",
    "hashicorp-tf-api-token": RANDOM[:14] + ".atlasv1." + (RANDOM * 2)[:64],
    "azure-ad-client-secret": "ab18Q~" + RANDOM[:34],
    "shopify-access-token": "shpat_" + "9f86d081884c7d659a2feaa0c55ad015",
    "1password-secret-key": "A3-ABC4EF-7H8JKLMNPQR-S2TUV-W3XYZ-4A5B6",
    "heroku-api-key-v2": "HRKU-AA" + (RANDOM * 2)[:58],
    "facebook-page-access-token": "EAAM" + (RANDOM.replace("_", "") * 3)[:110],
}


@pytest.mark.parametrize("name", MAKER_KEYS)
@pytest.mark.parametrize("around", ["{}", "key: {}\n", "<p>{}</p>", '{{"key": "{}"}}', "é\n{},"])
def test_keys_of_known_makers(name: str, around: str) -> None:
    [finding] = scan_for_secrets(around.format(MAKER_KEYS[name]).encode())
    assert finding.rule == f"{KNOWN_MAKER}{name}"
    assert MAKER_KEYS[name] not in finding.message


def test_the_rules_of_known_makers_can_match() -> None:
    for rule in maker_rules():
        assert re.compile(rule.pattern).groups <= 3
        assert all(word.decode().strip(string.printable) == "" and len(word) >= 2 for word in rule.keywords)
    assert len({rule.name for rule in maker_rules()}) == 75


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_other_encodings(encoding: str) -> None:
    [finding] = scan_for_secrets(f"one\ntwo {KEY}\n".encode(encoding))
    assert (finding.rule, finding.line) == ("mosaic_key", 2)
    if encoding != "utf-8-sig":
        assert finding.column == 5


@pytest.mark.parametrize(
    ("before", "after"),
    [("\0" + "a" * 200, ""), ("a" * 200 + "\0", "b"), (r'{"text": "one\n', '"}'), (r"'\t", "'"), (r"\r", "")],
)
def test_neither_a_nul_nor_an_escape_in_front_hides_a_key(before: str, after: str) -> None:
    assert [finding.rule for finding in scan_for_secrets(f"{before} {KEY} {after}".encode())] == [
        "mosaic_key"
    ]
    if "\\" in before:
        assert [one.rule for one in scan_for_secrets(f"{before}{KEY}{after}".encode())] == ["mosaic_key"]


@pytest.mark.parametrize("before", [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\0asm\1\0\0\0", b"\0\xff" * 9])
def test_binary_files_are_not_scanned(before: bytes) -> None:
    assert not scan_for_secrets(before + f" {KEY}".encode())


@given(
    st.binary(max_size=300),
    st.sampled_from([t for texts in BAD.values() for t in texts] + GOOD),
    st.binary(max_size=50),
)
def test_any_bytes_can_be_scanned(before: bytes, text: str, after: bytes) -> None:
    content = before + text.encode() + after
    for finding in scan_for_secrets(content):
        assert 1 <= finding.line <= content.count(b"\n") + 1 or content[:2] in (b"\xff\xfe", b"\xfe\xff")


@pytest.mark.parametrize(
    "piece",
    [
        b"-----BEGIN PRIVATE KEY-----",
        b"://a:b",
        b"://" + b"a" * 100 + b":",
        b"mk_",
        b"mk_a1",
        b"sk-",
        b"xoxb-1",
        b"a: b\n",
        b"-----BEGIN PRIVATE KEY-----\nA: b\n",
        b" \n",
        b".eyJ",
        b"eyJ",
        b".eyJ" + b"a" * 5000,
        b"glpat-",
        b"Q~",
        b"a.atlasv1.",
        b"fm1a_AAAA",
        b"sntrys_eyJpYXQiO",
        *(keyword for rule in maker_rules() for keyword in rule.keywords),
    ],
)
@pytest.mark.timeout(20)
def test_no_text_takes_long(piece: bytes) -> None:
    """A pattern that backtracks would take forever on a megabyte of its own prefix."""
    scan_for_secrets(b"-----BEGIN PRIVATE KEY-----" + piece * (1_000_000 // len(piece)) + b"T3BlbkFJ")


def test_example_secrets_are_not_marked_as_examples() -> None:
    for texts in BAD.values():
        assert not any(re.search(r"\bEXAMPLE\b", text) for text in texts)
