"""The names and strings of a text with their values, as PostgreSQL's scanner reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from mosaic_deploy.sql.pg_parser.quotes import DOLLAR_TAG, NAME_PART, NAME_START
from mosaic_deploy.sql.pg_parser.trivia import end_of_trivia_without_blocks, skip_trivia


class Token(NamedTuple):
    """A name or a string from `at` on. `value` is None for escapes that PostgreSQL refuses."""

    at: int
    is_name: bool
    value: str | None


_LONGEST_NAME = 63
"""Bytes that PostgreSQL keeps of a name."""
_OTHER = re.compile(rf"(?:[^{NAME_START}0-9'\"$/\-]+|[/\-$])")
_TOKEN = re.compile(
    rf"""(?P<escaped>[eE]')|(?P<unicode>[uU]&['"])|(?P<prefixed>[nNbBxX]')|(?P<quote>['"])|(?P<dollar>{DOLLAR_TAG})
    |(?P<name>[{NAME_START}][{NAME_PART}]*)""",
    re.VERBOSE,
)
_NUMBER = re.compile(rf"[0-9][{NAME_PART}]*")
_UESCAPE = re.compile(r"uescape\b", re.IGNORECASE)
_UNICODE_ESCAPE = r"{0}(?:{0}|\+([0-9A-Fa-f]{{6}})|([0-9A-Fa-f]{{4}})|)"
_ESCAPE = re.compile(
    r"((?:\\(?:x[0-9A-Fa-f]{1,2}|[0-7]{1,3}))+)|\\u([0-9A-Fa-f]{4})|\\U([0-9A-Fa-f]{8})|\\(.)", re.DOTALL
)
_BYTE = re.compile(r"\\(?:x([0-9A-Fa-f]{1,2})|([0-7]{1,3}))")
_LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def tokens(text: str) -> Iterator[Token]:
    """The names (keywords too) and strings in order, without comments. A quote without an end is passed over."""
    at = 0
    while (at := skip_trivia(text, at)) < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            other = _NUMBER.match(text, at) or _OTHER.match(text, at)
            at = other.end() if other else at + 1
        elif found["name"]:
            yield Token(at, True, kept_name(_lower(found["name"])))
            at = found.end()
        elif read := _dollar_quoted(text, at, found) if found["dollar"] else _quoted(text, at, found):
            token, at = read
            yield token
        else:
            at = found.end()


def _dollar_quoted(text: str, at: int, found: re.Match[str]) -> tuple[Token, int] | None:
    end = text.find(found.group(), found.end())
    return None if end < 0 else (Token(at, False, text[found.end() : end]), end + len(found.group()))


def kept_name(name: str) -> str:
    """The part of a name that PostgreSQL keeps."""
    return name.encode("utf-8", "surrogatepass")[:_LONGEST_NAME].decode("utf-8", "ignore")


def _lower(name: str) -> str:
    """In a UTF-8 database, PostgreSQL changes ASCII letters only."""
    return "".join(sign.lower() if sign.isascii() else sign for sign in name)


def _quoted(text: str, at: int, found: re.Match[str]) -> tuple[Token, int] | None:
    """The token, and where it ends; None without an end."""
    mark = found.group()[-1]
    raw: list[str] = []
    end = found.end()
    start: int | None = end
    while start is not None:
        closed = _part_end(text, start, mark, escapes=found["escaped"] is not None)
        if closed is None:
            return None
        raw.append(text[start:closed])
        end, start = closed + 1, _next_part(text, closed + 1, mark)
        if start == end + 1:
            raw.append(mark if found["escaped"] is None else f"\\{mark}")
    value: str | None = "".join(raw)
    if found["escaped"]:
        value = _unescaped(value or "")
    elif found["unicode"]:
        sign, end = _escape_sign(text, end)
        value = _without_unicode_escapes(value or "", sign)
    is_name = mark == '"'
    return Token(at, is_name, kept_name(value) if is_name and value is not None else value), end


def _part_end(text: str, at: int, mark: str, *, escapes: bool) -> int | None:
    if escapes:
        return next(
            (one.start() for one in re.compile(r"\\.|'", re.DOTALL).finditer(text, at) if one.group() == "'"),
            None,
        )
    end = text.find(mark, at)
    return None if end < 0 else end


def _next_part(text: str, at: int, mark: str) -> int | None:
    """The text after the quote that continues the token: right here, or for a string on a later line."""
    if text.startswith(mark, at):
        return at + 1
    if mark == '"':
        return None
    end = end_of_trivia_without_blocks(text, at)
    return end + 1 if text.startswith(mark, end) and re.search(r"[\n\r]", text[at:end]) else None


def _escape_sign(text: str, at: int) -> tuple[str, int]:
    """The escape sign of a U& token that ends at `at`, and where its UESCAPE ends, if it has one."""
    word = _UESCAPE.match(text, skip_trivia(text, at))
    if word is None:
        return "\\", at
    quote = skip_trivia(text, word.end())
    return (text[quote + 1], quote + 3) if re.match(r"'[^']'", text[quote : quote + 3]) else ("\\", at)


def _without_unicode_escapes(raw: str, sign: str) -> str | None:
    if sign not in raw:
        return raw
    failed = False

    def character(found: re.Match[str]) -> str:
        nonlocal failed
        code = found.group(1) or found.group(2)
        if code:
            return _character(code)
        failed = failed or len(found.group()) == 1
        return sign

    value = re.sub(_UNICODE_ESCAPE.format(re.escape(sign)), character, raw)
    return None if failed else _joined_surrogates(value)


def _unescaped(raw: str) -> str | None:
    try:
        return _joined_surrogates(_ESCAPE.sub(_unescape, raw))
    except UnicodeDecodeError:
        return None


def _unescape(found: re.Match[str]) -> str:
    if found.group(1):
        codes = (
            int(one, 16) if one else int(octal, 8) & 0xFF for one, octal in _BYTE.findall(found.group(1))
        )
        return bytes(codes).decode()
    if code := found.group(2) or found.group(3):
        return _character(code)
    return _LETTERS.get(found.group(4), found.group(4))


def _character(code: str) -> str:
    number = int(code, 16)
    return chr(number) if number <= 0x10FFFF else "\ufffd"


def _joined_surrogates(text: str) -> str | None:
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        return None
