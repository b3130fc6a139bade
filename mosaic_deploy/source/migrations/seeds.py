"""Seed files: SQL that fills a database once its migrations have run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from mosaic_deploy.errors import Location, MigrationInvalid, Problem, SourceRefused, SourceUnreadable
from mosaic_deploy.model.snapshot import Object
from mosaic_deploy.source.migrations.files import (
    MigrationFile,
    ParsedFile,
    parse_migrations,
    read_sql_file,
    statement_location,
)
from mosaic_deploy.sql.execution.units import ExecutionMode


def read_seeds(root: Path, named: Sequence[str]) -> tuple[MigrationFile, ...]:
    """The files that the manifest names, in its order, and by name within a folder; each once, not yet parsed.

    As `version` they have a name of their place in this order. Raises SourceError's children, MigrationInvalid.
    """
    paths = dict.fromkeys(path for name in named for path in _seed_paths(root, root / name))
    files = [read_sql_file(root, path) for path in paths]
    return tuple(
        replace(file, migration=replace(file.migration, version=f"seed{number}", file=file.relative_path))
        for number, file in enumerate(files, 1)
    )


def seed_objects(files: Iterable[MigrationFile]) -> dict[str, Object]:
    """The files as objects by path; the size is that of their text in UTF-8."""
    return {
        file.relative_path: Object(file.relative_path, file.migration.checksum, len(file.text.encode()))
        for file in files
    }


def _seed_paths(root: Path, path: Path) -> Iterator[Path]:
    try:
        if not path.is_dir():
            yield _require_sql_file(root, path)
            return
        inside = sorted(path.iterdir())
    except OSError as error:
        raise SourceUnreadable(f"a seed can't be read: {error}") from error
    yield from (p for p in inside if p.suffix.lower() == ".sql" and not p.name.startswith("."))


def _require_sql_file(root: Path, path: Path) -> Path:
    if path.suffix.lower() != ".sql":
        shown = path.relative_to(root).as_posix()
        raise SourceRefused(f"{shown} is no .sql file", location=Location(shown), hint="seeds are SQL")
    return path


def parse_seeds(files: Sequence[MigrationFile]) -> tuple[ParsedFile, ...]:
    """Files parsed. Raises MigrationInvalid for what isn't SQL, or can't be one transaction."""
    parsed = parse_migrations(files)
    problems = [problem for each in parsed for problem in _problems(each)]
    if problems:
        raise MigrationInvalid("a seed is run as one transaction, and this can't be", problems=problems)
    return parsed


def _problems(parsed: ParsedFile) -> Iterator[Problem]:
    parts = [unit for unit in parsed.units if unit.execution_mode is ExecutionMode.OUTSIDE_TRANSACTION]
    if len(parsed.units) > 1 or parts:
        unit = parts[0] if parts else parsed.units[1]
        where = statement_location(parsed.file, unit.statements[0])
        reason = unit.reason or "it has transactions of its own"
        yield Problem(
            reason, where if unit.statements else Location(parsed.file.relative_path), hint="use a migration"
        )
