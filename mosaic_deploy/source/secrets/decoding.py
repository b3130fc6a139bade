"""The text of a file as UTF-8, also if it is in UTF-16 or UTF-32."""

from __future__ import annotations

import codecs

_CHECKED_BYTES = 8192
_BYTE_ORDER_MARKS = (  # UTF-32's little-endian mark begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MOSTLY = 0.7


def as_utf8(content: bytes) -> bytes | None:
    """`content` in UTF-8; None if it is binary: it has a NUL in its first bytes and isn't UTF-16 or UTF-32."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return _converted(content, encoding)
    start = content[:_CHECKED_BYTES]
    if b"\0" not in start:
        return content
    encoding_without_mark = _utf16_without_mark(start)
    return _converted(content, encoding_without_mark) if encoding_without_mark else None


def _converted(content: bytes, encoding: str) -> bytes:
    return content.decode(encoding, "replace").encode("utf-8", "replace")


def _utf16_without_mark(start: bytes) -> str | None:
    """The byte order of UTF-16 without a mark: in Western text nearly every second byte is NUL."""
    half = len(start) // 2
    even, odd = start[::2].count(0), start[1::2].count(0)
    if odd > half * _MOSTLY and not even:
        return "utf-16-le"
    return "utf-16-be" if even > half * _MOSTLY and not odd else None
