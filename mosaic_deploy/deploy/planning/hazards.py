"""Finds the hazards of pending migrations, with facts about the live tables they touch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mosaic_deploy.errors import Location
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.model.change import Change, RunSeed, RunsSql
from mosaic_deploy.model.hazard import Hazard, worst_first
from mosaic_deploy.model.manifest import PolicySpec
from mosaic_deploy.model.plan import Plan
from mosaic_deploy.model.snapshot import Snapshot
from mosaic_deploy.source.migrations.files import ParsedFile

if TYPE_CHECKING:
    from mosaic_deploy.sql.hazards import StepWrites, UnknownName


@dataclass(frozen=True, slots=True)
class Findings:
    """`hazards` are sorted, the worst first; `destroyed` are the live objects that a file drops for good, by its path."""

    hazards: tuple[Hazard, ...] = ()
    destroyed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unknown: tuple[tuple[UnknownName, Location], ...] = ()
    writes: Mapping[str, Mapping[int, StepWrites]] = field(default_factory=dict)
    """By the file's path, what its steps are expected to do, by their numbers from 1."""


def with_effects(plan: Plan, found: Findings, paths: Mapping[str, str]) -> Plan:
    """The plan whose changes say which live objects they destroy, of which live tables they update and delete rows, and for seeds,
    whether they alter the schema.

    `paths` are the files by version, or by seed path.
    """

    def add(change: Change) -> Change:
        if not isinstance(change, RunsSql):
            return change
        key = change.path if isinstance(change, RunSeed) else change.version
        path = paths.get(key, "")
        updated: dict[str, str] = {}
        deleted: dict[str, str] = {}
        for writes in found.writes.get(path, {}).values():
            indirectly = {**dict.fromkeys(sorted(writes.follows), ""), **writes.unlinks}
            updated.update({**indirectly, **writes.declared, **writes.updates})
            deleted.update(writes.deletes)
        known = replace(
            change,
            destroys=found.destroyed.get(path, ()),
            updates=tuple(f"{table}{estimate}" for table, estimate in updated.items()),
            deletes=tuple(f"{table}{estimate}" for table, estimate in deleted.items()),
        )
        if not isinstance(known, RunSeed):
            return known
        return replace(known, alters=any(writes.alters for writes in found.writes.get(path, {}).values()))

    return replace(plan, changes=tuple(add(change) for change in plan.changes))


def find_hazards(
    api: Api, live: Snapshot, pending: Sequence[ParsedFile], policy: PolicySpec | None = None
) -> Findings:
    """What the files may harm. Queries the database only if a statement affects existing objects.

    Usually once; again if the facts lead to further objects, such as a function that calls a function.
    """
    if not pending:
        return Findings()
    # Imported here because they take 40 ms and most plans don't need them.
    from mosaic_deploy.live.database.touched_objects import read_facts
    from mosaic_deploy.source.migrations.lint import script
    from mosaic_deploy.sql.hazards import ObjectFacts, ObjectRef, review

    done = {migration.version: migration.steps_done for migration in live.migrations or ()}
    scripts = [script(one, done.get(one.file.migration.version, 0)) for one in pending]
    found = review(scripts, policy=policy)
    empty = not live.project.id or live.project.status == "provisioning"
    looked_up: frozenset[ObjectRef] = frozenset()
    facts: dict[ObjectRef, ObjectFacts] = {}
    while not found.lookups <= looked_up:
        new = found.lookups - looked_up
        looked_up |= new
        facts |= {} if empty else read_facts(api, live.project.id, new)
        found = review(scripts, facts, policy=policy)
    destroyed = dict(zip((one.file for one in scripts), found.destroyed, strict=True))
    writes = dict(zip((one.file for one in scripts), found.writes, strict=True))
    return Findings(tuple(worst_first(found.hazards)), destroyed, found.unknown, writes)
