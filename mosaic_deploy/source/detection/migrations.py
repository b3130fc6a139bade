"""The folders with migrations, in any layout that can be read, and those whose migrations have to be written out as SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import PurePosixPath

from mosaic_deploy.source.detection.tree import Tree, is_below, is_sample, join, relative, upwards
from mosaic_deploy.source.migrations.layouts.detect import LAYOUTS, shown_layouts
from mosaic_deploy.source.migrations.layouts.flyway import FLYWAY
from mosaic_deploy.source.migrations.layouts.layout import FolderContent, Layout

_OTHER_DATABASES = re.compile(
    r"mysql|mariadb|sqlite3?|mssql|sqlserver|oracle|h2|cockroach(db)?|clickhouse|cassandra|db2|hsqldb|d1|mongo(db)?"
)
_OTHER_DATABASE_WORDS = frozenset(
    "mysql mariadb sqlite sqlite3 mssql sqlserver cockroachdb clickhouse cassandra hsqldb mongodb".split()  # noqa: SIM905
)
"""Those that also mean the database as a word of a longer name, as in `mysql-persistence`."""
_POSTGRES_WORDS = frozenset({"postgres", "postgresql", "pg", "psql"})
_NAMED = re.compile(r"migrat|drizzle|flyway", re.IGNORECASE)
_NOT_MIGRATIONS = frozenset(
    {"seed", "seeds", "seeders", "dumps", "dump", "backup", "backups", "queries", "snapshots"}
)
_PROGRAM = re.compile(
    r"(?:V?[0-9]\w*[._-].*|[0-9a-f]{12}_.*)\.(py|js|ts|mjs|cjs|mts|cts|rb|java|kt|exs|php|cs)"
)
_PROGRAM_FOLDERS = frozenset({"migrations", "migration", "migrate", "versions"})
_SCHEMA = re.compile(r"(schema|init|structure|tables|setup|create_tables?|db|database)\.sql", re.IGNORECASE)


class MigrationRank(IntEnum):
    """How likely a folder has the project's migrations, the likeliest first."""

    NAMED = 0
    OTHER = 1
    SAMPLE = 2
    """Examples, tests and seeds."""


@dataclass(frozen=True, slots=True)
class MigrationFolder:
    """A folder with migrations. `layout` is needed in the manifest if the folder shows several."""

    path: str
    title: str
    rank: MigrationRank
    layout: str | None = None
    problem: str = ""
    """Why its migrations can't be run on PostgreSQL; empty if nothing is known against it."""


@dataclass(frozen=True, slots=True)
class FoundMigrations:
    """The folders, the likeliest first; and what there is instead of migrations in SQL."""

    folders: tuple[MigrationFolder, ...] = ()
    programs: tuple[str, ...] = ()
    """Folders whose migrations are programs."""
    schemas: tuple[str, ...] = ()
    """SQL files with a whole schema."""


def find_migrations(tree: Tree) -> FoundMigrations:
    """Of folders in each other, the outermost is the one with the migrations."""
    with_sql = _folders_with_sql(tree)
    found: list[MigrationFolder] = []
    for place in tree.folders:
        if place == "." or place not in with_sql or any(_covers(each, place) for each in found):
            continue
        if folder := _migration_folder(tree, place):
            found.append(folder)
    found += _flyway_folders(tree, [each.path for each in found])
    found.sort(key=lambda each: (bool(each.problem), each.rank, each.path.count("/"), each.path))
    return FoundMigrations(
        tuple(found),
        tuple(_programs(tree)),
        tuple(_schemas(tree)),
    )


def _folders_with_sql(tree: Tree) -> set[str]:
    """The folders that have SQL files, also in subfolders."""
    found: set[str] = set()
    for place, content in tree.folders.items():
        if any(name.lower().endswith(".sql") for name in content.files):
            found.update(upwards(place))
    return found


