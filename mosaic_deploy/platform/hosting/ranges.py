"""Conditional and range requests (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise


def last_modified(changed: datetime, now: datetime | None = None) -> str | None:
    """The Last-Modified value. None during the first two seconds after a change: the file may change again within the
    same second, which the date couldn't show."""
    second = changed.astimezone(UTC).replace(microsecond=0)
    if (now or datetime.now(UTC)) - second < timedelta(seconds=2):
        return None
    return format_datetime(second, usegmt=True)


def is_not_modified(headers: Mapping[str, str], etag: str, modified: str | None) -> bool:
    """Whether to answer 304. The date counts only if no ETag is sent, and must be equal: after a rollback, the current
    file may be older than the client's."""
    sent = headers.get("if-none-match")
    if sent is None:
        return modified is not None and headers.get("if-modified-since") == modified
    known = [part.strip().removeprefix("W/") for part in sent.split(",")]
    return "*" in known or etag in known


def if_range_matches(headers: Mapping[str, str], etag: str, modified: str | None) -> bool:
    """Whether the client's partial copy is of the current file."""
    condition = headers.get("if-range")
    return condition is None or condition == etag or (modified is not None and condition == modified)


# More than PDF and video players request at once. Requests for more get the whole file.
MAX_RANGES = 16
_RANGE = re.compile(r"[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*")


@dataclass(frozen=True)
class ByteRange:
    """From `start` to `end`, exclusive."""

    start: int
    end: int

    def content_range(self, size: int) -> str:
        return f"bytes {self.start}-{self.end - 1}/{size}"


def parse_range_header(header: str, size: int) -> list[ByteRange] | None:
    """The ranges in the requested order, without those outside the file.

    None if the header must be ignored: another unit, malformed, more than MAX_RANGES, or overlapping ranges.
    """
    unit, equals, listed = header.partition("=")
    if unit.strip().lower() != "bytes" or not equals:
        return None
    found = [_RANGE.fullmatch(part) for part in listed.split(",") if part.strip()]
    if not found or len(found) > MAX_RANGES:
        return None
    byte_ranges = []
    for one in found:
        if one is None or not (one[1] or one[2]) or (one[1] and one[2] and int(one[1]) > int(one[2])):
            return None
        byte_ranges.append(_byte_range(one[1], one[2], size))
    kept = [byte_range for byte_range in byte_ranges if byte_range.start < byte_range.end]
    ordered = sorted(kept, key=lambda byte_range: byte_range.start)
    overlapping = any(left.end > right.start for left, right in pairwise(ordered))
    return None if overlapping else kept


def _byte_range(first: str, last: str, size: int) -> ByteRange:
    """Empty if it starts after the end of the file."""
    if not first:
        return ByteRange(max(0, size - int(last)), size)
    return ByteRange(min(size, int(first)), min(size, int(last) + 1) if last else size)


@dataclass(frozen=True)
class Multipart:
    """A `multipart/byteranges` response: each range with its own part header."""

    byte_ranges: list[ByteRange]
    size: int
    part_type: str
    boundary: str

    @classmethod
    def create(cls, byte_ranges: list[ByteRange], size: int, part_type: str) -> Multipart:
        return cls(byte_ranges, size, part_type, secrets.token_hex(16))

    @property
    def content_type(self) -> str:
        return f"multipart/byteranges; boundary={self.boundary}"

    def part_header(self, byte_range: ByteRange) -> bytes:
        text = (
            f"\r\n--{self.boundary}\r\nContent-Type: {self.part_type}\r\n"
            f"Content-Range: {byte_range.content_range(self.size)}\r\n\r\n"
        )
        return text.encode("ascii")

    @property
    def closing_boundary(self) -> bytes:
        return f"\r\n--{self.boundary}--\r\n".encode("ascii")

    @property
    def length(self) -> int:
        return sum(
            len(self.part_header(byte_range)) + byte_range.end - byte_range.start
            for byte_range in self.byte_ranges
        ) + len(self.closing_boundary)
