"""Makes a rehearsal: a base as the live history makes it, compared with the live schema; then the plan's migrations."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from mosaic_deploy.deploy.planning.planned import PreparedPlan
from mosaic_deploy.deploy.rehearsal.base import drop, open_base, run_recorded_repeatables
from mosaic_deploy.deploy.rehearsal.followed_schema import FollowedSchema
from mosaic_deploy.deploy.rehearsal.live_base import MatchedBase, major_version, match_live
from mosaic_deploy.deploy.rehearsal.live_comparison import compare_with_live
from mosaic_deploy.deploy.rehearsal.observed import LockWatch
from mosaic_deploy.deploy.rehearsal.pending import run_pending, unmade_checks
from mosaic_deploy.deploy.rehearsal.recorded import (
    NotRehearsed,
    RecordedHistory,
    live_project,
    read_recorded,
    time_limit,
)
from mosaic_deploy.deploy.rehearsal.row_checks import check_rows, may_restrict, read_constraints
from mosaic_deploy.deploy.rehearsal.touched import TouchWatch
from mosaic_deploy.deploy.rehearsal.unmanaged import UnmanagedTables
from mosaic_deploy.deploy.rehearsal.writes import row_hazards
from mosaic_deploy.diff.policy import apply_policy
from mosaic_deploy.diff.schema import unmanaged_objects
from mosaic_deploy.diff.schema_drift import drift_in_files
from mosaic_deploy.errors import MosaicError, RehearsalFailed
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.catalog.read import read_catalog
from mosaic_deploy.live.database.clones import RehearsalDatabase
from mosaic_deploy.live.database.relations import read_relations
from mosaic_deploy.model.catalog import Catalog, Rehearsal, RehearsedChange, SchemaObject
from mosaic_deploy.model.change import ApplyMigration, RunRepeatable, RunSeed
from mosaic_deploy.model.hazard import RowCheck, worst_first

MAX_SECONDS = 5 * 60.0
"""For a rehearsal, without building its base. Only a loop, a wait or many rows of the files themselves can take that long."""


def has_anything_to_rehearse(planned: PreparedPlan) -> bool:
    """Whether the plan has migrations or repeatable files, or if the policy requires a rehearsal, seeds that may change the schema.

    Seeds that follow others aren't rehearsed: they may need rows of those.
    """
    with_seeds = planned.plan.rehearsal_rule is not None and not planned.has_live_seeds
    return any(
        isinstance(change, ApplyMigration | RunRepeatable)
        or (with_seeds and isinstance(change, RunSeed) and change.alters)
        for change in planned.plan.changes
    )


def not_rehearsed(planned: PreparedPlan, why: str) -> PreparedPlan:
    """The plan that says why it wasn't rehearsed."""
    return with_rehearsal(planned, Rehearsal(not_rehearsed=why))


def rehearse(
    live: Api, stage: Api, planned: PreparedPlan, retry_command: str, *, spare: bool = False
) -> PreparedPlan:
    """The plan with the result of its rehearsal on the embedded platform `stage`, or why that wasn't possible.

    On `live` it only reads. `retry_command` makes the same plan. With `spare`, the stage prepares for another rehearsal
    afterwards, in the background. Raises RehearsalFailed for a statement that PostgreSQL rejects, and nothing else.
    """
    try:
        return with_rehearsal(planned, _rehearse(live, stage, planned, retry_command, spare))
    except RehearsalFailed:
        raise
    except NotRehearsed as error:
        found = Rehearsal(not_rehearsed=str(error), differences=error.differences, remedy=error.remedy)
        return with_rehearsal(planned, found)
    except MosaicError as error:
        return not_rehearsed(planned, error.message)