def _covers(outer: MigrationFolder, place: str) -> bool:
    """Whether `place` is a part of the outer folder. One that is named `migrations` is none of a folder that isn't."""
    if not is_below(place, outer.path):
        return False
    return outer.rank is MigrationRank.NAMED or not _NAMED.search(PurePosixPath(place).name)


def _content(tree: Tree, place: str) -> FolderContent:
    return FolderContent(tree.root / place, tuple(sorted(tree.names_below(place))))


def _migration_folder(tree: Tree, place: str) -> MigrationFolder | None:
    shown = [layout for layout, _ in shown_layouts(_content(tree, place))]
    layout = next((each for each in shown if each is not FLYWAY), None)
    return _folder(tree, place, layout, chosen=len(shown) > 1) if layout else None


def _folder(tree: Tree, place: str, layout: Layout, *, chosen: bool) -> MigrationFolder:
    parts = PurePosixPath(place.lower()).parts
    rank = MigrationRank.OTHER
    if is_sample(place) or not _NOT_MIGRATIONS.isdisjoint(parts) or _is_variant(parts):
        rank = MigrationRank.SAMPLE
    elif _NAMED.search(place) or layout.explains(_content(tree, place)):
        rank = MigrationRank.NAMED
    return MigrationFolder(
        place, layout.title, rank, layout.name if chosen else None, _problem(tree, place, layout, parts)
    )


def _is_variant(parts: tuple[str, ...]) -> bool:
    """Whether the folder is in resources of Java that aren't those of the program itself, as `src/dev/resources`."""
    return any(
        source == "src" and files == "resources" and name != "main"
        for source, name, files in zip(parts, parts[1:], parts[2:], strict=False)
    )


def _other_database(parts: tuple[str, ...]) -> str | None:
    """The database that the folders' names say, if it isn't PostgreSQL."""
    words = [word for part in parts for word in re.split(r"[-_.]", part)]
    whole = [part for part in parts if _OTHER_DATABASES.fullmatch(part)]
    named = [] if _POSTGRES_WORDS & set(words) else [word for word in words if word in _OTHER_DATABASE_WORDS]
    return next(iter([*whole, *named]), None)


def _problem(tree: Tree, place: str, layout: Layout, parts: tuple[str, ...]) -> str:
    if other := _other_database(parts):
        return f"is for {other}"
    listed = LAYOUTS[layout.name].list(_content(tree, place))
    return next((each.message for each in listed.problems if "not for PostgreSQL" in each.message), "")


def _flyway_folders(tree: Tree, known: list[str]) -> Iterator[MigrationFolder]:
    """Flyway reads subfolders, so its folder is the outermost that is named `migration`, or the one with the files."""
    found: set[str] = set()
    for place, content in tree.folders.items():
        names = FLYWAY.evidence(FolderContent(tree.root / place, content.files))
        if place == "." or not names or any(is_below(place, each) for each in known):
            continue
        parts = PurePosixPath(place).parts
        outer = next(
            (
                "/".join(parts[: i + 1])
                for i, part in enumerate(parts)
                if part.lower() in ("migration", "migrations")
            ),
            place,
        )
        vendors = [name for name in tree.subfolders(outer) if _OTHER_DATABASES.fullmatch(name.lower())]
        found.add(join(outer, relative(place, outer).split("/")[0]) if vendors and place != outer else outer)
    for place in sorted(found):
        if not any(place != each and is_below(place, each) for each in found):
            yield _folder(tree, place, FLYWAY, chosen=False)


def _programs(tree: Tree) -> Iterator[str]:
    for place, content in tree.folders.items():
        name = PurePosixPath(place).name
        if name in _PROGRAM_FOLDERS and not is_sample(place):
            programs = [file for file in content.files if _PROGRAM.fullmatch(file)]
            if programs and not any(file.endswith(".sql") for file in content.files):
                yield place


def _schemas(tree: Tree) -> Iterator[str]:
    for place, content in tree.folders.items():
        if place.count("/") < 3 and not is_sample(place):
            yield from (join(place, name) for name in content.files if _SCHEMA.fullmatch(name))
