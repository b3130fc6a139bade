"""The version under which the history knows a file, and the one that a person means with a number or a name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from mosaic_deploy.errors import Location, Problem, UsageInvalid
from mosaic_deploy.model.snapshot import Migration, natural_order

MIGRATION_SQL = "migration.sql"
"""The file of a migration that is a folder, as Prisma makes it."""
_NUMBER = re.compile(r"v?([0-9]{1,30}(?:\.[0-9]{1,30}){0,9})(?=$|[_-]|\.sql$)", re.IGNORECASE)


def recorded_versions(folder: Sequence[Migration], rows: Sequence[Migration]) -> Mapping[str, str]:
    """By file, the version of its row if the folder gives it another one.

    A file's version has its name only if another file has the same number; which files there are changes over time.
    """
    by_file = {row.file: row.version for row in rows}
    taken = {file.version for file in folder}
    found: dict[str, str] = {}
    for file in folder:
        version = by_file.get(file.file, file.version)
        if version != file.version and version not in taken:
            found[file.file] = version
            taken.add(version)
    return found


def placed_rows(folder: Sequence[Migration], rows: Sequence[Migration]) -> tuple[Migration, ...]:
    """The rows in the order of the folder, as far as it has their files under the same version."""
    places = {file.version: file.order for file in folder if file.place}
    if not places:
        return tuple(rows)
    placed = (replace(row, place=places.get(row.version, row.place)) for row in rows)
    return tuple(sorted(placed, key=lambda row: row.order))


def find_version(given: str, known: Iterable[Migration], *, last: bool = False) -> str:
    """The version of the migration that `given` names: by version, number, file or folder.

    As a number if none has it. Raises UsageInvalid if several migrations have it; with `last` it is the last of them.
    """
    migrations = list(known)
    number = _number(given)
    versions = {migration.version for migration in migrations}
    for exact in (given, number):
        if exact in versions:
            return exact
    for meant in (_named(given, migrations), _numbered(number, migrations)):
        if found := sorted({m.version: m for m in meant}.values(), key=lambda m: m.order):
            if len(found) > 1 and not last:
                raise _ambiguous(given, found)
            return found[-1].version
    return number or given


def _number(given: str) -> str:
    """`11` for `0011`, `0011_add_price.sql` and `V11`; empty without a number."""
    found = _NUMBER.match(given)
    return ".".join(part.lstrip("0") or "0" for part in found[1].split(".")) if found else ""


def _named(given: str, migrations: Iterable[Migration]) -> Iterator[Migration]:
    path = PurePosixPath(given)
    for migration in migrations:
        file = PurePosixPath(migration.file)
        names = [file, file.with_suffix("")]
        if file.name == MIGRATION_SQL:
            names.append(file.parent)
        if any(path == name or path.parts[-len(name.parts) :] == name.parts for name in names):
            yield migration


def _numbered(number: str, migrations: Iterable[Migration]) -> Iterator[Migration]:
    wanted = natural_order(number)[0]
    return (each for each in migrations if number and natural_order(each.version)[0] == wanted)


def _ambiguous(given: str, found: Sequence[Migration]) -> UsageInvalid:
    problems = [Problem(f"has the version {each.version}", Location(each.file)) for each in found]
    return UsageInvalid(
        f"several migrations have the number {given}", problems=problems, hint="use one of these versions"
    )
