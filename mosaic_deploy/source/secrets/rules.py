"""Rules that find possible secrets in a file's content: one function per rule. Findings never contain the secret.

The rules avoid false alarms: each requires the exact form of a real secret and skips the placeholders that documentation
uses. Keys of known makers are found by gitleaks' rules (`known_makers`). Secrets of other kinds aren't found.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import json
import re
from collections.abc import Callable, Iterator

from mosaic_deploy.source.secrets.kinds import KNOWN_MAKER, MAX_SCANNED_SIZE, SecretFinding
from mosaic_deploy.source.secrets.known_makers import find_maker_keys

_MAX_FINDINGS = 5
"""Maximum number of findings per file."""
_CHECKED_BYTES = 8192
_BYTE_ORDER_MARKS = (  # UTF-32's little-endian mark begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MOSTLY = 0.7
_FEW = 0.01
_CONTROL = re.compile(rb"[\x01-\x08\x0b\x0e-\x1a\x1c-\x1f]")


def scan_for_secrets(content: bytes) -> tuple[SecretFinding, ...]:
    """The first findings in a text, in order of position. Binary and large files aren't scanned."""
    text = _as_utf8(content) if len(content) <= MAX_SCANNED_SIZE else None
    if text is None:
        return ()
    found: dict[int, str] = {}
    for rule, offsets in RULES:
        found.update((offset, rule) for offset in offsets(text))
    for offset, rule in _maker_keys(text):
        found.setdefault(offset, rule)
    return tuple(_finding(text, offset, rule) for offset, rule in sorted(found.items())[:_MAX_FINDINGS])


def _maker_keys(text: bytes) -> Iterator[tuple[int, str]]:
    """Offset and rule of each key of a known maker."""
    for rule, found in find_maker_keys(text):
        start, token = found.start(found.lastindex or 0), found[found.lastindex or 0]
        if _looks_random(token) and _starts_token(text, start):
            yield start, f"{KNOWN_MAKER}{rule.name}"


def _as_utf8(content: bytes) -> bytes | None:
    """`content` in UTF-8; None if it is binary: it has NULs in its first bytes and isn't text otherwise."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return _converted(content, encoding)
    start = content[:_CHECKED_BYTES]
    if b"\0" not in start or _is_text_with_nul(start):
        return content
    encoding_without_mark = _utf16_without_mark(start)
    return _converted(content, encoding_without_mark) if encoding_without_mark else None


def _converted(content: bytes, encoding: str) -> bytes:
    return content.decode(encoding, "replace").encode("utf-8", "replace")


def _is_text_with_nul(start: bytes) -> bool:
    """Whether it is UTF-8 with a few NULs, as JavaScript may have in strings, and no other control characters."""
    rest = start.replace(b"\0", b"")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(rest)
    except UnicodeDecodeError:
        return False
    return len(start) - len(rest) <= len(start) * _FEW and not _CONTROL.search(rest)


def _utf16_without_mark(start: bytes) -> str | None:
    """The byte order of UTF-16 without a mark: in Western text nearly every second byte is NUL."""
    half = len(start) // 2
    even, odd = start[::2].count(0), start[1::2].count(0)
    if odd > half * _MOSTLY and not even:
        return "utf-16-le"
    return "utf-16-be" if even > half * _MOSTLY and not odd else None


def _finding(content: bytes, offset: int, rule: str) -> SecretFinding:
    start = content.rfind(b"\n", 0, offset) + 1
    line = content.count(b"\n", 0, start) + 1
    return SecretFinding(rule, line, len(content[start:offset].decode("utf-8", "replace")) + 1)


def _mosaic_key(content: bytes) -> Iterator[int]:
    """`mk_` and at least 20 characters, with a part that mixes letters and digits."""
    for found in _MOSAIC_KEY.finditer(content):
        pieces = re.split(rb"[_-]", found[1])
        mixed = any(len(p) >= 8 and _DIGIT.search(p) and _LETTER.search(p) for p in pieces)
        if (
            mixed
            and len(_DIGIT.findall(found[1])) >= 2
            and _looks_random(found[1])
            and _starts_token(content, found.start())
        ):
            yield found.start()


def _database_url(content: bytes) -> Iterator[int]:
    """A database URL with a password that isn't a placeholder, and a host that isn't an example."""
    for found in _DATABASE_URL.finditer(content):
        scheme = _DATABASE_SCHEME.search(content, max(0, found.start() - _LONGEST_SCHEME), found.start())
        if scheme and _real_password(*(part.lower() for part in found.groups())):
            yield scheme.start()


def _real_password(user: bytes, password: bytes, host: bytes) -> bool:
    plain = password in _PASSWORD_WORDS or password == user or _PLACEHOLDER.search(password)
    return not plain and len(set(password)) > 2 and not _EXAMPLE_HOST.fullmatch(host)


def _private_key(content: bytes) -> Iterator[int]:
    """A PEM header followed by key data. Documentation and parsers contain only the header."""
    for found in _PRIVATE_KEY.finditer(content):
        if len(set(found[1])) > 12:
            yield found.start()


def _aws_key(content: bytes) -> Iterator[int]:
    """The ID of an AWS key. It must not be surrounded by base64 characters, in which it can occur by chance."""
    for found in _AWS_KEY.finditer(content):
        alone = content[found.start() - 1 : found.start()] not in (b"/", b"+") and _starts_token(
            content, found.start()
        )
        if alone and not found[0].endswith(b"EXAMPLE") and len(set(found[0])) >= 8:
            yield found.start()


def _google_key(content: bytes) -> Iterator[int]:
    """The key file of a service account. `AIza…` keys are public by design and aren't reported."""
    return (found.start() for found in _GOOGLE_KEY.finditer(content) if len(set(found[1])) > 5)


