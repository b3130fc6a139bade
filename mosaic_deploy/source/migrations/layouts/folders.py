"""A folder for each migration, with the file migration.sql (Prisma, Drizzle from version 1) or up.sql (Diesel)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from mosaic_deploy.errors import Location, Problem
from mosaic_deploy.source.migrations.layouts.layout import (
    DRAFT_FILE,
    FolderContent,
    Layout,
    ListedFile,
    Listing,
    NewFile,
    NewMigration,
    is_sql,
    plain_number,
)
from mosaic_deploy.source.migrations.layouts.numbered import TEMPLATE, next_version

FILES = ("migration.sql", "up.sql")
_LOCK = "migration_lock.toml"
_PROVIDER = re.compile(r"^\s*provider\s*=\s*[\"']([^\"']*)", re.MULTILINE)
_NUMBER = re.compile(r"[0-9]+(?:-[0-9]+)*")
_DASHED = re.compile(r"\d{4}-\d\d-\d\d-\d{6}(-0000)?_")
"""Diesel's names; newer versions of it append zeros."""


def _evidence(content: FolderContent) -> list[str]:
    found = [f"{folder}/{name}" for folder, name in _migrations(content)]
    return found or [name for name in content.top if name == _LOCK]


def _migrations(content: FolderContent) -> Iterator[tuple[str, str]]:
    for folder, names in content.subfolders.items():
        if name := next((name for name in FILES if name in names), None):
            yield folder, name


def _list(content: FolderContent) -> Listing:
    """By name, as Prisma and Diesel sort; the order is that of characters and not of numbers."""
    files = [ListedFile(f"{folder}/{name}", _number(folder), folder) for folder, name in _migrations(content)]
    files.sort(key=lambda each: each.name)
    return Listing(tuple(files), ignored=tuple(_ignored(content)), problems=tuple(_lock_problems(content)))


def _number(folder: str) -> str:
    found = _NUMBER.match(folder)
    return plain_number(found.group().replace("-", "")) if found else ""


def _ignored(content: FolderContent) -> Iterator[tuple[str, str]]:
    for name in content.top:
        if is_sql(name) and name.lower() != DRAFT_FILE:
            yield name, "isn't in a folder of a migration"
    for folder, names in content.subfolders.items():
        if any(map(is_sql, names)) and not any(name in names for name in FILES):
            yield folder, "has no migration.sql"


def _lock_problems(content: FolderContent) -> Iterator[Problem]:
    if _LOCK not in content.top:
        return
    found = _PROVIDER.search(content.read_text(_LOCK))
    if found and found[1] not in ("postgresql", "postgres", "cockroachdb"):
        yield Problem(f"the migrations are for {found[1]}, not for PostgreSQL", Location(_LOCK))


def _new(wanted: NewMigration) -> list[NewFile]:
    """Prisma's name: a timestamp and the title; Diesel's if there are such folders."""
    newest = wanted.existing[-1] if wanted.existing else ""
    if newest.endswith("/up.sql"):
        now = wanted.now.astimezone(UTC)
        dashed = _DASHED.match(newest)
        number = f"{now:%Y-%m-%d-%H%M%S}{dashed[1] or ''}" if dashed else next_version(wanted.existing, now)
        folder = f"{number}_{wanted.slug}"
        return [
            NewFile(f"{folder}/up.sql", TEMPLATE),
            NewFile(f"{folder}/down.sql", "-- {title}: undo it here\n\n"),
        ]
    return [NewFile(f"{_timestamp(newest, wanted.now)}_{wanted.slug}/migration.sql", TEMPLATE)]


def _timestamp(newest: str, now: datetime) -> str:
    found = _NUMBER.match(newest)
    after = [newest] if found and len(found.group()) == 14 else ["20000101000000"]
    return next_version(after, now)


FOLDERS = Layout(
    "folders",
    "a folder for each migration (Prisma, Diesel)",
    _evidence,
    _list,
    _new,
    explains=lambda content: _LOCK in content.top,
)
