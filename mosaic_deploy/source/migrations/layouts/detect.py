"""Which layout a folder has, and its migrations with their versions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import quote

from mosaic_deploy.errors import Location, MigrationInvalid, Problem
from mosaic_deploy.model.snapshot import BEFORE_ALL, Order, natural_order
from mosaic_deploy.source.migrations.layouts.drizzle import DRIZZLE
from mosaic_deploy.source.migrations.layouts.flyway import FLYWAY
from mosaic_deploy.source.migrations.layouts.folders import FOLDERS
from mosaic_deploy.source.migrations.layouts.graphile import GRAPHILE
from mosaic_deploy.source.migrations.layouts.layout import (
    FolderContent,
    Layout,
    ListedFile,
    Listing,
    read_content,
)
from mosaic_deploy.source.migrations.layouts.numbered import NUMBERED
from mosaic_deploy.source.migrations.layouts.versioned import VERSIONED

LAYOUTS = {each.name: each for each in (NUMBERED, FOLDERS, DRIZZLE, FLYWAY, VERSIONED, GRAPHILE)}
"""The layouts by their names in `database.layout`."""
_CODE = re.compile(
    r"(?:V?[0-9]\w*[._-].*|[0-9a-f]{12}_.*)\.(py|js|ts|mjs|cjs|mts|cts|go|rb|java|kt|exs|php|cs)"
)
_BESIDE = frozenset({"seed", "seeds", "fixtures", "tests", "meta"})
"""Subfolders whose SQL files are no migrations."""
_UNSAFE = re.compile(r"[^\w.-]")


class VersionedFile(NamedTuple):
    """A listed file with its version, and with its place if the versions' order isn't the tool's."""

    file: str
    version: str
    place: Order | None


class ReadFolder(NamedTuple):
    """A migrations folder as its tool sees it."""

    layout: Layout
    content: FolderContent
    listing: Listing
    not_sql: tuple[str, ...]
    """Migrations that are programs and can't be run."""

    @property
    def files(self) -> tuple[VersionedFile, ...]:
        return tuple(with_versions(self.listing.files))


def read_folder(folder: Path, name: str, layout: str | None = None) -> ReadFolder:
    """Reads the folder in its `layout`, or in the one that its content shows. `name` is its path for messages.

    Raises MigrationInvalid for files of several layouts, or of none, SourceUnreadable.
    """
    content = read_content(folder)
    found = LAYOUTS[layout] if layout else _detected(content, name)
    listing = found.list(content)
    programs = tuple(file for file in content.names if _is_program(file, found))
    if found is NUMBERED and not listing.files:
        _refuse_elsewhere(content, name, programs)
    return ReadFolder(found, content, listing, programs)


def detected_layout(folder: Path) -> Layout | None:
    """The only layout that the folder shows; None if it shows none or several. Raises SourceUnreadable."""
    found = shown_layouts(read_content(folder))
    return found[0][0] if len(found) == 1 else None


def shown_layouts(content: FolderContent) -> list[tuple[Layout, Sequence[str]]]:
    """The layouts that the folder shows, each with the names that show it."""
    certain = [each for each in LAYOUTS.values() if each.explains(content)]
    return [(each, names) for each in certain or LAYOUTS.values() if (names := each.evidence(content))]


def _detected(content: FolderContent, name: str) -> Layout:
    found = shown_layouts(content)
    if len(found) <= 1:
        return found[0][0] if found else NUMBERED
    problems = [
        Problem(f"is of the layout {layout.name}: {layout.title}", Location(_path(name, names[0])))
        for layout, names in found
    ]
    names = " or ".join(layout.name for layout, _ in found)
    raise MigrationInvalid(
        "the migrations folder has files of several layouts, so their order isn't clear",
        problems=problems,
        hint=f"move the files that aren't migrations, or set database.layout to {names}",
    )


def _is_program(file: str, layout: Layout) -> bool:
    path = PurePosixPath(file)
    inside = layout is FLYWAY or len(path.parts) == 1
    return inside and ".down." not in path.name and _CODE.fullmatch(path.name) is not None


def _refuse_elsewhere(content: FolderContent, name: str, programs: Sequence[str]) -> None:
    """Raises MigrationInvalid if an empty listing is a mistake: migrations are in a subfolder, or aren't SQL."""
    if programs:
        raise MigrationInvalid(
            f"the migrations in {name} are programs, which can't be run; write them out as SQL",
            problems=[Problem("isn't SQL", Location(_path(name, programs[0])))],
            hint="how, for Alembic, Django and others: docs/migrations.md#alembic-django-and-other-programs",
        )
    folders = {parent for each in content.names for parent in PurePosixPath(each).parents} - {PurePosixPath()}
    for folder in sorted(str(each) for each in folders if not _BESIDE & set(each.parts)):
        below = FolderContent(
            content.folder / folder,
            tuple(each.removeprefix(f"{folder}/") for each in content.names if each.startswith(f"{folder}/")),
        )
        if found := shown_layouts(below):
            layout, names = found[0]
            raise MigrationInvalid(
                f"{name} has no migrations of its own, but {_path(name, folder)} has",
                problems=[
                    Problem(f"is of the layout {layout.name}", Location(_path(name, f"{folder}/{names[0]}")))
                ],
                hint=f"set database.migrations to {_path(name, folder)}",
            )


def _path(folder: str, name: str) -> str:
    return (PurePosixPath(folder) / name).as_posix()


def with_versions(listed: Sequence[ListedFile]) -> Iterator[VersionedFile]:
    """The number is the version, with the name if other files have it; without a number, the name.

    A file that the tool runs after one with a higher version gets its place behind that one.
    """
    same = Counter(natural_order(each.number)[0] for each in listed if each.number)
    last = BEFORE_ALL
    for each in listed:
        name = _UNSAFE.sub(lambda found: quote(found[0], safe=""), each.name)
        version = name
        if each.number:
            version = each.number if same[natural_order(each.number)[0]] == 1 else f"{each.number}/{name}"
        order = natural_order(version)
        place = None if order > last else (last[0], last[1], last[2] + 1)
        last = place or order
        yield VersionedFile(each.file, version, place)
