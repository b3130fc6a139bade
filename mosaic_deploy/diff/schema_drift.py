"""What a comparison with the recorded schema means, for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from mosaic_deploy.diff.schema import Unmanaged, schema_changes
from mosaic_deploy.model.catalog import SchemaChange, SchemaComparison, SchemaDrift, SchemaState
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.snapshot import BEFORE_ALL, Migration

SCHEMA_DRIFT, DRIFT_UNCHECKED = "schema_drift", "drift_unchecked"
"""The codes of the notes that the schema drifted, and that this couldn't be found out."""
DRIFT_NEXT = "schema_drift_next"
"""The code of the note about what to do with drift."""
_ACCEPT = "`mosaic-deploy migrate drift --accept`"
_MAX_IN_NOTE = 10


def of_managed_objects(found: SchemaComparison, unmanaged: Unmanaged) -> SchemaComparison:
    """The comparison without the objects that the project doesn't manage."""
    if found.state is not SchemaState.DRIFTED:
        return found
    before, after = unmanaged.without(found.before), unmanaged.without(found.after)
    same = not (before or after or found.truncated)
    return replace(found, state=SchemaState.UNCHANGED if same else found.state, before=before, after=after)


def schema_drift(found: SchemaComparison | None, *, deploying: bool = False) -> SchemaDrift | None:
    """The differences as changes. None if nothing was to be compared. `deploying`: another deploy is running."""
    if found is None:
        return None
    return SchemaDrift(
        found.state,
        schema_changes(found.before, found.after),
        _message(found, deploying=deploying),
        found.deploy_id,
        found.recorded_at,
        found.digest,
        found.truncated,
    )


def _message(found: SchemaComparison, *, deploying: bool) -> str:
    recorded, now = found.servers
    match found.state:
        case SchemaState.NOT_RECORDED:
            return "no deploy has recorded the schema yet; the next apply does"
        case SchemaState.UNFINISHED if deploying:
            return (
                "schema drift wasn't checked: a deploy is running, or was interrupted and still has its lock"
            )
        case SchemaState.UNFINISHED:
            return (
                f"schema drift wasn't checked: deploy {found.open_by} ended before it recorded the schema; "
                "the next apply records it"
            )
        case SchemaState.SERVER_CHANGED:
            return (
                f"schema drift wasn't checked: PostgreSQL {recorded} recorded the schema, and this is {now}; "
                "the next apply records it again"
            )
        case SchemaState.UNREADABLE | SchemaState.DAMAGED:
            return f"schema drift wasn't checked: {found.reason}"
        case _:
            return ""


def drift_notes(drift: SchemaDrift | None) -> Iterator[Note]:
    """A note if the schema drifted, or if that couldn't be found out; nothing before the first record."""
    if drift is None or drift.state in (SchemaState.NOT_RECORDED, SchemaState.UNCHANGED):
        return
    if drift.state is SchemaState.DRIFTED:
        yield Note(SCHEMA_DRIFT, f"schema drift: {drift_text(drift, _MAX_IN_NOTE)}", Severity.WARNING)
        yield Note(DRIFT_NEXT, f"to record the drift as it is: {_ACCEPT}")
    else:
        serious = drift.state in (SchemaState.UNREADABLE, SchemaState.DAMAGED)
        severity = Severity.WARNING if serious else Severity.INFO
        yield Note(DRIFT_UNCHECKED, drift.message, severity)


def drift_in_files(notes: Iterable[Note]) -> tuple[Note, ...]:
    """The notes of a plan after a rehearsal from recorded files that make the live schema with its drift."""
    message = f"the recorded files already make what drifted; accept it: {_ACCEPT}"
    return tuple(replace(note, message=message) if note.code == DRIFT_NEXT else note for note in notes)


def how_to_keep(history: Iterable[Migration], recorded: Sequence[str] = ()) -> str:
    """What to do with changes made by hand that are meant, so that the files make the live schema again.

    `history` are all recorded migrations, `recorded` the files that were recorded since the drift was last compared, without
    running them.
    """
    numbers = max((row.order for row in history), default=BEFORE_ALL)[0]
    version = ".".join(map(str, (*numbers[:-1], numbers[-1] + 1))) if numbers else "1"
    write = (
        f"write a migration that makes them, with the number {version}, give pending files higher ones, and record it as applied without running it "
        f"(`mosaic-deploy migrate repair --applied {version}:1`; 1 is its last step)"
    )
    if not recorded:
        return write
    names = (
        f"{', '.join(recorded)} {'was' if len(recorded) == 1 else 'were'} recorded since then without running"
    )
    return f"{names}; if the files make all of these changes, nothing; otherwise {write}"


_SIGNS = {"add": "+", "change": "~", "drop": "-"}


def drift_text(drift: SchemaDrift, most: int) -> str:
    """`- table votes; + column books.sneaky integer; and 3 more`."""
    shown = [change_text(each) for each in drift.changes[:most]]
    if more := len(drift.changes) - len(shown):
        shown.append(f"and {more} more")
    return "; ".join(shown)


def change_text(change: SchemaChange) -> str:
    """`+ column books.sneaky integer`."""
    return f"{_SIGNS[change.action]} {change.summary}"
