"""Seed files: SQL that fills the database after the migrations."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from mosaic_deploy.errors import Location, ManifestInvalid, MigrationInvalid, Problem, SourceUnreadable
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.model.snapshot import Object
from mosaic_deploy.source.migrations.files import (
    REPEATABLE_VERSION,
    SEED_VERSION,
    MigrationFile,
    ParsedFile,
    parse_migrations,
    statement_location,
)
from mosaic_deploy.source.migrations.listing import read_sql_file
from mosaic_deploy.sql.execution.split import ExecutionMode


def read_seeds(manifest: Manifest) -> tuple[MigrationFile, ...]:
    """The seed files in the order of `database.seeds`, by name within a folder; each once, not yet parsed.

    Their `version` is seed:1, seed:2, …. Raises ManifestInvalid for a file that isn't .sql, SourceError, MigrationInvalid.
    """
    root = manifest.root
    seeds = manifest.database.seeds if manifest.database else ()
    _require_sql_files(manifest, seeds)
    paths = dict.fromkeys(path for name in seeds for path in _seed_paths(root / name))
    files = [read_sql_file(root, path) for path in paths]
    return tuple(
        replace(
            file,
            migration=replace(file.migration, version=f"{SEED_VERSION}{number}", file=file.relative_path),
        )
        for number, file in enumerate(files, 1)
    )


def seed_objects(files: Iterable[MigrationFile]) -> dict[str, Object]:
    """The files as Objects by path. The size is that of the text in UTF-8."""
    return {
        file.relative_path: Object(file.relative_path, file.migration.checksum, file.size) for file in files
    }


def _seed_paths(path: Path) -> Iterator[Path]:
    try:
        if not path.is_dir():
            yield path
            return
        inside = sorted(path.iterdir())
    except OSError as error:
        raise SourceUnreadable(f"can't read a seed: {error}") from error
    yield from (p for p in inside if p.suffix.lower() == ".sql" and not p.name.startswith("."))


def _require_sql_files(manifest: Manifest, seeds: Sequence[str]) -> None:
    """Raises ManifestInvalid for seeds that are neither .sql files nor folders."""
    problems = []
    for number, seed in enumerate(seeds):
        path = manifest.root / seed
        if path.suffix.lower() != ".sql" and not os.path.isdir(path):  # noqa: PTH112 - never raises
            field = f"database.seeds[{number}]"
            problems.append(Problem(f"{seed} isn't a .sql file", manifest.locate(field), field))
    if problems:
        raise ManifestInvalid("seeds must be .sql files, or folders of them", problems=problems)


def parse_seeds(files: Sequence[MigrationFile]) -> tuple[ParsedFile, ...]:
    """Parses seeds. Raises MigrationInvalid for syntax errors and for statements that can't run in one transaction."""
    parsed = parse_migrations(files)
    problems = [problem for each in parsed for problem in _problems(each)]
    if problems:
        what = "repeatable file" if files[0].migration.version.startswith(REPEATABLE_VERSION) else "seed"
        raise MigrationInvalid(f"a {what} must run as one transaction", problems=problems)
    return parsed


def _problems(parsed: ParsedFile) -> Iterator[Problem]:
    outside = [step for step in parsed.steps if step.execution_mode is ExecutionMode.OUTSIDE_TRANSACTION]
    if len(parsed.steps) > 1 or outside:
        step = outside[0] if outside else parsed.steps[1]
        location = statement_location(parsed.file, step.statements[0])
        reason = step.reason or "it has its own transactions"
        yield Problem(
            reason,
            location if step.statements else Location(parsed.file.relative_path),
            hint="move it to a migration",
        )
