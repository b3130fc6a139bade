"""Conditional requests: whether the reader has the file already."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime


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
