"""Bytes in words."""


def size_text(size: int) -> str:
    """Bytes for people: `512 B`, `14.2 kB`, `3.1 MB`."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if round(value, 1) < 1000:
            return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
