"""Down migrations: the down section of a file, or the file NAME.down.sql beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mosaic_deploy.source.migrations.files import MigrationFile, read_sql_file
from mosaic_deploy.sql.scripts.sections import down_section

_NUMBERED = re.compile(r"[0-9]+[_-].*\.sql", re.IGNORECASE)
_UP_SUFFIX = re.compile(r"(?:\.up)?\.sql$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class DownMigration:
    """A down migration. `file` contains only its statements, at their original offsets.

    `description` says where it is written; `no_transaction` is set by the section's marker.
    """

    file: MigrationFile
    description: str
    no_transaction: bool = False


def read_down_migrations(root: Path, folder: str, file: MigrationFile) -> tuple[DownMigration, ...]:
    """The down migrations of a migration: none, one, or two, which is a mistake. Raises SourceError."""
    section = _down_section(file)
    name = down_file_name(file.migration.file)
    beside = [path for path in (root / folder).iterdir() if path.name.lower() == name.lower()]
    files = (read_sql_file(root, path) for path in beside)
    return (*((section,) if section else ()), *(DownMigration(each, each.migration.file) for each in files))


def down_file_name(name: str) -> str:
    """`1_a.down.sql` for `1_a.sql` and `1_a.up.sql`."""
    return _UP_SUFFIX.sub(".down.sql", name)


def ignored_files(root: Path, folder: str) -> Iterator[tuple[str, str]]:
    """(path relative to `root`, why it is ignored) of down files without their migration, and of SQL in subfolders."""
    try:
        entries = sorted(path for path in (root / folder).iterdir() if not path.name.startswith("."))
    except OSError:
        return
    names = {down_file_name(path.name).lower() for path in entries if not _is_down(path.name)}
    for path in entries:
        shown = path.relative_to(root).as_posix()
        if _is_down(path.name) and path.name.lower() not in names:
            yield shown, "is a down migration without its migration"
        elif path.is_dir() and not path.is_symlink() and _has_migrations(path):
            yield shown, "has migrations, but only files directly in the migrations folder are used"


def _has_migrations(folder: Path) -> bool:
    try:
        return any(_NUMBERED.fullmatch(path.name) for path in folder.iterdir())
    except OSError:
        return False


def _is_down(name: str) -> bool:
    return name.lower().endswith(".down.sql")


def _down_section(file: MigrationFile) -> DownMigration | None:
    section = down_section(file.text)
    if section is None:
        return None
    return DownMigration(
        replace(file, text=section.text), f"its section {section.mark}", section.no_transaction
    )


def section_as_applied(file: MigrationFile) -> DownMigration | None:
    """The down migration in a migration's own text, which may be of a file that is gone."""
    return _down_section(file)
