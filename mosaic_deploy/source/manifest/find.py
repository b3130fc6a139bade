"""Finds the manifest file, or explains where it looked and how to create one; identifies it among others."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from mosaic_deploy.errors import ManifestMissing, NextAction, SourceUnreadable
from mosaic_deploy.git import path_in_repository, repository_name, repository_root
from mosaic_deploy.model.manifest_identity import identity_of
from mosaic_deploy.model.plan import Note, Severity

MANIFEST_NAMES = ("mosaic.yaml", "mosaic.yml")

MINIMAL_MANIFEST = """\
version: 1
project:
  name: todo
static:
  dir: public
"""


def find_manifest(path: Path) -> Path:
    """`path` itself if it is a file, else `mosaic.yaml` or `mosaic.yml` in the folder `path`.

    Raises ManifestMissing, or SourceUnreadable.
    """
    try:
        if path.is_dir():
            return _in_folder(path)
        if path.is_file():
            return path
        if path.exists():
            raise SourceUnreadable(f"{path} is neither a file nor a folder")
    except (OSError, ValueError) as error:  # name too long, no permission, or a NUL character
        raise SourceUnreadable(f"{path} can't be read: {getattr(error, 'strerror', error)}") from None
    raise _missing_error(f"no manifest: {path} doesn't exist", _suggestion(path.parent, path.name), path)


def _in_folder(folder: Path) -> Path:
    for name in MANIFEST_NAMES:
        if (folder / name).is_file():
            return folder / name
    raise _missing_error(
        f"no manifest in {folder if folder.name else folder.absolute()}: looked for {' and '.join(MANIFEST_NAMES)}",
        _suggestion(folder, MANIFEST_NAMES[0]),
        folder,
    )


def second_manifest_notes(manifest: Path) -> Iterator[Note]:
    """A warning about an ignored second manifest: `mosaic.yml` beside a chosen `mosaic.yaml`."""
    chosen, other = MANIFEST_NAMES
    if manifest.name == chosen and (manifest.parent / other).is_file():
        message = f"there are two manifests: {chosen} is used and {other} is ignored; delete one of them"
        yield Note("manifest_twice", message, Severity.WARNING)


def init_command(folder: Path) -> str:
    """The command that creates a manifest in `folder`."""
    shown = str(folder)
    words = [] if shown == "." else [f"./{shown}" if shown.startswith("-") else shown]
    return shlex.join(["mosaic-deploy", "init", *words])


def _suggestion(folder: Path, name: str) -> str | None:
    """A hint: a file or folder with a similar name."""
    from difflib import get_close_matches

    names = (
        {entry.name.lower(): entry.name for entry in folder.iterdir() if entry.name.isprintable()}
        if folder.is_dir()
        else {}
    )
    if close := get_close_matches(name.lower(), names, 1, 0.8):
        return f"did you mean {folder / names[close[0]]}?"
    return None


def _manifest_above(folder: Path) -> Path | None:
    """The manifest of the nearest parent folder that has one."""
    candidates = (above / name for above in folder.absolute().parents for name in MANIFEST_NAMES)
    return next((file for file in candidates if file.is_file()), None)


def _missing_error(message: str, near: str | None, path: Path) -> ManifestMissing:
    # A path with a suffix is a mistyped file name rather than a folder to create.
    folder = path if path.is_dir() or not path.suffix else path.parent
    create = NextAction("create a manifest for this folder", init_command(folder))
    if above := None if near else _manifest_above(folder):
        hint = f"there is one in a parent folder: {above}; to deploy that project, run the command there"
        return ManifestMissing(message, hint=hint, next_actions=(create,))
    hint = f"{near}\n" if near else ""
    return ManifestMissing(
        message,
        hint=f"{hint}a minimal manifest:\n\n{MINIMAL_MANIFEST}",
        next_actions=(create, NextAction("show all fields of the manifest", "mosaic-deploy schema")),
    )


def manifest_identity(file: Path) -> str:
    """Identifies a manifest among those that deploy to one project, the same on every machine.

    It is the path in the git repository (`web/mosaic.yaml`) and the name of the repository; outside one, the names of its
    folder and file. See `model/manifest_identity.py` for what is compared with it.
    """
    root = repository_root(file.parent)
    if root is None:
        return _name_outside_repositories(file)
    return identity_of(path_in_repository(root, file), repository_name(root))


def former_identity(file: Path) -> str:
    """The manifest's identity before its folder became a git repository; empty if it can't have had another one."""
    root, name = repository_root(file.parent), _name_outside_repositories(file)
    if root is None or name == path_in_repository(root, file) or (root / name).exists():
        return ""
    return name


def _name_outside_repositories(file: Path) -> str:
    return f"{file.parent.resolve().name}/{file.name}"
