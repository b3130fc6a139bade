"""Down migrations: the down section of a file, or the file beside it that its tool runs to undo it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from mosaic_deploy.source.migrations.files import MigrationFile
from mosaic_deploy.source.migrations.layouts.folders import FILES
from mosaic_deploy.source.migrations.layouts.layout import plain_number
from mosaic_deploy.source.migrations.listing import read_sql_file
from mosaic_deploy.sql.scripts.sections import down_section

_FLYWAY = re.compile(r"V([0-9]+(?:[._][0-9]+)*)(__.*)?\.sql", re.DOTALL)
_UP_SUFFIX = re.compile(r"(?:\.up)?\.sql$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class DownMigration:
    """A down migration. `file` contains only its statements, at their original offsets.

    `description` says where it is written; `no_transaction` is what in the section's marker turns transactions off.
    """

    file: MigrationFile
    description: str
    no_transaction: str = ""


def read_down_migrations(root: Path, folder: str, file: MigrationFile) -> tuple[DownMigration, ...]:
    """The down migrations of a migration: none, one, or two, which is a mistake. Raises SourceError."""
    section = _down_section(file)
    name = down_file_name(file.migration.file)
    place = (root / folder / name).parent
    undoes = _undoes(PurePosixPath(file.migration.file).name)
    beside = [path for path in sorted(place.iterdir()) if undoes(path.name)]
    files = (read_sql_file(root, path, file.migration.version) for path in beside)
    return (
        *((section,) if section else ()),
        *(
            DownMigration(each, PurePosixPath(each.relative_path).relative_to(folder).as_posix())
            for each in files
        ),
    )


def down_file_name(name: str) -> str:
    """`1_a.down.sql` for `1_a.sql` and `1_a.up.sql`; `1_a/down.sql` for `1_a/migration.sql`; `U1__a.sql` for `V1__a.sql`."""
    path = PurePosixPath(name)
    if path.name in FILES:
        return str(path.with_name("down.sql"))
    if found := _FLYWAY.fullmatch(path.name):
        return str(path.with_name(f"U{found[1]}{found[2] or ''}.sql"))
    return _UP_SUFFIX.sub(".down.sql", name)


def _undoes(name: str) -> Callable[[str], bool]:
    """Whether a name beside `name` is that of its down migration. Flyway compares only the versions."""
    down = PurePosixPath(down_file_name(name)).name.lower()
    if found := _FLYWAY.fullmatch(name):
        version = plain_number(found[1])
        return lambda other: (
            other.startswith("U")
            and (
                (undo := _FLYWAY.fullmatch(f"V{other[1:]}")) is not None and plain_number(undo[1]) == version
            )
        )
    return lambda other: other.lower() == down


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
