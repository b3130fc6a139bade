"""How much lies on disk."""

from __future__ import annotations

import os
from pathlib import Path

from mosaic_deploy.platform.home import State


def sizes(folder: Path, state: State | None) -> dict[str, int]:
    """Bytes on disk."""
    return {
        "databases": _tree_size(Path(state.postgres_folder) / "data") if state else 0,
        "files": _tree_size(folder / "store"),
        "logs": sum(_file_size(path) for path in _logs(folder, state)),
    }


def _logs(folder: Path, state: State | None) -> list[Path]:
    theirs = Path(state.postgres_folder).glob("postgres.log*") if state else ()
    return [*folder.glob("platform.log*"), *theirs]


def _tree_size(place: Path) -> int:
    total = 0
    for base, _, names in os.walk(place):
        for name in names:
            total += _file_size(Path(base) / name)
    return total


def _file_size(path: Path) -> int:
    """0 where it is gone: files come and go while the server runs."""
    try:
        return path.lstat().st_size
    except OSError:
        return 0
