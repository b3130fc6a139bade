"""Numbers of things in words."""


def counted(number: int, noun: str) -> str:
    """`1 file`, `2 files`, `12,000 files`; for nouns whose plural is an s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
