"""Down migrations: the `-- migrate:down` section of a file, or the file NAME.down.sql beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from mosaic_deploy.source.migrations.files import SECTION_MARK, MigrationFile, read_sql_file

_UP_SUFFIX = re.compile(r"(?:\.up)?\.sql$", re.IGNORECASE)
_NO_TRANSACTION = re.compile(r"\btransaction\s*[:=]\s*false\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class DownMigration:
    """A down migration. `file` contains only its statements, at their original offsets.

    `description` says where it is written; `no_transaction` is set by `transaction:false` after the section mark.
    """

    file: MigrationFile
    description: str
    no_transaction: bool = False


def read_down_migrations(root: Path, folder: str, file: MigrationFile) -> tuple[DownMigration, ...]:
    """The down migrations of a migration: none, one, or two, which is a mistake. Raises SourceError."""
    section = _down_section(file)
    name = _UP_SUFFIX.sub(".down.sql", file.migration.file)
    beside = [path for path in (root / folder).iterdir() if path.name.lower() == name.lower()]
    files = (read_sql_file(root, path) for path in beside)
    return (*((section,) if section else ()), *(DownMigration(each, each.migration.file) for each in files))


def _down_section(file: MigrationFile) -> DownMigration | None:
    """The down section. Everything before it is replaced by spaces, so that offsets stay the same."""
    marks = list(SECTION_MARK.finditer(file.text))
    index = next((n for n, mark in enumerate(marks) if mark.group(1) == "down"), None)
    if index is None:
        return None
    start = marks[index].end()
    end = marks[index + 1].start() if index + 1 < len(marks) else len(file.text)
    text = re.sub(r"[^\r\n]", " ", file.text[:start]) + file.text[start:end]
    no_transaction = bool(_NO_TRANSACTION.search(marks[index].group(2)))
    return DownMigration(replace(file, text=text), "its migrate:down section", no_transaction)


def section_as_applied(file: MigrationFile) -> DownMigration | None:
    """The down migration in a migration's own text, which may be of a file that is gone."""
    return _down_section(file)
