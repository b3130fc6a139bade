"""How each migration stands: the folder against the ledger, file by file, with the ways to put it right."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace

from mosaic_deploy.diff.migrations import differs
from mosaic_deploy.errors import NextAction
from mosaic_deploy.model.migration_status import Entry, Line, Standing
from mosaic_deploy.model.snapshot import Migration

_UNFINISHED = (Standing.FAILED, Standing.UNKNOWN, Standing.PARTIAL, Standing.PENDING)
"""What stands as the run that failed left it; of any other standing that run's failure is no cause."""
_REPAIR = "mosaic-deploy migrate repair"


def edited(folder: Sequence[Migration], entries: Sequence[Entry]) -> list[str]:
    """Versions whose files must be parsed before `standings`: begun or applied with other bytes."""
    begun = {entry.migration.version: entry.migration for entry in entries}
    return [m.version for m in folder if m.version in begun and begun[m.version].checksum != m.checksum]


def standings(folder: Sequence[Migration], entries: Sequence[Entry]) -> tuple[Line, ...]:
    """Every migration of either side, in numeric order."""
    here = {m.version: m for m in folder}
    known = {entry.migration.version: entry for entry in entries}
    return tuple(
        _line(here.get(version), known.get(version))
        for version in sorted(here.keys() | known.keys(), key=int)
    )


def _line(file: Migration | None, entry: Entry | None) -> Line:
    if entry is None:
        assert file is not None
        return Line(file.version, file.file, Standing.PENDING)
    standing = standing_of(file, entry)
    if standing not in _UNFINISHED:
        entry = replace(entry, cause="")
    name = file.file if file else entry.migration.file
    applied_as = entry.migration.file if file and entry.migration.file != name else ""
    ways = tuple(_ways(standing, file, entry, applied_as))
    return Line(entry.migration.version, name, standing, entry, applied_as, ways)


def standing_of(file: Migration | None, entry: Entry) -> Standing:
    """How the ledger's row stands to the folder's file of its version."""
    row = entry.migration
    if entry.unknown:
        return Standing.UNKNOWN
    if file is None:
        return Standing.MISSING if row.units_done else Standing.PENDING
    if row.units_done and differs(file, row):
        return Standing.EDITED
    if row.applied:
        return Standing.APPLIED if file.checksum == row.checksum else Standing.REFORMATTED
    return Standing.FAILED if entry.failed else _begun(row)


def _begun(row: Migration) -> Standing:
    return Standing.PARTIAL if row.units_done else Standing.PENDING


def ways_of_edited(file: Migration, row: Migration) -> Iterator[NextAction]:
    """What can be done about a file that means something else than what of it was applied."""
    if row.applied and row.means_nothing:
        yield NextAction(
            f"if what {file.file} says now is still to be run: forget the version without a statement",
            f"{_REPAIR} --forget {row.version}",
        )
    if row.applied or file.units == row.units:
        yield _repair(
            f"if the database is already as {file.file} says now: record that, and run nothing",
            f"--accept {shlex.quote(file.file)}",
        )
    if not row.applied:
        yield _repair("if what was applied of it was undone by hand", f"--not-applied {row.version}:1")


def way_of_missing(row: Migration) -> NextAction:
    """What can be done about an applied file that is gone, besides putting it back."""
    return _repair(f"if {row.file} is gone for good", f"--forget {row.version}")


def _repair(when: str, option: str) -> NextAction:
    """A repair says what nobody but a person can know: that the database is so."""
    return NextAction(when, f"{_REPAIR} {option}", needs_person=True)


def _ways(standing: Standing, file: Migration | None, entry: Entry, applied_as: str) -> Iterator[NextAction]:
    row = entry.migration
    version, done, units = row.version, row.units_done, row.units
    if file and standing in (Standing.EDITED, Standing.REFORMATTED):
        yield from ways_of_edited(file, row)
    elif standing is Standing.MISSING:
        yield way_of_missing(row)
    elif standing is Standing.UNKNOWN:
        yield NextAction("to look whether it took effect, where that can be told", "mosaic-deploy apply")
        yield _repair(f"if part {entry.attempt} took effect", f"--applied {version}:{entry.attempt}")
        yield _repair("if it did not", f"--not-applied {version}:{entry.attempt}")
    elif standing is Standing.FAILED:
        part = -entry.attempt
        yield NextAction(f"to begin part {part} anew", "mosaic-deploy apply")
        yield _repair(f"if part {part} was run by hand", f"--applied {version}:{part}")
    elif standing is Standing.PARTIAL:
        yield NextAction(f"to run the other {units - done} of {units} parts", "mosaic-deploy apply")
        yield _repair("if they were run by hand", f"--applied {version}:{units}")
    if standing in (Standing.PARTIAL, Standing.FAILED) and done:
        yield _repair("if all parts were undone by hand", f"--not-applied {version}:1")
    if applied_as and standing in (Standing.APPLIED, Standing.REFORMATTED):
        yield _repair("to record the new name", f"--rename {version}")
