"""Creates the next migration in the layout of the folder, from a template or from the draft."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath

from mosaic_deploy.errors import FileExists, Location, UsageInvalid, WriteFailed
from mosaic_deploy.source.migrations.layouts.detect import LAYOUTS, read_folder
from mosaic_deploy.source.migrations.layouts.layout import (
    FolderContent,
    Layout,
    NewFile,
    NewMigration,
)
from mosaic_deploy.source.migrations.layouts.numbered import NUMBERED

_LONGEST_NAME = 100


def write_new_migration(
    root: Path, folder: str, title: str, now: datetime, layout: str | None = None
) -> tuple[Path, ...]:
    """Creates the next migration, and its folders if needed. Returns the paths of its files, the one that runs first.

    Raises UsageInvalid for a title without letters and digits and for a layout whose tool has to make the files, FileExists,
    WriteFailed, and as `read_folder`.
    """
    files = next_files(root, folder, title, now, layout)
    for file in files:
        _write(root, PurePosixPath(folder) / file.file, file.text.format(title=" ".join(title.split())))
    return tuple(root / folder / file.file for file in files)


def next_files(
    root: Path, folder: str, title: str, now: datetime, layout: str | None = None
) -> Sequence[NewFile]:
    """The files of the next migration, for a folder that may not exist yet. Raises as `write_new_migration`."""
    slug = slugify(title)
    if not (root / folder).exists():
        found: Layout = LAYOUTS[layout] if layout else NUMBERED
        wanted = NewMigration(FolderContent(root / folder, ()), (), slug, now)
    else:
        read = read_folder(root / folder, folder, layout)
        found = read.layout
        wanted = NewMigration(read.content, [each.file for each in read.files], slug, now)
    if found.new is None:
        raise UsageInvalid(
            f"{folder} is of the layout {found.name}, whose tool has to create the file",
            hint=found.new_hint.format(slug=slug),
        )
    return found.new(wanted)


def _write(root: Path, name: PurePosixPath, text: str) -> None:
    path = root / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise FileExists(f"{name} already exists", location=Location(str(name))) from None
    except OSError as error:
        raise WriteFailed(f"{name} can't be written: {error.strerror}") from None


def slugify(title: str) -> str:
    """`title` as part of a file name: letters and digits of any script, separated by underscores.

    Raises UsageInvalid if it has no letters and digits.
    """
    lowered = unicodedata.normalize("NFC", title).lower()
    name = re.sub(r"[\W_]+", "_", lowered).strip("_")
    slug = name.encode()[:_LONGEST_NAME].decode(errors="ignore").strip("_")
    if not slug:
        raise UsageInvalid(
            f"the name {title!r} has no letter or digit",
            hint="describe the migration in a few words, for example: add orders",
        )
    return slug
