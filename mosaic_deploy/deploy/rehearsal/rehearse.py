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
from mosaic_deploy.deploy.rehearsal.base import drop, open_base
from mosaic_deploy.deploy.rehearsal.followed_schema import FollowedSchema
from mosaic_deploy.deploy.rehearsal.live_base import MatchedBase, match_live
from mosaic_deploy.deploy.rehearsal.live_comparison import compare_with_live
from mosaic_deploy.deploy.rehearsal.observed import LockWatch
from mosaic_deploy.deploy.rehearsal.pending import run_pending, unmade_checks
from mosaic_deploy.deploy.rehearsal.recorded import NotRehearsed, RecordedHistory, live_project, read_recorded
from mosaic_deploy.deploy.rehearsal.row_checks import check_rows, may_restrict, read_constraints
from mosaic_deploy.deploy.rehearsal.touched import TouchWatch
from mosaic_deploy.errors import MosaicError, RehearsalFailed
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.catalog.read import read_catalog
from mosaic_deploy.live.database.clones import RehearsalDatabase
from mosaic_deploy.live.database.relations import read_relations
from mosaic_deploy.model.catalog import Catalog, Rehearsal
from mosaic_deploy.model.change import ApplyMigration
from mosaic_deploy.model.hazard import RowCheck


def has_pending_migrations(planned: PreparedPlan) -> bool:
    """Whether there is anything to rehearse."""
    return any(isinstance(change, ApplyMigration) for change in planned.plan.changes)


def not_rehearsed(planned: PreparedPlan, why: str) -> PreparedPlan:
    """The plan that says why it wasn't rehearsed."""
    return _with_rehearsal(planned, Rehearsal(not_rehearsed=why))


def rehearse(live: Api, stage: Api, planned: PreparedPlan, retry_command: str) -> PreparedPlan:
    """The plan with the result of its rehearsal on the embedded platform `stage`, or why that wasn't possible.

    On `live` it only reads. `retry_command` makes the same plan. Raises RehearsalFailed for a statement that PostgreSQL
    rejects, and nothing else.
    """
    try:
        return _with_rehearsal(planned, _rehearse(live, stage, planned, retry_command))
    except RehearsalFailed:
        raise
    except NotRehearsed as error:
        return _with_rehearsal(planned, Rehearsal(not_rehearsed=str(error), differences=error.differences))
    except MosaicError as error:
        return not_rehearsed(planned, error.message)


def _with_rehearsal(planned: PreparedPlan, rehearsal: Rehearsal) -> PreparedPlan:
    return replace(planned, plan=replace(planned.plan, rehearsal=rehearsal))


def _rehearse(live: Api, stage: Api, planned: PreparedPlan, retry_command: str) -> Rehearsal:
    project = live_project(planned)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_catalog, live, project) if project else None
        history = read_recorded(live, planned)
        with _open(stage, history) as database:
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
    watch, touched = LockWatch(relations), TouchWatch(matched.schema, matched.search_path)
    constraints = read_constraints(database) if project else None
    done = run_pending(database, planned, schema, watch, touched, retry_command)
    checks: tuple[RowCheck, ...] = ()
    if constraints and may_restrict(done):
        checks = check_rows(live, project, planned, constraints, read_constraints(database), done)
    return replace(
        compare_with_live(found, live, project, planned, schema.net, watch.statements),
        done=done,
        row_checks=checks,
        result=_digest(schema.now),
        steps=tuple(touched.steps),
        objects=touched.objects,
    )


@contextmanager
def _open(stage: Api, history: RecordedHistory) -> Iterator[RehearsalDatabase]:
    database = open_base(stage, history)
    try:
        yield database
    finally:
        drop(database)


def _version_remarks(here: str, live: str) -> Iterator[str]:
    if live and here.partition(".")[0] != live.partition(".")[0]:
        yield f"rehearsed on PostgreSQL {here}; the live database runs {live}"


def _digest(catalog: Catalog) -> str:
    facts = sorted([item.kind, item.parent, item.name, definition] for item, definition in catalog.items())
    return hashlib.sha256(json.dumps(facts, separators=(",", ":")).encode()).hexdigest()
