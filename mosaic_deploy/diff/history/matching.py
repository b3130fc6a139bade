"""Which file of the folder each row of the migration history belongs to: by number, name and checksums."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from mosaic_deploy.diff.history.identity import MIGRATION_SQL
from mosaic_deploy.model.snapshot import BEFORE_ALL, Migration, Order

_NUMBER = re.compile(r"^(?:[VU][0-9]+(?:[._][0-9]+)*__|[0-9]+(?:\.[0-9]+)*(?:__|[_-])?|R__)", re.IGNORECASE)
_SUFFIX = re.compile(r"(?:\.up)?\.sql$", re.IGNORECASE)


class MatchKind(StrEnum):
    SAME = "same"
    """The same number and the same statements."""
    MOVED = "moved"
    """The same statements under another number."""
    EDITED = "edited"
    """A file that was made from it, with other statements."""
    SQUASHED = "squashed"
    """A file that has its statements and those of other rows, in order."""
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Match:
    """A row and its file; None if it is missing."""

    row: Migration
    kind: MatchKind
    file: Migration | None = None

    @property
    def diverged(self) -> bool:
        """Whether the folder contradicts the row. A row of which nothing can have run needs no file."""
        return self.kind is not MatchKind.SAME and (self.row.begun or self.kind is MatchKind.MOVED)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the applied texts show about rows that no file equals. Keys are rows' versions, values are file names."""

    edited: Mapping[str, str] = field(default_factory=dict)
    """The file that was made from the row's text, under any number or name."""
    squashed: Mapping[str, str] = field(default_factory=dict)
    """The file with the statements of this row and of others."""
    with_down: frozenset[str] = frozenset()
    """Versions whose applied text has a down migration."""


@dataclass(frozen=True)
class Matches:
    """Every row in order, and the files that belong to none."""

    rows: tuple[Match, ...]
    new: tuple[Migration, ...]

    @cached_property
    def by_version(self) -> dict[str, Match]:
        """The rows by the version in the history."""
        return {match.row.version: match for match in self.rows}

    @cached_property
    def by_file(self) -> dict[str, Match]:
        """The row of each file that belongs to one; of several, the first."""
        return {match.file.file: match for match in reversed(self.rows) if match.file}

    @cached_property
    def newest(self) -> Order:
        """Where the last applied row comes; BEFORE_ALL without one."""
        return max((match.row.order for match in self.rows if match.row.applied), default=BEFORE_ALL)

    def renumbering(self, version: str) -> tuple[Match, ...] | None:
        """The rows to record under new numbers so that `version` gets its file's: it, and each that is in the way.

        None if a row is in the way that can't move.
        """
        chain: list[Match] = []
        at: str | None = version
        while at in self.by_version and self.by_version[at] not in chain:
            match = self.by_version[at]
            if match.kind is not MatchKind.MOVED or match.file is None:
                return None
            chain.append(match)
            at = match.file.version
        return tuple(chain)

    @cached_property
    def trailing_missing(self) -> tuple[Match, ...]:
        """The newest rows, if their files are missing: those after the last row with a file."""
        started = [match for match in self.rows if match.row.steps_done]
        present = max((m.row.order for m in started if m.kind is not MatchKind.MISSING), default=BEFORE_ALL)
        return tuple(m for m in started if m.row.order > present)


def match_history(
    folder: Sequence[Migration], rows: Sequence[Migration], evidence: Evidence | None = None
) -> Matches:
    """Matches files with rows. Files that aren't equal to the row of their number must be parsed (`semantic`).

    Without `evidence` a file counts as the edited version of the row that has its number. Each file belongs to one
    row at most, unless it is the edited or squashed form of several.
    """
    matching = _Matching(folder, rows)
    matching.pair_equal_numbers(MatchKind.SAME, lambda file, row: not _differ(file, row))
    for same in (_same_name_and_statements, same_statements):
        matching.pair(MatchKind.MOVED, same)
    matching.pair_equal_numbers(
        MatchKind.SAME, lambda file, row: not row.steps_done and _same_name(file, row)
    )
    if evidence is not None:
        matching.assign(MatchKind.SQUASHED, evidence.squashed)
        matching.assign(MatchKind.EDITED, evidence.edited)
    # Of a row without a committed step the whole file may still change.
    matching.pair_equal_numbers(MatchKind.SAME, lambda _, row: not row.steps_done)
    matching.pair_equal_numbers(MatchKind.EDITED, _same_name if evidence is not None else lambda *_: True)
    return matching.result()


