"""The way down of a migration: its `-- migrate:down` section, or the file NAME.down.sql beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from mosaic_deploy.source.migrations.files import SECTION_MARK, MigrationFile, read_sql_file

_UP_SUFFIX = re.compile(r"(?:\.up)?\.sql$", re.IGNORECASE)
_NO_TRANSACTION = re.compile(r"\btransaction\s*[:=]\s*false\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class DownMigration:
    """`file` has the statements at the places where they stand, and nothing else; `description` says where that is.

    `no_transaction` is whether the mark asks for no transaction.
    """

    file: MigrationFile
    description: str
    no_transaction: bool = False


def read_down_migrations(root: Path, folder: str, file: MigrationFile) -> tuple[DownMigration, ...]:
    """Every way down that a migration has: none, one, or (which nobody can mean) two. Raises SourceError's."""
    section = _down_section(file)
    name = _UP_SUFFIX.sub(".down.sql", file.migration.file)
    beside = [path for path in (root / folder).iterdir() if path.name.lower() == name.lower()]
    files = (read_sql_file(root, path) for path in beside)
    return (*((section,) if section else ()), *(DownMigration(each, each.migration.file) for each in files))


def _down_section(file: MigrationFile) -> DownMigration | None:
    """The down section's text, with everything around it blanked so that places stay what they are."""
    marks = list(SECTION_MARK.finditer(file.text))
    at = next((n for n, mark in enumerate(marks) if mark.group(1) == "down"), None)
    if at is None:
        return None
    start = marks[at].end()
    end = marks[at + 1].start() if at + 1 < len(marks) else len(file.text)
    text = re.sub(r"[^\r\n]", " ", file.text[:start]) + file.text[start:end]
    outside = bool(_NO_TRANSACTION.search(marks[at].group(2)))
    return DownMigration(replace(file, text=text), "its migrate:down section", outside)
