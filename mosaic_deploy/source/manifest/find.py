"""Finds a manifest on disk, or says where it was looked for and how to get one."""

from __future__ import annotations

import shlex
from pathlib import Path

from mosaic_deploy.errors import ManifestMissing, NextAction, SourceUnreadable

MANIFEST_NAMES = ("mosaic.yaml", "mosaic.yml")

MINIMAL_MANIFEST = """\
version: 1
project:
  name: todo
static:
  dir: public
"""


def find_manifest(path: Path) -> Path:
    """The manifest that `path` means: the file itself, or `mosaic.yaml` or `mosaic.yml` in the folder."""
    try:
        if path.is_dir():
            return _in_folder(path)
        if path.is_file():
            return path
        if path.exists():
            raise SourceUnreadable(f"{path} is neither a file nor a folder")
    except (OSError, ValueError) as error:  # a name too long, a folder that may not be entered, a NUL
        raise SourceUnreadable(f"{path} can't be read: {getattr(error, 'strerror', error)}") from None
    raise _missing_error(f"no manifest: {path} is not there", _suggestion(path.parent, path.name), path)


def _in_folder(folder: Path) -> Path:
    for name in MANIFEST_NAMES:
        if (folder / name).is_file():
            return folder / name
    raise _missing_error(
        f"no manifest in {folder}: looked for {' and '.join(MANIFEST_NAMES)}",
        _suggestion(folder, MANIFEST_NAMES[0]),
        folder,
    )


def second_manifest(manifest: Path) -> str | None:
    """The name of a second manifest in the same folder, which was not meant by the folder."""
    chosen, other = MANIFEST_NAMES
    return other if manifest.name == chosen and (manifest.parent / other).is_file() else None


def init_command(folder: Path) -> str:
    """What writes a first manifest there."""
    shown = str(folder)
    words = [] if shown == "." else [f"./{shown}" if shown.startswith("-") else shown]
    return shlex.join(["mosaic-deploy", "init", *words])


def _suggestion(folder: Path, name: str) -> str | None:
    """A file or folder of almost this name, or a manifest in a folder above."""
    from difflib import get_close_matches

    names = (
        {entry.name.lower(): entry.name for entry in folder.iterdir() if entry.name.isprintable()}
        if folder.is_dir()
        else {}
    )
    if close := get_close_matches(name.lower(), names, 1, 0.8):
        return f"did you mean {folder / names[close[0]]}?"
    for above in folder.absolute().parents:
        for each in MANIFEST_NAMES:
            if (above / each).is_file():
                return f"there is one in a folder above: {above / each}"
    return None


def _missing_error(message: str, near: str | None, path: Path) -> ManifestMissing:
    # A name like a file's is one that somebody mistook, and no folder to make.
    folder = path if path.is_dir() or not path.suffix else path.parent
    hint = f"{near}\n" if near else ""
    return ManifestMissing(
        message,
        hint=f"{hint}A manifest can be as short as this:\n\n{MINIMAL_MANIFEST}",
        next_actions=(
            NextAction("Write one for what is in the folder", init_command(folder)),
            NextAction("Show every field that a manifest can have", "mosaic-deploy schema"),
        ),
    )
