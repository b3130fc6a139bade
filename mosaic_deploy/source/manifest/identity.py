"""Identifies a manifest among those that deploy to one project, the same on every machine."""

from __future__ import annotations

from pathlib import Path


def manifest_identity(file: Path) -> str:
    """The manifest's path in its git repository: `web/mosaic.yaml`.

    Outside a repository, the names of its folder and file.
    """
    folder = file.parent.resolve()
    root = next((each for each in (folder, *folder.parents) if (each / ".git").exists()), None)
    return (folder.relative_to(root) / file.name if root else Path(folder.name, file.name)).as_posix()
