"""How each migration stands: the folder against the ledger, file by file, with the ways to put it right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mosaic_deploy.errors import NextAction
from mosaic_deploy.model.history import Entry, Line, Standing
from mosaic_deploy.model.snapshot import Migration

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
    name = file.file if file else entry.migration.file
    applied_as = entry.migration.file if file and entry.migration.file != name else ""
    ways = tuple(_ways(standing, name, entry, applied_as))
    return Line(entry.migration.version, name, standing, entry, applied_as, ways)


def standing_of(file: Migration | None, entry: Entry) -> Standing:
    """How the ledger's row stands to the folder's file of its version."""
    row = entry.migration
    if entry.unknown:
        return Standing.UNKNOWN
    if file is None:
        return Standing.MISSING if row.units_done else Standing.PENDING
    if not row.applied:
        return Standing.PARTIAL if row.units_done else Standing.PENDING
    if file.checksum == row.checksum:
        return Standing.APPLIED
    return Standing.REFORMATTED if file.semantic == row.semantic else Standing.EDITED


def _ways(standing: Standing, name: str, entry: Entry, applied_as: str) -> Iterator[NextAction]:
    version, done, units = entry.migration.version, entry.migration.units_done, entry.migration.units
    if standing in (Standing.EDITED, Standing.REFORMATTED):
        yield NextAction("if the edit was meant", f"{_REPAIR} --accept {name}")
    elif standing is Standing.MISSING:
        yield NextAction("if the file is gone for good", f"{_REPAIR} --forget {version}")
    elif standing is Standing.UNKNOWN:
        yield NextAction(
            f"if part {entry.attempt} took effect", f"{_REPAIR} --applied {version}:{entry.attempt}"
        )
        yield NextAction("if it did not", f"{_REPAIR} --not-applied {version}:{entry.attempt}")
    elif standing is Standing.PARTIAL:
        yield NextAction(f"to run the other {units - done} of {units} parts", "mosaic-deploy apply")
        yield NextAction("if they were run by hand", f"{_REPAIR} --applied {version}:{units}")
        yield NextAction("if all parts were undone by hand", f"{_REPAIR} --not-applied {version}:1")
    if applied_as and standing in (Standing.APPLIED, Standing.REFORMATTED):
        yield NextAction("to record the new name", f"{_REPAIR} --rename {version}")
