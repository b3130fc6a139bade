"""`migrate restore-file`: makes files of the folder what they were when they were applied. Runs no SQL."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from mosaic_deploy.deploy.history.read import HistoryContext, match_files, migration_path, require_project
from mosaic_deploy.deploy.planning.history_evidence import files_with_moved_statements
from mosaic_deploy.diff.history.identity import find_version
from mosaic_deploy.diff.history.matching import Match, Matches, MatchKind, name_without_number
from mosaic_deploy.errors import Location, Problem, RepairRefused
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.ledger.applied_sources import read_applied_sources
from mosaic_deploy.model.snapshot import Migration
from mosaic_deploy.source.migrations.layouts.numbered import next_version
from mosaic_deploy.source.migrations.rearrange import Rearrangement

_NAME = re.compile(r"([0-9]+)[_-][^/\\]*\.sql", re.IGNORECASE)


def plan_restore(api: Api, context: HistoryContext, versions: Sequence[str], now: datetime) -> Rearrangement:
    """The changes to the folder after which it has these migrations as they were applied. Reads only.

    A file that has the number of one gets out of the way: an applied file back to its own number, a new one to the next
    number, an edited one aside, and with it new files that its statements were moved to. Raises RepairRefused, ProjectNotFound.
    """
    require_project(context)
    matches = match_files(api, context).matches
    rows = [match.row for match in matches.rows]
    versions = [find_version(version, rows) for version in versions]
    if problems := [
        Problem("isn't in the migration history", Location(f"version {version}"))
        for version in versions
        if version not in matches.by_version
    ]:
        raise RepairRefused("this file can't be restored", problems=problems)
    wanted = {*versions, *(match.row.version for match in matches.rows if match.diverged)}
    layout = _Layout(context, matches, read_applied_sources(api, context.project.id, wanted), now)
    for version in versions:
        layout.restore(matches.by_version[version])
    return Rearrangement(layout.writes, layout.moves, tuple(layout.aside))


class _Layout:
    """The changes so far. Every file is handled once."""

    def __init__(
        self, context: HistoryContext, matches: Matches, texts: Mapping[str, str], now: datetime
    ) -> None:
        self._context, self._matches, self._texts, self._now = context, matches, texts, now
        self._files = {file.migration.version: file.migration for file in context.files}
        names = {*(m.file for m in self._files.values()), *(m.row.file for m in matches.rows)}
        self._names = sorted((name for name in names if _NAME.fullmatch(name)), key=_number)
        self.writes: dict[str, str] = {}
        self.moves: dict[str, str] = {}
        self.aside: dict[str, None] = {}

    def restore(self, match: Match) -> None:
        row, file = match.row, match.file
        name = self._applied_name(row)
        if file and (match.kind is MatchKind.MOVED or file.checksum == row.checksum):
            self._move(file.file, name)
        else:
            self._write(row, name)
            self._set_aside(file)
            self._set_parts_aside(match)
        self._clear_number(row)

    def _set_aside(self, file: Migration | None) -> None:
        """Keeps the file under another name, and restores all that it was made from."""
        if file is None or file.file in self.aside:
            return
        self.aside[file.file] = None
        for match in self._matches.rows:
            if match.file and match.file.file == file.file and match.row.file not in self.writes:
                self.restore(match)

    def _set_parts_aside(self, edited: Match) -> None:
        """Keeps new files that statements of an edited file were moved to, so that these don't run twice."""
        row, file = edited.row, edited.file
        if file and edited.kind is MatchKind.EDITED:
            by_version = self._context.by_version
            new = [by_version[one.version] for one in self._matches.new]
            found = files_with_moved_statements(row, self._texts[row.version], by_version[file.version], new)
            self.aside.update(dict.fromkeys(one.file for one in found if one.file not in self.moves))

    def _clear_number(self, row: Migration) -> None:
        """Moves the file that has the row's number out of the way, if it is another one.

        A new file that is named in the way of a tool keeps its name: the history tells equal numbers apart.
        """
        file = self._files.get(row.version)
        if file is None or file.file in self.moves or file.file in self.aside:
            return
        owner = self._matches.by_file.get(file.file)
        if owner is None and _NAME.fullmatch(file.file):
            number = next_version(self._names, self._now)
            name = f"{number}_{_rest(file.file)}"
            self._names.append(name)
            self._move(file.file, name)
        elif owner and owner.kind is MatchKind.MOVED:
            self.restore(owner)
        elif owner and owner.row != row:
            self._set_aside(file)

    def _move(self, old: str, new: str) -> None:
        if old != new:
            self.moves[old] = new

    def _write(self, row: Migration, name: str) -> None:
        text = self._texts.get(row.version)
        if text is None:
            raise self._refused(row, "its text in the migration history can't be read")
        self.writes[name] = text

    def _applied_name(self, row: Migration) -> str:
        """The row's file, whose name must have the number of its version. Never leaves the folder."""
        if not _is_usable(row):
            raise self._refused(row, f"the history has an unusable name for it: {row.file!r}")
        return row.file

    def _refused(self, row: Migration, why: str) -> RepairRefused:
        place = Location(migration_path(self._context, row.file) if _is_usable(row) else row.version)
        return RepairRefused("this file can't be restored", problems=[Problem(why, place)])


def _is_usable(row: Migration) -> bool:
    """Whether the row's file is an SQL file in the folder, not a hidden one, with the number of its version."""
    parts = row.file.split("/")
    safe = all(part and not part.startswith(".") and "\\" not in part for part in parts)
    if not safe or not row.file.isprintable() or not row.file.lower().endswith(".sql"):
        return False
    numbers = [int(digits) for digits in re.findall(r"[0-9]{1,30}", row.file)]
    wanted = row.order[0]
    return not wanted or any(tuple(numbers[at : at + len(wanted)]) == wanted for at in range(len(numbers)))


def _number(name: str) -> int:
    found = _NAME.fullmatch(name)
    return int(found.group(1)) if found else 0


def _rest(name: str) -> str:
    """The name behind the number, as it is written."""
    return name[len(name) - len(name_without_number(name)) - len(".sql") :]
