"""Finds the files of tools whose migrations are programs, with their SQL written out to files: Alembic and Django."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from mosaic_deploy.diff.history.matching import name_without_number
from mosaic_deploy.model.other_tools.tool import OtherToolRow, ToolFile

_REVISION = re.compile(
    rb"alembic_version\s+SET\s+version_num\s*=\s*'(\w+)'|alembic_version\s*\(version_num\)\s*VALUES\s*\('(\w+)'\)",
    re.IGNORECASE,
)
_TABLE = re.compile(rb'(?:CREATE|ALTER|DROP) TABLE "(\w+)"')


def revision_files(revision: str, files: Sequence[ToolFile]) -> list[ToolFile]:
    """The files after which the database is at this revision: by their SQL, else by their names."""
    found = [file for file in files if _last_revision(file) == revision]
    pattern = re.compile(rf"(?<![0-9A-Za-z]){re.escape(revision)}(?![0-9A-Za-z])")
    return found or [file for file in files if pattern.search(file.migration.file)]


def _last_revision(file: ToolFile) -> str:
    """The revision that the file's SQL writes last, as `alembic upgrade --sql` makes it; empty if there is none."""
    found = _REVISION.findall(file.content)
    return b"".join(found[-1]).decode() if found else ""


def apps_without_files(rows: Sequence[OtherToolRow], files: Sequence[ToolFile]) -> frozenset[str]:
    """The apps of which the folder has no file at all, such as those that Django brings along."""
    apps = {_app(row.name) for row in rows}
    present = {_app(row.name) for row in rows if app_files(row.name, rows, files)}
    return frozenset(apps - present)


def app_files(name: str, rows: Sequence[OtherToolRow], files: Sequence[ToolFile]) -> list[ToolFile]:
    """The files of the migration `app.name`: `0007_app_name.sql`, or `name.sql` if it belongs to that app.

    A file without the app in its name belongs to the app whose tables it changes, or to the only one with such a migration.
    """
    app, _, title = name.partition(".")
    with_app = _plain(f"{app}_{title}")
    found = [file for file in files if with_app in _names(file)]
    if found:
        return found
    bare = [file for file in files if _plain(title) in _names(file)]
    apps = {_app(row.name) for row in rows}
    rivals = {_app(row.name) for row in rows if row.name.partition(".")[2] == title}
    return [file for file in bare if app == _changed_app(file, apps) or rivals == {app}]


def _app(name: str) -> str:
    return name.partition(".")[0]


def _names(file: ToolFile) -> set[str]:
    """The file's name, and what follows its number."""
    stem = _plain(str(PurePosixPath(file.migration.file).with_suffix("")))
    return {stem, _plain(name_without_number(file.migration.file))}


def _changed_app(file: ToolFile, apps: Iterable[str]) -> str:
    """The app of the tables that the file creates or changes; empty if that isn't one."""
    found = {_app_of_table(table.decode(), apps) for table in _TABLE.findall(file.content)}
    return found.pop() if len(found) == 1 else ""


def _app_of_table(table: str, apps: Iterable[str]) -> str:
    return max((app for app in apps if table.startswith(f"{app}_")), key=len, default="")


def _plain(name: str) -> str:
    return re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_")
