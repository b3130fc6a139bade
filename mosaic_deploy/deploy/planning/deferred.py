"""Plans of `watch` and `dev` that leave out unfinished migrations, or the whole database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mosaic_deploy.diff.history.migrations import versions_to_parse
from mosaic_deploy.model.approval import OVERWRITE, POLICY, PRUNE, Approval
from mosaic_deploy.model.change import (
    Delete,
    DeleteStatic,
    DeleteStorageFile,
    LoosenPolicy,
    PutStatic,
    PutStorageFile,
)
from mosaic_deploy.model.plan import Plan
from mosaic_deploy.model.snapshot import Snapshot
from mosaic_deploy.source.migrations.files import ParsedFile

_FILE_CHANGES = (PutStorageFile, PutStatic, DeleteStatic, DeleteStorageFile)


def postponed_migrations(parsed: Sequence[ParsedFile], live: Snapshot) -> tuple[ParsedFile, ...]:
    """The first pending file without a statement, and all unstarted files after it; empty if every file has one.

    `parsed` has every pending file, in order. A partly applied file is never postponed: if it is empty now, an applied
    file was edited.
    """
    begun = {migration.version for migration in live.migrations or () if migration.steps_done}
    pending = [each for each in parsed if each.file.migration.version not in begun]
    first = next((number for number, each in enumerate(pending) if not each.has_statements), None)
    return () if first is None else tuple(pending[first:])


def without_migrations(desired: Snapshot, postponed: Sequence[ParsedFile]) -> Snapshot:
    """`desired` without the `postponed` files."""
    versions = {each.file.migration.version for each in postponed}
    if not versions or desired.migrations is None:
        return desired
    return replace(desired, migrations=tuple(m for m in desired.migrations if m.version not in versions))


def without_database(desired: Snapshot) -> Snapshot:
    """`desired` without migrations and seeds."""
    return replace(desired, migrations=None, seeds=None)


def without_unapproved(plan: Plan, missing: Sequence[Approval]) -> Plan:
    """The plan of files without the changes whose approvals are `missing`. It is a partial plan."""
    kinds = {approval.kind for approval in missing}
    changes = tuple(
        change
        for change in plan.changes
        # A looser policy may be what allows the deletions.
        if not ({PRUNE, POLICY} & kinds and isinstance(change, Delete))
        and not (POLICY in kinds and isinstance(change, LoosenPolicy))
        and not (OVERWRITE in kinds and getattr(change, "overwrites", False))
    )
    kept = {change.address for change in changes}
    left_out = tuple(change.address for change in plan.changes if change.address not in kept)
    return replace(plan, changes=changes, left_out=(*plan.left_out, *left_out))


def files_only_plan(plan: Plan, desired: Snapshot, live: Snapshot) -> Plan:
    """The static and storage files of a plan made `without_database`. It is always a partial plan.

    `desired` is the complete Snapshot.
    """
    pending = set(versions_to_parse(desired.migrations or (), live.migrations or ()))
    files = tuple(change for change in plan.changes if isinstance(change, _FILE_CHANGES))
    left_out = (
        *(f"migration:{each.file}" for each in desired.migrations or () if each.version in pending),
        *(change.address for change in plan.changes if not isinstance(change, _FILE_CHANGES)),
    )
    only = ("static", "storage")
    return replace(plan, changes=files, only=only, left_out=left_out or ("migrations",))
