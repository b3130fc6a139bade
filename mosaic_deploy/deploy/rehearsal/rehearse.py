"""Makes a rehearsal: a base as the live history makes it, compared with the live schema; then the plan's migrations."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from mosaic_deploy.deploy.planning.planned import PreparedPlan
from mosaic_deploy.deploy.rehearsal.base import drop, open_base
from mosaic_deploy.deploy.rehearsal.extensions import create_extensions, match_extensions
from mosaic_deploy.deploy.rehearsal.followed_schema import FollowedSchema
from mosaic_deploy.deploy.rehearsal.live_comparison import compare_with_live
from mosaic_deploy.deploy.rehearsal.observed import LockWatch
from mosaic_deploy.deploy.rehearsal.other_tools import belongs_to_history_table, copy_history_tables
from mosaic_deploy.deploy.rehearsal.pending import run_pending, unmade_checks
from mosaic_deploy.deploy.rehearsal.recorded import NotRehearsed, RecordedHistory, live_project, read_recorded
from mosaic_deploy.deploy.rehearsal.row_checks import check_rows, may_restrict, read_constraints
from mosaic_deploy.deploy.rehearsal.touched import TouchWatch
from mosaic_deploy.diff.schema import schema_changes
from mosaic_deploy.errors import MosaicError, RehearsalFailed
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.catalog.read import read_catalog
from mosaic_deploy.live.database.clones import RehearsalDatabase
from mosaic_deploy.live.database.relations import read_relations
from mosaic_deploy.model.catalog import Catalog, Rehearsal, SchemaChange, SchemaObject
from mosaic_deploy.model.change import ApplyMigration, EnableExtension
from mosaic_deploy.model.hazard import RowCheck
from mosaic_deploy.sql.quote import identifier

_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_DEFAULT_SEARCH_PATH = '"$user", public'
NOT_THE_FILES = "the recorded files don't make the live schema"


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
        return not_rehearsed(planned, str(error))
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
            read_schema = partial(_read_schema, database, history.database.owner)
            base = read_schema()
            live_schema = reading.result() if reading else base
            if copy_history_tables(database, base, live_schema):
                base = read_schema()
            differences = [
                each for each in schema_changes(base, live_schema) if not belongs_to_history_table(each)
            ]
            found = Rehearsal(server=database.server, live_server=history.database.server)
            extensions = [each for each in differences if each.object.kind == "extension"]
            unfinished = [each for each in differences if _is_invalid_index(each)]
            if serious := tuple(each for each in differences if each not in (*extensions, *unfinished)):
                return replace(found, not_rehearsed=NOT_THE_FILES, differences=serious)
            _require_search_path(database, history.database.search_path)
            remarks = (
                *_version_remarks(found),
                *match_extensions(database, extensions),
                *(f"the live database has {each.object}, which is invalid" for each in unfinished),
            )
            new = [each.name for each in planned.plan.changes if isinstance(each, EnableExtension)]
            create_extensions(database, new)
            if extensions or new:
                base = read_schema()
            read_names = partial(read_relations, database.api, database.project)
            relations = read_names()
            schema, watch = FollowedSchema(base, relations, read_schema, read_names), LockWatch(relations)
            constraints = read_constraints(database) if project else None
            touched = TouchWatch(base)
            done = run_pending(database, planned, schema, watch, touched, retry_command)
            checks: tuple[RowCheck, ...] = ()
            if constraints and may_restrict(done):
                checks = check_rows(live, project, planned, constraints, read_constraints(database), done)
            compared = compare_with_live(live, project, planned, schema.net, watch.statements)
            return replace(
                compared,
                server=found.server,
                live_server=found.live_server,
                done=done,
                row_checks=checks,
                base=_digest(base),
                result=_digest(schema.now),
                remarks=remarks,
                unmade_checks=unmade_checks(planned),
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


def _version_remarks(found: Rehearsal) -> Iterator[str]:
    here, live = (version.partition(".")[0] for version in (found.server, found.live_server))
    if live and here != live:
        yield f"rehearsed on PostgreSQL {found.server}; the live database runs {found.live_server}"


def _is_invalid_index(change: SchemaChange) -> bool:
    """What a failed CREATE INDEX CONCURRENTLY leaves, which the next apply drops."""
    return change.object.kind == "index" and change.action == "add" and str(change.after).endswith("INVALID")


def _require_search_path(database: RehearsalDatabase, live: str) -> None:
    """Raises NotRehearsed if names without a schema mean something else on the live database.

    A migration can have set its search_path, which the base then has; somebody else can have, too.
    """
    if live in ("", _DEFAULT_SEARCH_PATH):
        return
    rows = database.api.sql(database.project, "SELECT pg_catalog.current_setting('search_path') AS path")
    if rows[0]["path"] != live:
        raise NotRehearsed(f"the live database has search_path = {live}, which no recorded file set")


def _read_schema(database: RehearsalDatabase, live_owner: str) -> Catalog:
    """The schema with the live name of the role that owns the database, which grants and default privileges mention."""
    catalog = read_catalog(database.api, database.project)
    if not live_owner:
        return catalog
    shown = live_owner if _PLAIN_NAME.fullmatch(live_owner) else identifier(live_owner)
    named = re.compile(rf"\b{re.escape(database.owner)}\b")

    def renamed(text: str) -> str:
        return named.sub(lambda _: shown, text)

    return {
        SchemaObject(item.kind, renamed(item.name), renamed(item.parent)): renamed(definition)
        for item, definition in catalog.items()
    }


def _digest(catalog: Catalog) -> str:
    facts = sorted([item.kind, item.parent, item.name, definition] for item, definition in catalog.items())
    return hashlib.sha256(json.dumps(facts, separators=(",", ":")).encode()).hexdigest()
