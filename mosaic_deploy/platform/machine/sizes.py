"""Bytes on disk."""

from __future__ import annotations

import os
from pathlib import Path


def tree_size(place: Path) -> int:
    """The bytes of all files below a folder; 0 if it doesn't exist."""
    total = 0
    for base, _, names in os.walk(place):
        for name in names:
            total += file_size(Path(base) / name)
    return total


def file_size(path: Path) -> int:
    """0 if the file no longer exists: a running server creates and deletes files."""
    try:
        return path.lstat().st_size
    except OSError:
        return 0
