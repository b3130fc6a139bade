"""Counts, sizes, durations and ages as people say them."""

from __future__ import annotations

from datetime import UTC, datetime

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_MAX_AGE_DAYS = 60
"""Older than this, a date says more than an age."""


def count_text(number: int, noun: str) -> str:
    """`1 file`, `2 files`, `12,000 files`; for nouns whose plural is an s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def amount_text(number: int, noun: str) -> str:
    """An estimate: `≈1 row`, `≈340 rows`, `≈200.6 k rows`, `≈2.1 M rows`."""
    if number == 1:
        return f"≈1 {noun}"
    value, unit = float(number), ""
    for larger in (" k", " M", " G"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    shown = f"{value:.1f}".removesuffix(".0") if unit else str(number)
    return f"≈{shown}{unit} {noun}s"


def size_text(size: int) -> str:
    """Bytes: `512 B`, `14.2 kB`, `3.1 MB`."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if round(value, 1) < 1000:
            return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def duration_text(seconds: float) -> str:
    """`84 ms`, `1.2 s`, `42 s`, `3 min 20 s`, `1 h 5 min`, `4 d 3 h`; an int is whole seconds: `3 s`."""
    if isinstance(seconds, float) and round(seconds, 3) < 1:
        return f"{seconds * 1000:.0f} ms"
    if isinstance(seconds, float) and round(seconds, 1) < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for large, small, size, rest in (
        ("d", "h", _DAY, _HOUR),
        ("h", "min", _HOUR, _MINUTE),
        ("min", "s", _MINUTE, 1),
    ):
        if whole >= size:
            remainder = whole % size // rest
            return f"{whole // size} {large}" + (f" {remainder} {small}" if remainder else "")
    return f"{whole} s"


def age_text(timestamp: str, now: datetime | None = None) -> str:
    """`3 minutes ago` for an ISO 8601 time, or `in 2 minutes` for a future one; after two months the local date.

    A time without an offset is UTC. Text that isn't a time is returned as it is.
    """
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        return timestamp
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    if abs(seconds) >= _MAX_AGE_DAYS * _DAY:
        return f"{moment.astimezone():%Y-%m-%d}"
    if abs(seconds) < 1:
        return "just now"
    span = _span_text(abs(seconds))
    return f"{span} ago" if seconds > 0 else f"in {span}"


def _span_text(seconds: float) -> str:
    """`12 seconds`, `3 minutes`, `5 hours`, `2 days`: whole units, rounded down."""
    for noun, size in (("day", _DAY), ("hour", _HOUR), ("minute", _MINUTE)):
        if seconds >= size:
            return count_text(int(seconds // size), noun)
    return count_text(int(seconds), "second")
