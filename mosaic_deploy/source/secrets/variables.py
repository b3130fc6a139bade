"""Variables that hold credentials, by their names, and values that must not become public."""

from __future__ import annotations

import re

_WORDS = frozenset(
    [
        "SECRET",
        "SECRETS",
        "TOKEN",
        "TOKENS",
        "PASSWORD",
        "PASSWORDS",
        "PASSWD",
        "PASSPHRASE",
        "PASS",
        "PWD",
        "PW",
        "PIN",
        "OTP",
        "SALT",
        "PRIVATE",
        "CREDENTIAL",
        "CREDENTIALS",
        "CREDS",
        "KEY",
        "APIKEY",
        "DSN",
        "PAT",
        "JWT",
        "COOKIE",
        "AUTH",
        "AUTHORIZATION",
        "BEARER",
        "SIGNATURE",
        "WEBHOOK",
        "PGPASSWORD",
        "PGPASSFILE",
    ]
)
"""Part of a name between underscores."""
_PREFIXES = ("ACTIONS_", "AWS_", "AZURE_", "VAULT_", "TF_VAR_")
_CONNECTIONS = re.compile(
    r"(?:\A|_)(?:DATABASE|DB|POSTGRES(?:QL)?|PG|MYSQL|MONGO(?:DB)?|REDIS|AMQP|RABBITMQ|SMTP|CONNECTION)"
    r"_?(?:URL|URI|STRING)\Z"
)
_ENDINGS = ("SECRET", "TOKEN", "PASSWORD", "PASSWD", "PASS", "PWD", "KEY", "CREDENTIALS", "PASSPHRASE")
"""Of a word, as in `DBPASSWORD`."""
_BEGINNINGS = ("SECRETKEY", "APIKEY")
_NOT_CREDENTIALS = frozenset({"PWD", "OLDPWD"})
_OTHER_WORDS = frozenset({"COMPASS", "BYPASS", "MONKEY", "DONKEY", "TURKEY", "HOCKEY", "WHISKEY", "JOCKEY"})
"""Words that end like a credential."""
_CANDIDATE = re.compile(r"[A-Za-z0-9_+/-]{20,}")
_MIN_DISTINCT = 12
_URL_PASSWORD = re.compile(r"[a-z]://[^/\s:@]*:[^/\s@]+@", re.IGNORECASE)


def is_credential_name(name: str) -> bool:
    """Whether a variable is named like a credential: `GITHUB_TOKEN`, `AWS_REGION`, `DATABASE_URL`, `dbPassword`."""
    # `apiKey` and `api-key` are two words, too.
    upper = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()
    if name.upper() in _NOT_CREDENTIALS:
        return False
    words = [word.rstrip("0123456789") for word in upper.split("_")]
    return (
        upper.startswith(_PREFIXES)
        or not _WORDS.isdisjoint(words)
        or any(
            word.endswith(_ENDINGS) or word.startswith(_BEGINNINGS)
            for word in words
            if word not in _OTHER_WORDS
        )
        or _CONNECTIONS.search(upper) is not None
    )


def secret_in(value: str) -> str | None:
    """What a value from a variable looks like that must not become public: the text after "looks like"."""
    # The patterns are slow to compile, and few manifests have a variable in a public field.
    from mosaic_deploy.source.secrets.rules import scan_for_secrets

    for finding in scan_for_secrets(value.encode()):
        return finding.message.removeprefix("looks like ")
    if _URL_PASSWORD.search(value):
        return "an address with a password"
    return "a generated password or key" if any(map(_is_generated, _CANDIDATE.findall(value))) else None


def _is_generated(text: str) -> bool:
    """Whether a text mixes upper case, lower case and digits as no name does. Digests and UUIDs don't."""
    kinds = (r"[A-Z]", r"[a-z]", r"[0-9]")
    return len(set(text)) >= _MIN_DISTINCT and all(len(re.findall(kind, text)) >= 2 for kind in kinds)
