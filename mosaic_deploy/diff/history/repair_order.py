"""Files that a repair leaves pending before an applied one: the next plan refuses them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mosaic_deploy.diff.history.matching import Matches
from mosaic_deploy.model.change import ForgetMigration, HistoryChange, RecordMigration
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.snapshot import Migration

_MAX_NAMES = 5
"""Maximum migrations named in a note."""


def order_notes(matches: Matches, changes: Sequence[HistoryChange]) -> Iterator[Note]:
    """A warning if the newest applied file will be one after pending files, and one if an older file becomes pending again."""
    recorded = {change.version: change for change in changes if isinstance(change, RecordMigration)}
    gone = {change.version for change in changes if isinstance(change, ForgetMigration)}
    gone |= {change.renumbered_from for change in recorded.values()}
    rows = [match for match in matches.rows if match.row.version not in gone]
    before = max((match.row.order for match in rows if match.row.applied), default=-1)
    applied = [change for change in recorded.values() if change.steps_done == change.steps]
    newest = max(applied, key=lambda change: int(change.version), default=None)
    after = max(before, int(newest.version) if newest else -1)
    left = [file for file in matches.new if file.version not in recorded and file.order < after]
    if newest and after > before and left:
        left.sort(key=lambda file: file.order)
        between = left[0].order - before - 1
        taken = sum(before < int(version) < left[0].order for version in recorded)
        yield _note(_recorded_text(newest, left, has_room=between > taken), left)
    again = [
        match.file
        for match in matches.rows
        if match.file and match.file.version == match.row.version
        if match.row.version in gone - recorded.keys() and match.row.order < after
    ]
    if again:
        text = f"{_names_text(again)} will be pending, and version {after} is already applied"
        yield _note(f"{text}; renumber {_them(again)}, or pass --allow-out-of-order to the next apply", again)


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