def with_rehearsal(planned: PreparedPlan, rehearsal: Rehearsal | None) -> PreparedPlan:
    """The plan, which has no rehearsal yet, with this one: it may have been made before, for the same plan.

    What it saw and nobody has said needs the same approvals as what the rules found.
    """
    plan = replace(planned.plan, rehearsal=rehearsal)
    if rehearsal and rehearsal.live_server and not rehearsal.not_rehearsed:
        unmanaged = unmanaged_objects(planned.desired.manifest.unmanaged)
        drifted = plan.drift.changes if plan.drift else ()
        if not any(unmanaged.includes(one.object, one.after or one.before or "") for one in drifted):
            plan = replace(plan, notes=drift_in_files(plan.notes))
    if rehearsal and (more := tuple(row_hazards(planned, rehearsal))):
        plan = apply_policy(plan, tuple(worst_first((*plan.hazards, *more))), planned.desired.manifest)
    return replace(planned, plan=plan)


def _rehearse(live: Api, stage: Api, planned: PreparedPlan, retry_command: str, spare: bool) -> Rehearsal:
    project = live_project(planned)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_catalog, live, project) if project else None
        history = read_recorded(live, planned)
        tables = UnmanagedTables(
            unmanaged_objects(planned.desired.manifest.unmanaged), reading.result if reading else dict
        )
        with _open(stage, history, tables, spare) as unlimited, time_limit(MAX_SECONDS, "it") as deadline:
            database = replace(unlimited, api=unlimited.api.until(deadline))
            run_recorded_repeatables(live, database, planned)
            matched = match_live(database, history, planned, reading)
            found = Rehearsal(
                server=database.server,
                live_server=history.database.server,
                base=_digest(matched.schema),
                remarks=(*_version_remarks(database.server, history.database.server), *matched.remarks),
                unmade_checks=unmade_checks(planned),
            )
            return _run(live, database, planned, matched, found, retry_command)


def _run(
    live: Api,
    database: RehearsalDatabase,
    planned: PreparedPlan,
    matched: MatchedBase,
    found: Rehearsal,
    retry_command: str,
) -> Rehearsal:
    """`found` with what the migrations do to the base, and what that means for the live database."""
    project = live_project(planned)
    read_names = partial(read_relations, database.api, database.project)
    relations = read_names()
    schema = FollowedSchema(matched.schema, relations, matched.read_schema, read_names)
    watch = LockWatch(relations)
    touched = TouchWatch(
        matched.schema,
        matched.search_path,
        unmanaged_objects(planned.desired.manifest.unmanaged),
        matched.printed,
        other_major=major_version(found.server) != major_version(found.live_server),
    )
    constraints = read_constraints(database) if project else None
    done = run_pending(database, planned, schema, watch, touched, retry_command)
    checks: tuple[RowCheck, ...] = ()
    if constraints and may_restrict(done):
        checks = check_rows(live, project, planned, constraints, read_constraints(database), done)
    written = [SchemaObject("table", write.shown) for each in done for write in each.writes]
    compared = compare_with_live(found, live, project, planned, schema.net, watch.statements, written)
    return replace(
        compared,
        done=tuple(_without_empty(each, compared) for each in done),
        row_checks=checks,
        result=_digest(schema.now),
        steps=tuple(touched.steps),
        objects=touched.objects,
    )


def _without_empty(done: RehearsedChange, found: Rehearsal) -> RehearsedChange:
    """Without what it writes to tables that surely hold no rows: there is nothing to update or delete."""
    sizes = [(write, found.size_of(SchemaObject("table", write.shown))) for write in done.writes]
    return replace(done, writes=tuple(write for write, size in sizes if size is None or not size.empty))


@contextmanager
def _open(
    stage: Api, history: RecordedHistory, tables: UnmanagedTables, spare: bool
) -> Iterator[RehearsalDatabase]:
    database = open_base(stage, history, tables)
    try:
        yield database
    finally:
        drop(database, spare=spare)


def _version_remarks(here: str, live: str) -> Iterator[str]:
    if live and major_version(here) != major_version(live):
        yield f"rehearsed on PostgreSQL {here}; the live database runs {live}"


def _digest(catalog: Catalog) -> str:
    facts = sorted([item.kind, item.parent, item.name, definition] for item, definition in catalog.items())
    return hashlib.sha256(json.dumps(facts, separators=(",", ":")).encode()).hexdigest()
