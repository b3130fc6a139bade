"""Detects what a folder contains that could be deployed, for the first manifest."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mosaic_deploy.errors import SourceUnreadable

_SITE_FOLDERS = ("dist", "build", "out", "_site", "public", "site", "www", "static", "htdocs")
"""Usual output folders of site generators, the most likely first."""
_STORAGE_FOLDERS = ("assets", "storage", "uploads", "media")
_SKIPPED = frozenset({"node_modules", "vendor", "venv", "target", "__pycache__"})
_MIGRATION = re.compile(r"[0-9]+[_-].*\.sql", re.IGNORECASE)
_MAX_DEPTH = 3


@dataclass(frozen=True, slots=True)
class DetectedFolders:
    """Detected folders as relative paths, None if there is none."""

    name: str
    migrations: str | None
    other_migrations: tuple[str, ...]
    """Other folders with numbered SQL files."""
    static: str | None
    storage: str | None
    needs_build: bool
    """Whether there is a package.json but no built site."""
    has_root_page: bool
    """Whether the folder itself contains index.html."""


def detect_folders(folder: Path) -> DetectedFolders:
    """Looks into `folder` and its subfolders. Raises SourceUnreadable."""
    try:
        sites = [name for name in _SITE_FOLDERS if (folder / name / "index.html").is_file()]
        static = sites[0] if sites else None
        storage = next(
            (name for name in _STORAGE_FOLDERS if name != static and _has_files(folder / name)), None
        )
        built = {name for name in (*_SITE_FOLDERS, *_STORAGE_FOLDERS) if name in {static, storage}}
        found = sorted(_migrations(folder, built), key=_likelihood)
        return DetectedFolders(
            name=folder.resolve().name or "project",
            migrations=found[0] if found else None,
            other_migrations=tuple(found[1:]),
            static=static,
            storage=storage,
            needs_build=static is None and (folder / "package.json").is_file(),
            has_root_page=(folder / "index.html").is_file(),
        )
    except OSError as error:
        raise SourceUnreadable(f"{folder} can't be read: {error.strerror}") from None


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(
        entry.is_file() and not entry.name.startswith(".") for entry in folder.rglob("*")
    )


def _migrations(folder: Path, others: set[str]) -> Iterator[str]:
    """POSIX paths of folders with numbered SQL files, except in `others`."""
    for place, names, files in os.walk(folder):
        path = Path(place).relative_to(folder)
        if len(path.parts) >= _MAX_DEPTH:
            names.clear()
        names[:] = [name for name in names if not name.startswith(".") and name not in _SKIPPED]
        if not path.parts:
            names[:] = [name for name in names if name not in others]
        if path.parts and any(_MIGRATION.fullmatch(name) for name in files):
            yield path.as_posix()


def _likelihood(path: str) -> tuple[bool, int, str]:
    """Sort key: folders named like migrations first, then by depth."""
    return ("migration" not in path.lower(), path.count("/"), path)
