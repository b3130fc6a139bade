"""Files that a repair leaves pending before an applied one: the next plan refuses them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from mosaic_deploy.diff.history.matching import Matches
from mosaic_deploy.model.change import ForgetMigration, HistoryChange, RecordMigration
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.snapshot import BEFORE_ALL, Migration, Order

_MAX_NAMES = 5
"""Maximum migrations named in a note."""


def order_notes(matches: Matches, changes: Sequence[HistoryChange]) -> Iterator[Note]:
    """A warning if the newest applied file will be one after pending files, and one if an older file becomes pending again."""
    recorded = {change.version: change for change in changes if isinstance(change, RecordMigration)}
    gone = {change.version for change in changes if isinstance(change, ForgetMigration)}
    gone |= {change.renumbered_from for change in recorded.values()}
    rows = [match for match in matches.rows if match.row.version not in gone]
    order = {each.version: each.order for match in matches.rows for each in (match.row, match.file) if each}
    order |= {file.version: file.order for file in matches.new}
    before = max((match.row.order for match in rows if match.row.applied), default=BEFORE_ALL)
    applied = [change for change in recorded.values() if change.steps_done == change.steps]
    newest = max(applied, key=lambda change: order[change.version], default=None)
    after = max(before, order[newest.version] if newest else BEFORE_ALL)
    left = [file for file in matches.new if file.version not in recorded and file.order < after]
    if newest and after > before and left:
        left.sort(key=lambda file: file.order)
        taken = sum(before < order[version] < left[0].order for version in recorded)
        has_room = _free_numbers(before, left[0].order) > taken
        yield _note(_recorded_text(newest, left, has_room=has_room), left)
    again = [
        match.file
        for match in matches.rows
        if match.file and match.file.version == match.row.version
        if match.row.version in gone - recorded.keys() and match.row.order < after
    ]
    if again:
        last = next((version for version, place in order.items() if place == after), "")
        text = f"{_names_text(again)} will be pending, and version {last} is already applied"
        yield _note(f"{text}; renumber {_them(again)}, or pass --allow-out-of-order to the next apply", again)


def _free_numbers(before: Order, after: Order) -> float:
    """How many whole numbers are between two places; any number if their numbers have more parts."""
    first, last = before[0] or (-1,), after[0]
    return last[0] - first[0] - 1 if len(first) == len(last) == 1 else math.inf


def _recorded_text(newest: RecordMigration, older: Sequence[Migration], *, has_room: bool) -> str:
    """`has_room`: there is a free number after the applied files and before `older`."""
    text = f"{_names_text(older)} {'are' if len(older) > 1 else 'is'} older and pending"
    if not has_room:
        return f"{text}; renumber {_them(older)} after {newest.file}"
    them = "them" if len(older) > 1 else older[0].file
    return f"{text}; give {newest.file} a number before {_them(older)}, or renumber {them} after it"


def _note(message: str, files: Sequence[Migration]) -> Note:
    addresses = tuple(f"migration:{file.file}" for file in files)
    return Note("pending_before_applied", message, Severity.WARNING, addresses)


def _them(files: Sequence[Migration]) -> str:
    return "them" if len(files) > 1 else "it"


def _names_text(files: Sequence[Migration]) -> str:
    names = [file.file for file in files]
    if len(names) > _MAX_NAMES:
        names[_MAX_NAMES - 1 :] = [f"{len(names) - _MAX_NAMES + 1} more"]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