class _Matching:
    """The rows and files that have no partner yet, and the pairs found so far."""

    def __init__(self, folder: Sequence[Migration], rows: Sequence[Migration]) -> None:
        self._folder, self._rows = folder, sorted(rows, key=lambda row: row.order)
        self._free = {file.file: file for file in folder}
        self._found: dict[str, Match] = {}

    def pair(self, kind: MatchKind, belongs: Callable[[Migration, Migration], bool]) -> None:
        """Pairs each open row with the first free file that `belongs` to it."""
        for row in self._open_rows():
            if file := next((each for each in self._free.values() if belongs(each, row)), None):
                self._add(Match(row, kind, file))

    def _add(self, match: Match) -> None:
        self._found[match.row.version] = match
        if match.file:
            del self._free[match.file.file]

    def pair_equal_numbers(self, kind: MatchKind, belongs: Callable[[Migration, Migration], bool]) -> None:
        """As `pair`, among rows and files of the same number."""
        by_version = {file.version: file for file in self._free.values()}
        for row in self._open_rows():
            if (file := by_version.get(row.version)) and belongs(file, row):
                self._add(Match(row, kind, file))

    def assign(self, kind: MatchKind, files: Mapping[str, str]) -> None:
        """Pairs open rows with the file that `files` has for them; one file may have several rows."""
        used = set()
        for row in self._open_rows():
            if row.begun and (file := self._free.get(files.get(row.version, ""))):
                self._found[row.version] = Match(row, kind, file)
                used.add(file.file)
        self._free = {name: file for name, file in self._free.items() if name not in used}

    def _open_rows(self) -> list[Migration]:
        return [row for row in self._rows if row.version not in self._found]

    def result(self) -> Matches:
        rows = tuple(self._found.get(row.version, Match(row, MatchKind.MISSING)) for row in self._rows)
        return Matches(rows, tuple(file for file in self._folder if file.file in self._free))


def statements_differ(wanted: Migration, found: Migration) -> bool:
    """Whether a file's statements differ from those in the ledger. If the checksums differ, it must be parsed."""
    if wanted.checksum == found.checksum:
        return False
    if found.applied:
        return wanted.semantic != found.semantic
    return wanted.prefix_checksums[found.steps_done - 1 : found.steps_done] != (found.semantic,)


def name_without_number(file: str) -> str:
    """`add_price` of `0002_add_price.sql`, in lower case; also of `V2__add_price.sql` and `2_add_price/migration.sql`."""
    folder, _, name = file.rpartition("/")
    if folder and name == MIGRATION_SQL:
        name = folder
    return _NUMBER.sub("", _SUFFIX.sub("", name), count=1).lower()


def _same_name(file: Migration, row: Migration) -> bool:
    return name_without_number(file.file) == name_without_number(row.file)


def _same_name_and_statements(file: Migration, row: Migration) -> bool:
    return _same_name(file, row) and same_statements(file, row)


def same_statements(file: Migration, row: Migration) -> bool:
    """Files without statements are all equal, so those need the same bytes."""
    return file.checksum == row.checksum or (not row.has_no_statements and not _differ(file, row))


def _differ(file: Migration, row: Migration) -> bool:
    """As `statements_differ`; of a row without a committed step only the bytes are known."""
    return statements_differ(file, row) if row.steps_done else file.checksum != row.checksum
