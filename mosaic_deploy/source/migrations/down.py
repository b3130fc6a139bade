"""The way down of a migration: its `-- migrate:down` section, or the file NAME.down.sql beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from mosaic_deploy.source.migrations.files import SECTION, MigrationFile, read_sql_file

_UP = re.compile(r"(?:\.up)?\.sql$", re.IGNORECASE)
_NO_TRANSACTION = re.compile(r"\btransaction\s*[:=]\s*false\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Down:
    """`file` has the statements at the places where they stand, and nothing else; `shown` says where that is.

    `outside` is whether the mark asks for no transaction.
    """

    file: MigrationFile
    shown: str
    outside: bool = False


def read_down(root: Path, folder: str, file: MigrationFile) -> tuple[Down, ...]:
    """Every way down that a migration has: none, one, or (which nobody can mean) two. Raises SourceError's."""
    section = _section(file)
    name = _UP.sub(".down.sql", file.migration.file)
    beside = [path for path in (root / folder).iterdir() if path.name.lower() == name.lower()]
    files = (read_sql_file(root, path) for path in beside)
    return (*((section,) if section else ()), *(Down(each, each.migration.file) for each in files))


def _section(file: MigrationFile) -> Down | None:
    """The down section's text, with everything around it blanked so that places stay what they are."""
    marks = list(SECTION.finditer(file.text))
    at = next((n for n, mark in enumerate(marks) if mark.group(1) == "down"), None)
    if at is None:
        return None
    start = marks[at].end()
    end = marks[at + 1].start() if at + 1 < len(marks) else len(file.text)
    text = re.sub(r"[^\r\n]", " ", file.text[:start]) + file.text[start:end]
    outside = bool(_NO_TRANSACTION.search(marks[at].group(2)))
    return Down(replace(file, text=text), "its migrate:down section", outside)
