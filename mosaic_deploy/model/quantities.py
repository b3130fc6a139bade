"""Numbers of things in words."""

from __future__ import annotations


def count_text(number: int, noun: str) -> str:
    """`1 file`, `2 files`, `12,000 files`; for nouns whose plural is an s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def size_text(size: int) -> str:
    """Bytes for people: `512 B`, `14.2 kB`, `3.1 MB`."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if round(value, 1) < 1000:
            return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