def _stripe_key(content: bytes) -> Iterator[int]:
    """Secret and restricted keys. `pk_live_` keys are public by design and aren't reported."""
    for found in _STRIPE_KEY.finditer(content):
        start = found.start() - 1
        if (
            start >= 0
            and content[start] in b"rs"
            and _looks_random(found[0])
            and _starts_token(content, start)
        ):
            yield start


def _jwt(content: bytes) -> Iterator[int]:
    """A signed token. Those made for browsers aren't reported: without an algorithm, or with Supabase's role `anon`."""
    for found in _JWT_CLAIMS.finditer(content):
        start = _token_start(content, found.start())
        header, claims = _json_part(content[start : found.start()]), _json_part(found[1])
        if (
            header.get("alg", "none") not in ("none", None)
            and claims
            and claims.get("role") != "anon"
            and claims.get("sub") != "1234567890"  # the sample of jwt.io
        ):
            yield start


def _token_start(content: bytes, end: int) -> int:
    """Where the header of a JWT begins that ends at `end`."""
    start = end
    while start > 0 and end - start < _LONGEST_JWT_HEADER and content[start - 1] in _WORD:
        start -= 1
    return start


def _json_part(part: bytes) -> dict[str, object]:
    """A part of a JWT; empty if it isn't one."""
    try:
        value = json.loads(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _token_rule(*patterns: bytes) -> Callable[[bytes], Iterator[int]]:
    """A rule for tokens with a distinctive prefix; the rest only has to look random."""
    compiled = [re.compile(pattern) for pattern in patterns]

    def offsets(content: bytes) -> Iterator[int]:
        for pattern in compiled:
            for found in pattern.finditer(content):
                if _looks_random(found[0]) and _starts_token(content, found.start()):
                    yield found.start()

    return offsets


def _starts_token(content: bytes, start: int) -> bool:
    """Whether a token starts here, rather than in the middle of a word. An escape may be in front: `\\n` in JSON."""
    return (
        start == 0
        or content[start - 1] not in _WORD
        or (content[start - 2 : start - 1] == b"\\" and content[start - 1] in b"nrt")
    )


def _looks_random(token: bytes) -> bool:
    """Whether a token isn't a placeholder such as `xxxx…`, `your_key_here` or `1234567890`."""
    return len(set(token)) >= 10 and not _PLACEHOLDER.search(token.lower()) and not _RUN.search(token)


_DIGIT, _LETTER = re.compile(rb"[0-9]"), re.compile(rb"[A-Za-z]")
_RUN = re.compile(rb"(.)\1{5}|0123456|1234567|abcdefgh|ABCDEFGH")
_PLACEHOLDER = re.compile(
    rb"\*{2}|[<>{}\[\]]|^\$|\$\(|%s|%\(|\.{3}|\xe2\x80\xa6|x{4}|example|placeholder|change.?me|your|replace|redacted"
    rb"|dummy|insert|secret.?here"
)
"""Matches lower-case UTF-8; the three bytes are `…`."""
_PASSWORD_WORDS = frozenset(
    b"password passwd passphrase pass pwd pw secret postgres postgresql mysql root admin user username test "
    b"testing db database mypassword mysecretpassword my-secret-pw passw0rd p4ssw0rd hunter2 foobar foo bar baz token "
    b"1234 12345 123456".split()
)
_EXAMPLE_HOST = re.compile(
    rb"(?:.*\.)?example(?:\.(?:com|org|net))?|.*\.(?:invalid|test)|host(?:name)?|server|(?:db|database|your|my)[-_]?host"
    rb"(?:name)?|.*[<>{}$%\[\]*].*|\.{3}|\xe2\x80\xa6"
)
# Every pattern starts with a literal: such patterns are searched at 2 GB/s, others at 50 MB/s.
_WORD = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_MOSAIC_KEY = re.compile(rb"mk_([A-Za-z0-9_-]{20,128})(?![A-Za-z0-9_-])")
_DATABASE_URL = re.compile(
    rb"://([^\s:/@\"'`<>\\]{0,128}):([^\s/@\"'`\\]{1,256})@([^\s:/<\"'`?#,;)\\]{1,256})"
)
_DATABASE_SCHEME = re.compile(
    rb"(?:postgres(?:ql)?|mysql|mariadb|mongodb|rediss?|amqps?|mssql|sqlserver|cockroachdb|clickhouse)(?:\+[a-z0-9]{1,12})?\Z",
    re.IGNORECASE,
)
_LONGEST_SCHEME = 24
_PRIVATE_KEY = re.compile(
    rb"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:\s|\\[rn]){0,40}"
    rb"(?:[A-Za-z-]{1,40}: [^\r\n]{0,200}[\r\n]\s*){0,8}([A-Za-z0-9+/=]{60})"
)
"""With bounds, so that a long text with a header and no key takes little time."""
_JWT_CLAIMS = re.compile(rb"\.(eyJ[A-Za-z0-9_-]{2,8000}+)\.[A-Za-z0-9_-]{20}")
_LONGEST_JWT_HEADER = 2000
_AWS_KEY = re.compile(rb"A[KS]IA[A-Z2-7]{16}(?![A-Za-z0-9+/])")
_STRIPE_KEY = re.compile(rb"k_live_[A-Za-z0-9]{24,}")
_GOOGLE_KEY = re.compile(rb'"private_key_id"\s*:\s*"([0-9a-f]{40})"')

RULES: tuple[tuple[str, Callable[[bytes], Iterator[int]]], ...] = (
    ("mosaic_key", _mosaic_key),
    ("database_url", _database_url),
    ("private_key", _private_key),
    ("aws_key", _aws_key),
    (
        "github_token",
        _token_rule(
            rb"gh[pousr]_[A-Za-z0-9]{36,255}(?![A-Za-z0-9_])",
            rb"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}(?![A-Za-z0-9_])",
        ),
    ),
    (
        "slack_token",
        _token_rule(
            rb"xox[abeprs]-(?:[0-9]{8,20}-){1,3}[A-Za-z0-9]{16,}",
            rb"https://hooks\.slack\.com/services/T[A-Z0-9]{8,}/B[A-Z0-9]{8,}/[A-Za-z0-9]{24}",
        ),
    ),
    ("stripe_key", _stripe_key),
    ("google_key", _google_key),
    ("jwt", _jwt),
    (
        "ai_key",
        _token_rule(
            rb"sk-(?:[a-z]{1,20}-)?[A-Za-z0-9_-]{20,200}T3BlbkFJ[A-Za-z0-9_-]{20,}",
            rb"sk-ant-[a-z0-9]{1,20}-[A-Za-z0-9_-]{80,}",
        ),
    ),
)
"""Each rule's name, and the function that yields offsets of findings in a text."""
