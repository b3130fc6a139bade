"""Conditional requests: whether the reader has the file already."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise


def last_modified(changed: datetime, now: datetime | None = None) -> str | None:
    """The date as HTTP writes it. None within the second of the change: the file may change again in it, and
    nobody could tell by such a date."""
    second = changed.astimezone(UTC).replace(microsecond=0)
    if (now or datetime.now(UTC)) - second < timedelta(seconds=2):
        return None
    return format_datetime(second, usegmt=True)


def is_known(headers: Mapping[str, str], etag: str, modified: str | None) -> bool:
    """Whether 304 is the answer. The date counts only where no etag is sent, and only when it is exactly ours:
    a path may lead to an older file than before."""
    sent = headers.get("if-none-match")
    if sent is None:
        return modified is not None and headers.get("if-modified-since") == modified
    known = [part.strip().removeprefix("W/") for part in sent.split(",")]
    return "*" in known or etag in known


def range_holds(headers: Mapping[str, str], etag: str, modified: str | None) -> bool:
    """Whether the range is one of the file that the reader has a part of."""
    condition = headers.get("if-range")
    return condition is None or condition == etag or (modified is not None and condition == modified)


# More than a reader of a PDF or a video asks for at once; what asks for more gets the whole file.
MOST = 16
_ONE = re.compile(r"[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*")


@dataclass(frozen=True)
class Span:
    """From `start` up to, not including, `end`."""

    start: int
    end: int

    def header(self, size: int) -> str:
        return f"bytes {self.start}-{self.end - 1}/{size}"


def asked_spans(header: str, size: int) -> list[Span] | None:
    """The spans in the order asked for; empty where none of them is in the file; None where the header is to be
    ignored: another unit, not well-formed, too many, or some overlap."""
    unit, equals, listed = header.partition("=")
    if unit.strip().lower() != "bytes" or not equals:
        return None
    found = [_ONE.fullmatch(part) for part in listed.split(",") if part.strip()]
    if not found or len(found) > MOST:
        return None
    spans = []
    for one in found:
        if one is None or not (one[1] or one[2]) or (one[1] and one[2] and int(one[1]) > int(one[2])):
            return None
        spans.append(_span(one[1], one[2], size))
    kept = [span for span in spans if span.start < span.end]
    ordered = sorted(kept, key=lambda span: span.start)
    overlapping = any(left.end > right.start for left, right in pairwise(ordered))
    return None if overlapping else kept


def _span(first: str, last: str, size: int) -> Span:
    """Empty where it lies behind the end of the file."""
    if not first:
        return Span(max(0, size - int(last)), size)
    return Span(min(size, int(first)), min(size, int(last) + 1) if last else size)


@dataclass(frozen=True)
class Multipart:
    """`multipart/byteranges`: each span with a head of its own."""

    spans: list[Span]
    size: int
    part_type: str
    boundary: str

    @classmethod
    def of(cls, spans: list[Span], size: int, part_type: str) -> Multipart:
        return cls(spans, size, part_type, secrets.token_hex(16))

    @property
    def content_type(self) -> str:
        return f"multipart/byteranges; boundary={self.boundary}"

    def head(self, span: Span) -> bytes:
        text = (
            f"\r\n--{self.boundary}\r\nContent-Type: {self.part_type}\r\n"
            f"Content-Range: {span.header(self.size)}\r\n\r\n"
        )
        return text.encode("ascii")

    @property
    def tail(self) -> bytes:
        return f"\r\n--{self.boundary}--\r\n".encode("ascii")

    @property
    def length(self) -> int:
        return sum(len(self.head(span)) + span.end - span.start for span in self.spans) + len(self.tail)
