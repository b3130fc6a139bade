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


class AppFiles:
    """The files of Django's migrations, which belong to apps.

    A file without the app in its name (`0001_initial.sql`) belongs to the app whose tables it changes, or to the only one
    with such a migration.
    """

    def __init__(self, rows: Sequence[OtherToolRow], files: Sequence[ToolFile]) -> None:
        self.apps = frozenset(_app(row.name) for row in rows)
        self._rows = rows
        self._by_name: dict[str, list[ToolFile]] = {}
        for file in files:
            for name in _names(file):
                self._by_name.setdefault(name, []).append(file)
        self._rivals: dict[str, set[str]] = {}
        for row in rows:
            self._rivals.setdefault(_title(row.name), set()).add(_app(row.name))

    def find(self, name: str) -> Sequence[ToolFile]:
        """The files of the migration `app.name`."""
        app, title = _app(name), _title(name)
        if found := self._by_name.get(_plain(f"{app}_{title}")):
            return found
        alone = self._rivals.get(title) == {app}
        bare = self._by_name.get(_plain(title), ())
        return [file for file in bare if alone or _changed_app(file, self.apps) == app]

    def strangers(self) -> frozenset[str]:
        """The apps of which the folder has no file at all, such as those that Django brings along."""
        return self.apps - {_app(row.name) for row in self._rows if self.find(row.name)}


def _app(name: str) -> str:
    return name.partition(".")[0]


def _title(name: str) -> str:
    return name.partition(".")[2]


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
