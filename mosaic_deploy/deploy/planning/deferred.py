"""What a plan made while somebody is still writing leaves for later: migrations without a statement, or all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mosaic_deploy.diff.migrations import versions_to_parse
from mosaic_deploy.model.change import DeleteStatic, DeleteStorageFile, PutStatic, PutStorageFile
from mosaic_deploy.model.plan import Plan
from mosaic_deploy.model.snapshot import Snapshot
from mosaic_deploy.source.migrations.files import ParsedFile

_FILE_CHANGES = (PutStorageFile, PutStatic, DeleteStatic, DeleteStorageFile)


def postponed_migrations(parsed: Sequence[ParsedFile], live: Snapshot) -> tuple[ParsedFile, ...]:
    """The first pending file without a statement, and every one that isn't begun after it; none where there is none.

    `parsed` has every pending file, in order. A file that is begun is never held: that it is empty by now is an edit
    of what was applied.
    """
    begun = {migration.version for migration in live.migrations or () if migration.units_done}
    pending = [each for each in parsed if each.file.migration.version not in begun]
    first = next((number for number, each in enumerate(pending) if not each.units), None)
    return () if first is None else tuple(pending[first:])


def without_migrations(desired: Snapshot, later: Sequence[ParsedFile]) -> Snapshot:
    """`desired` as if the files of `later` weren't there yet."""
    versions = {each.file.migration.version for each in later}
    if not versions or desired.migrations is None:
        return desired
    return replace(desired, migrations=tuple(m for m in desired.migrations if m.version not in versions))


def without_database(desired: Snapshot) -> Snapshot:
    """`desired` without what is done to the database."""
    return replace(desired, migrations=None, seeds=None)


def files_only_plan(plan: Plan, desired: Snapshot, live: Snapshot) -> Plan:
    """The static files and assets of a plan that was made `without_database`: a part, also where nothing else differs.

    `desired` is the whole.
    """
    waiting = set(versions_to_parse(desired.migrations or (), live.migrations or ()))
    files = tuple(change for change in plan.changes if isinstance(change, _FILE_CHANGES))
    left_out = (
        *(f"migration:{each.file}" for each in desired.migrations or () if each.version in waiting),
        *(change.address for change in plan.changes if not isinstance(change, _FILE_CHANGES)),
    )
    only = ("static", "storage")
    return replace(plan, changes=files, only=only, left_out=left_out or ("migrations",))
