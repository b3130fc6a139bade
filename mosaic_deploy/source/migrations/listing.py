"""Reads the migrations folder: which files it has, in the order of its tool; links stay inside the project."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path, PurePosixPath

from mosaic_deploy.errors import Location, MigrationInvalid, Problem, SourceRefused
from mosaic_deploy.model.manifest import DatabaseSpec
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.snapshot import Migration
from mosaic_deploy.source.migrations.files import MigrationFile
from mosaic_deploy.source.migrations.layouts.detect import ReadFolder, VersionedFile, read_folder
from mosaic_deploy.source.migrations.script_text import read_script_text
from mosaic_deploy.source.problems import ErrorCollector

NOT_SQL = "migration_not_sql"
"""The code of the note about migrations that are programs."""
_MAX_NAMES = 5
"""Maximum files named in a note."""


def read_migrations(
    root: Path, folder: str, errors: ErrorCollector | None = None, layout: str | None = None
) -> tuple[MigrationFile, ...]:
    """The folder's migrations in the order of its tool, not yet parsed. `layout` is database.layout.

    Errors are added to `errors` if given, and the files left out; else all are raised at once: MigrationInvalid with
    every misnamed or duplicate file, SourceUnreadable, SourceRefused for links out of the project folder or to other files.
    """
    found = read_folder(root / folder, folder, layout)
    collector = ErrorCollector(folder) if errors is None else errors
    for problem in _list_problems(root, folder, found):
        collector.add(problem)
    read = (
        collector.collect(partial(_read_listed, root, folder, listed))
        for listed in _readable(root, folder, found)
    )
    files = tuple(file for file in read if file)
    if problems := list(_duplicates(files)):
        collector.add(MigrationInvalid("two migrations have the same version", problems=problems))
    if errors is None:
        collector.raise_collected()
    return files


def read_sql_file(root: Path, path: Path, version: str = "") -> MigrationFile:
    """An SQL file that needn't be a migration. Raises the same errors as `read_migrations`."""
    relative_path = path.relative_to(root).as_posix()
    if not is_sql_inside(path, root):
        raise SourceRefused(f"{relative_path} can't be read", problems=[_link_problem(path, relative_path)])
    script = read_script_text(path, relative_path)
    migration = Migration(version, path.name, script.checksum, semantic="")
    return MigrationFile(migration, relative_path, script.text, script.outside)


def folder_notes(root: Path, database: DatabaseSpec) -> Iterator[Note]:
    """Notes about files of the migrations folder that look like migrations and don't run."""
    folder = database.migrations or ""
    found = read_folder(root / folder, folder, database.layout)
    if programs := [_shown(folder, name) for name in found.not_sql]:
        more = f" and {len(programs) - _MAX_NAMES} more" if len(programs) > _MAX_NAMES else ""
        names = f"{', '.join(programs[:_MAX_NAMES])}{more}"
        they = (
            "isn't SQL, so it isn't run; write it"
            if len(programs) == 1
            else "aren't SQL, so they aren't run; write them"
        )
        yield Note(NOT_SQL, f"{names} {they} out as SQL", Severity.WARNING)
    used = {PurePosixPath(path) for path in database.seeds}
    for name, why in found.listing.ignored:
        path = PurePosixPath(_shown(folder, name))
        if not used & {path, *path.parents}:
            yield Note("migration_ignored", f"{path} {why}", Severity.INFO)


def is_sql_inside(path: Path, root: Path) -> bool:
    """Whether the file, or what it links to, is an SQL file inside the project folder or its own folder."""
    if not path.is_symlink():
        return True
    target = Path(os.path.realpath(path))
    # Errors show lines of the file, so a link must not lead to a file of another kind, such as .env.
    inside = any(target.is_relative_to(os.path.realpath(folder)) for folder in (root, path.parent))
    return inside and target.suffix.lower() == ".sql"


def _list_problems(root: Path, folder: str, found: ReadFolder) -> Iterator[MigrationInvalid | SourceRefused]:
    if links := [each for each in found.files if not is_sql_inside(root / folder / each.file, root)]:
        shown = [_link_problem(root / folder / each.file, _shown(folder, each.file)) for each in links]
        yield SourceRefused("some migrations can't be read", problems=shown)
    if found.listing.problems:
        message = (
            "migration files need a version number in their names"
            if found.layout.name == "numbered"
            else f"the migrations folder isn't complete for its layout, {found.layout.title}"
        )
        problems = [
            replace(each, location=Location(_shown(folder, each.location.file)))
            for each in found.listing.problems
        ]
        yield MigrationInvalid(message, problems=problems)


def _readable(root: Path, folder: str, found: ReadFolder) -> Iterator[VersionedFile]:
    return (each for each in found.files if is_sql_inside(root / folder / each.file, root))


def _read_listed(root: Path, folder: str, listed: VersionedFile) -> MigrationFile:
    file = read_sql_file(root, root / folder / listed.file, listed.version)
    return replace(file, migration=replace(file.migration, file=listed.file, place=listed.place))


def _duplicates(files: tuple[MigrationFile, ...]) -> Iterator[Problem]:
    by_version = sorted(files, key=lambda file: file.migration.version)
    for before, after in pairwise(by_version):
        if before.migration.version == after.migration.version:
            message = f"has the same version as {before.migration.file}"
            yield Problem(message, Location(after.relative_path), hint="rename one of them")


def _shown(folder: str, name: str) -> str:
    """The path relative to the project folder."""
    return (PurePosixPath(folder) / name).as_posix()


def _link_problem(path: Path, relative_path: str) -> Problem:
    """What is wrong with such a link."""
    if not path.exists():
        message = f"links to {path.readlink()}, which doesn't exist"
        return Problem(message, Location(relative_path), hint="copy the file")
    message = "links out of the project folder, or to a file that isn't .sql"
    return Problem(message, Location(relative_path), hint="copy the file")
