"""The checksums that migration tools compute for files, as text in the form that their tables have.

A checkout may have other line ends than the one from which the tool ran, and an editor may have removed a byte order mark, so
each function returns the checksums of all these contents.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable, Iterator

_BOM = b"\xef\xbb\xbf"
_HEADER = re.compile(rb"(?:--! [A-Z][^\n]*\n)+")
_HEADER_FIELD = re.compile(r"^--! (Previous|Hash): (\S+)", re.MULTILINE)


def hex_checksums(algorithm: str) -> Callable[[bytes], frozenset[str]]:
    """A function that returns the digests of the bytes in hexadecimal."""

    def digests(content: bytes) -> frozenset[str]:
        return frozenset(
            hashlib.new(algorithm, each, usedforsecurity=False).hexdigest() for each in _contents(content)
        )

    return digests


def prisma_checksums(content: bytes) -> frozenset[str]:
    """SHA-256; also as older versions wrote it, each byte without a leading zero."""
    digests = [hashlib.sha256(each).digest() for each in _contents(content)]
    return frozenset({each.hex() for each in digests} | {"".join(f"{b:x}" for b in each) for each in digests})


def flyway_checksums(content: bytes) -> frozenset[str]:
    """CRC-32 of the lines without their ends, as a signed number."""
    crc = zlib.crc32(re.sub(rb"[\r\n]", b"", content.removeprefix(_BOM)))
    return frozenset({str(crc - (1 << 32) if crc >= 1 << 31 else crc)})


def supabase_checksums(content: bytes) -> frozenset[str]:
    """MD5 of the text without white space and semicolons, which are all that the statements in Supabase's table lack."""
    text = re.sub(rb"[ \t\r\n\f\v;]+", b"", content.removeprefix(_BOM))
    return frozenset({hashlib.new("md5", text, usedforsecurity=False).hexdigest()})


def graphile_checksums(content: bytes) -> frozenset[str]:
    """`sha1:` and the digest of the previous file's hash and the file's body; empty for a file without its header.

    The hash in the header also counts if the header has AllowInvalidHash.
    """
    text = content.removeprefix(_BOM).replace(b"\r\n", b"\n")
    header = _HEADER.match(text)
    if not header:
        return frozenset()
    head = header.group().decode(errors="replace")
    fields = dict(_HEADER_FIELD.findall(head))
    previous = fields.get("Previous", "-").removeprefix("-")
    body = text[header.end() :].decode(errors="replace")
    bodies = {f"{previous}\n{each}" for each in (body, body.strip())}
    found = {"sha1:" + _sha1(f"{each.strip()}\n") for each in bodies}
    allowed = {fields["Hash"]} if "--! AllowInvalidHash" in head and "Hash" in fields else set[str]()
    return frozenset(found | allowed)


def _sha1(text: str) -> str:
    return hashlib.new("sha1", text.encode(), usedforsecurity=False).hexdigest()


def _contents(content: bytes) -> Iterator[bytes]:
    """The content with either kind of line end, and as it is; with and without a byte order mark."""
    plain = content.removeprefix(_BOM)
    lines = plain.replace(b"\r\n", b"\n")
    for each in {plain, lines, lines.replace(b"\n", b"\r\n")}:
        yield each
        yield _BOM + each
