"""Files with a number: golang-migrate, sqlx, goose, sql-migrate, dbmate, node-pg-migrate, Supabase, and no tool at all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath

from mosaic_deploy.errors import Location, Problem
from mosaic_deploy.model.snapshot import natural_order
from mosaic_deploy.source.migrations.layouts.layout import (
    DRAFT_FILE,
    FolderContent,
    Layout,
    ListedFile,
    Listing,
    NewFile,
    NewMigration,
    is_down,
    is_sql,
    plain_number,
    stem,
)

_NAME = re.compile(r"([0-9]+(?:\.[0-9]+)*)(?:[_-].*)?\.sql", re.IGNORECASE | re.DOTALL)
_MAX_DIGITS = 18
_TIMESTAMP = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-3])[0-5]\d[0-5]\d")
_MILLISECONDS = re.compile(r"1[0-9]{12}")
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)*)([_-]?)")
_FIRST = "0001"
TEMPLATE = """-- {title}
-- Runs once, in a transaction. After it is applied, put further changes in a new file.

"""
_SECTIONS = (
    ("-- +goose Up", "-- +goose Down"),
    ("-- +migrate Up", "-- +migrate Down"),
    ("-- migrate:up", "-- migrate:down"),
    ("-- Up Migration", "-- Down Migration"),
)
"""Markers of tools that write both directions in one file."""


def number_of(name: str) -> str:
    """The number in a file's name; empty if there is none, or one that is too long."""
    found = _NAME.fullmatch(name)
    number = plain_number(found[1]) if found else ""
    return number if len(number) <= _MAX_DIGITS else ""


def _candidates(content: FolderContent) -> list[str]:
    return [name for name in content.top if is_sql(name) and not is_down(name) and name.lower() != DRAFT_FILE]


def _evidence(content: FolderContent) -> list[str]:
    return [name for name in _candidates(content) if number_of(name)]


def list_numbered(content: FolderContent) -> Listing:
    """The files directly in the folder by number, those of one number by name."""
    names = _candidates(content)
    files = [ListedFile(name, number, stem(name)) for name in names if (number := number_of(name))]
    files.sort(key=lambda each: (natural_order(each.number), each.name))
    problems = tuple(_name_problem(name) for name in names if not number_of(name))
    return Listing(tuple(files), ignored=tuple(_ignored(content)), problems=problems)


def _ignored(content: FolderContent) -> Iterator[tuple[str, str]]:
    ups = {stem(name).lower() for name in _candidates(content)}
    for name in content.top:
        if is_down(name) and name.lower().removesuffix(".down.sql") not in ups:
            yield name, "is a down migration without its migration"
    for folder, names in content.subfolders.items():
        if any(number_of(name) for name in names):
            yield folder, "has migrations, but only files directly in the migrations folder are used"


def _name_problem(name: str) -> Problem:
    """What is wrong with a name that has no version, and a better one."""
    hint = "name it like 0001_create_users.sql or 20261123120000_create_users.sql"
    found = re.match(r"0*([0-9]+)", name)
    if found is None:
        return Problem("the name doesn't start with a version number", Location(name), hint=hint)
    if len(found.group(1)) > _MAX_DIGITS:
        message = f"the version number has more than {_MAX_DIGITS} digits"
        return Problem(message, Location(name), hint=hint)
    number, rest = found.group(), name[found.end() : -len(".sql")]
    better = f"{number}_{re.sub(r'[^0-9a-z]+', '_', rest.lower()).strip('_') or 'name'}.sql"
    message = f"missing _ or - after the version number {number}"
    return Problem(message, Location(name), hint=f"rename it to {better}")


def next_version(existing: Sequence[str], now: datetime) -> str:
    """The version after the last of `existing`, which are names that begin with a number, in the same format.

    After a timestamp comes the current time in UTC, or the timestamp plus 1 if that is later.
    """
    if not existing:
        return _FIRST
    found = _NUMBER.match(existing[-1])
    *before, newest = (found[1] if found else "0").split(".")
    if _TIMESTAMP.fullmatch(newest):
        newest = str(max(int(f"{now.astimezone(UTC):%Y%m%d%H%M%S}"), int(newest) + 1))
    elif _MILLISECONDS.fullmatch(newest):
        newest = str(max(int(now.timestamp() * 1000), int(newest) + 1))
    else:
        newest = str(int(newest) + 1).zfill(len(newest))
    return ".".join([*before, newest])


def _new(wanted: NewMigration) -> list[NewFile]:
    """In the style of the newest file: its kind of number, its separator, its pair or its sections."""
    newest = wanted.existing[-1] if wanted.existing else ""
    found = _NUMBER.match(newest)
    separator = (found[2] if found else "") or "_"
    name = f"{next_version(wanted.existing, wanted.now)}{separator}{_styled(wanted.slug, newest, separator)}"
    if newest.lower().endswith(".up.sql"):
        down = "-- {title}: undo it here\n\n"
        return [NewFile(f"{name}.up.sql", TEMPLATE), NewFile(f"{name}.down.sql", down)]
    text = wanted.content.read_text(newest) if newest else ""
    for up, down in _SECTIONS:
        if re.search(rf"^{re.escape(up)}", text, re.MULTILINE | re.IGNORECASE):
            return [NewFile(f"{name}.sql", f"{up}\n-- {{title}}\n\n{down}\n\n")]
    return [NewFile(f"{name}.sql", TEMPLATE)]


def _styled(slug: str, newest: str, separator: str) -> str:
    """With dashes if the newest name has them between its words."""
    return slug.replace("_", "-") if separator == "-" and "_" not in PurePosixPath(newest).stem else slug


NUMBERED = Layout("numbered", "numbered files", _evidence, list_numbered, _new)
