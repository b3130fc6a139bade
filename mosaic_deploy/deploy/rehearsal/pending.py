"""Runs a plan's migrations and seeds on the rehearsal's database, as an apply would, and reads what they change."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mosaic_deploy.deploy.applying.failure_facts import NEW_ENUM_VALUE, failure_facts, new_enum_value_hint
from mosaic_deploy.deploy.applying.migrations import migration_steps
from mosaic_deploy.deploy.applying.run import migration_session
from mosaic_deploy.deploy.applying.sql_files import seed_step
from mosaic_deploy.deploy.planning.planned import PreparedPlan
from mosaic_deploy.deploy.rehearsal.base import LEASE_TOKEN, TOLERATE_MISSING_ROWS, refuse_role_changes
from mosaic_deploy.deploy.rehearsal.followed_schema import FollowedSchema
from mosaic_deploy.deploy.rehearsal.observed import LockWatch
from mosaic_deploy.deploy.rehearsal.recorded import NotRehearsed
from mosaic_deploy.deploy.rehearsal.touched import TouchWatch
from mosaic_deploy.deploy.rehearsal.writes import (
    SeenStep,
    stated_tables,
    table_writes,
    unfired_triggers,
)
from mosaic_deploy.errors import MigrationError, NextAction, RehearsalFailed
from mosaic_deploy.live.database.clones import RehearsalDatabase
from mosaic_deploy.live.database.failed_step import StepFailed
from mosaic_deploy.live.database.outside_transaction import OutcomeUnknown
from mosaic_deploy.live.database.runner import Runner
from mosaic_deploy.model.catalog import RehearsedChange, SchemaChange
from mosaic_deploy.model.change import ApplyMigration, Change, RunRepeatable, RunSeed
from mosaic_deploy.model.event import StepReport
from mosaic_deploy.model.quantities import size_text
from mosaic_deploy.source.migrations.files import ParsedFile
from mosaic_deploy.sql.execution.step import Step
from mosaic_deploy.sql.guard.rehearsed import SchemaReader
from mosaic_deploy.sql.hazards import StepWrites
from mosaic_deploy.sql.parse import Statement

_MAX_CATALOGS = 40
"""Reads of the catalog. Of more migrations, several are reported together."""
_ONLY_LIVE = {"42501": "", "42704": 'role "', "0A000": 'extension "', "58P01": "extension"}
"""SQLSTATE → a word of the message, for errors that another server can cause: it has other roles, privileges, extensions."""
MAX_BYTES = 64_000_000
"""Larger files are dumps, which take as long in a rehearsal as in an apply."""
_QUERY_CANCELED = "57014"
_ABOUT_ROWS = ("02", "21", "22", "23", "55", "P0")
"""Classes of SQLSTATEs that missing rows can cause: no data, cardinality, values, constraints, states such as that
of a materialized view that nobody refreshed, and what PL/pgSQL raises."""

_EXISTENCE = frozenset(
    {"42501", "42701", "42703", "42704", "42710", "42723", "42883", "42P01", "42P02", "42P03", "42P04", "42P05", "42P06", "42P07"}
)  # fmt: skip
"""What is missing or there already, and privileges: code that looks at rows may have made or dropped it."""


def may_need_rows(sqlstate: str | None) -> bool:
    """Whether live rows could make a difference to a statement that failed like this. They don't to what PostgreSQL doesn't
    support, syntax, and definitions that are invalid by themselves, such as a view that would lose a column (42P16)."""
    code = sqlstate or ""
    return code != "0A000" and (not code.startswith("42") or code in _EXISTENCE)


@dataclass(frozen=True, slots=True)
class _Pending:
    """A change of the plan with its file and the steps to run."""

    change: Change
    parsed: ParsedFile
    steps: tuple[Step, ...]


def run_pending(
    database: RehearsalDatabase,
    planned: PreparedPlan,
    schema: FollowedSchema,
    watch: LockWatch,
    touched: TouchWatch,
    retry_command: str,
) -> tuple[RehearsedChange, ...]:
    """The results in order. `schema` follows that of the database, `watch` is given what the statements lock, `touched` what the
    steps touch.

    Raises RehearsalFailed for a statement that PostgreSQL rejects, ApiError, and NotRehearsed for what the embedded platform
    doesn't have, but the live server may.
    """
    manifest = planned.desired.manifest
    single = bool(manifest.database and manifest.database.single_transaction)
    session = migration_session(manifest, LEASE_TOKEN, "rehearsal")
    session = replace(session, watched_oid=watch.relations.last_oid, schema=SchemaReader(observes=True))
    done: list[RehearsedChange] = []
    migrations, seeds = _migrations(planned), _seeds(planned)
    refuse_role_changes(step for each in (*migrations, *seeds) for step in each.steps)
    if (size := sum(each.parsed.file.size for each in (*migrations, *seeds))) > MAX_BYTES:
        raise NotRehearsed(f"the pending files have {size_text(size)}, more than {size_text(MAX_BYTES)}")
    # Without a live database there are no rows that could make a difference.
    strict = bool(touched.search_path is not None and manifest.policy and manifest.policy.proves_schema)
    groups = _groups(migrations, single_transaction=single, most=len(migrations) if strict else _MAX_CATALOGS)
    for group in (*groups, *([each] for each in seeds)):
        is_seed = isinstance(group[0].change, RunSeed)
        runner = Runner(database.api, database.project, session, single_transaction=single and not is_seed)
        began = time.monotonic()
        _run(runner, group, watch, schema, retry_command, each_step=strict and not runner.single_transaction)
        seconds = time.monotonic() - began
        result = _result(runner, group, schema.advance(), seconds, watch)
        done.append(_with_writes(result, runner, group, planned, schema))
        ran = [(each.change.address, step) for each in group for step in each.steps]
        touched.read(ran, runner.reports.relations, schema.now, schema.left)
    return tuple(done)


def pending_statements(planned: PreparedPlan) -> Iterator[Statement]:
    """The statements of the plan's migrations that are still to run, in order; without seeds, which run after them."""
    for each in _migrations(planned):
        for step in each.steps:
            yield from step.sql.statements


def unmade_checks(planned: PreparedPlan) -> int:
    """The number of the migrations' own checks of live data, which a rehearsal can't make."""
    return sum(
        len(each.parsed.checks) for each in _migrations(planned) if each.steps and each.steps[0].number == 1
    )


def _migrations(planned: PreparedPlan) -> list[_Pending]:
    parsed = {each.file.migration.version: each for each in planned.parsed}
    return [
        _Pending(change, parsed[change.version], tuple(migration_steps(change, parsed[change.version])))
        for change in planned.plan.changes
        if isinstance(change, ApplyMigration)
    ]


def _seeds(planned: PreparedPlan) -> list[_Pending]:
    """The plan's repeatable files and seeds; no seeds if some are live, because they may need rows of those, which the rehearsal
    doesn't have."""
    with_seeds = not planned.has_live_seeds
    parsed = {each.file.relative_path: each for each in planned.seeds}
    manifest = planned.desired.snapshot.manifest
    return [
        _Pending(change, parsed[change.path], (seed_step(change, parsed[change.path], manifest),))
        for change in planned.plan.changes
        if isinstance(change, RunRepeatable) or (with_seeds and isinstance(change, RunSeed))
    ]


def _groups(
    migrations: Sequence[_Pending], *, single_transaction: bool, most: int
) -> Iterator[Sequence[_Pending]]:
    """The migrations between two reads of the catalog: each one, unless they are one transaction or more than `most`."""
    size = len(migrations) if single_transaction else -(-len(migrations) // max(1, most))
    for first in range(0, len(migrations), max(1, size)):
        yield migrations[first : first + size]


def _run(
    runner: Runner,
    group: Sequence[_Pending],
    watch: LockWatch,
    schema: FollowedSchema,
    retry_command: str,
    *,
    each_step: bool,
) -> None:
    """`each_step`: the schema is read after each step, not only after the last one."""
    by_version = {each.parsed.file.migration.version: each.parsed for each in group}
    addresses = {each.parsed.file.migration.version: each.change.address for each in group}
    steps = [step for each in group for step in each.steps]
    parts = [[step] for step in steps] if each_step else [[*steps]]
    try:
        for part in parts:
            watch.note_names(steps, schema.read_relations)
            for committed in runner.run(part):
                if isinstance(committed, tuple):
                    del steps[: len(committed)]
                    watch.note_names(steps, schema.read_relations)
            schema.note(addresses[part[-1].version], part[-1].number)
    except StepFailed as failure:
        place = failure_facts(failure, by_version[failure.step.version])["location"]
        if failure.too_large:
            raise NotRehearsed(f"{place} is too large for the embedded platform") from None
        if failure.sqlstate == _QUERY_CANCELED:
            raise NotRehearsed(f"{place} was stopped by a time limit: {failure.message}") from None
        if _ONLY_LIVE.get(str(failure.sqlstate), failure.message + "\0") in failure.message:
            raise NotRehearsed(f"{place} fails on the embedded platform: {failure.message}") from None
        parsed = by_version[failure.step.version]
        raise _failed(failure, parsed, retry_command, single_transaction=runner.single_transaction) from None
    except OutcomeUnknown as unknown:
        message = f"step {unknown.step.number} of {unknown.step.file} was sent, but its outcome is unknown"
        raise NotRehearsed(message) from None


def _result(
    runner: Runner,
    group: Sequence[_Pending],
    changes: tuple[SchemaChange, ...],
    seconds: float,
    watch: LockWatch,
) -> RehearsedChange:
    steps = [step for each in group for step in each.steps]
    reports = [runner.reports.of((step.version, step.number), 0.0) for step in steps]
    return RehearsedChange(
        tuple(each.change.address for each in group),
        changes,
        tuple(_notice_texts(reports)),
        seconds,
        *watch.read(
            [(each.change.address, each.parsed, step) for each in group for step in each.steps],
            runner.reports.locks,
            together=runner.single_transaction,
        ),
    )


def _with_writes(
    result: RehearsedChange,
    runner: Runner,
    group: Sequence[_Pending],
    planned: PreparedPlan,
    schema: FollowedSchema,
) -> RehearsedChange:
    """With the rows that the files write without saying so, and the triggers that may."""
    writes, unfired = [], []
    for each in group:
        path = each.parsed.file.relative_path
        for step in each.steps:
            seen = SeenStep(
                each.change.address,
                each.parsed,
                step,
                runner.reports.locks.get((step.version, step.number), ()),
            )
            names = (schema.relations, schema.relations_now)
            found, without_rows = table_writes(seen, names, stated_tables(planned, path, step.number))
            writes += found
            if not planned.writes.get(path, {}).get(step.number, StepWrites()).declared:
                unfired += without_rows
    return replace(
        result, writes=tuple(writes), unfired=unfired_triggers(runner.api, runner.project, unfired)
    )


def _notice_texts(reports: Sequence[StepReport]) -> Iterator[str]:
    for report in reports:
        yield from (f"{one.severity}: {one.message}" for one in report.notices)


def _failed(
    failure: StepFailed, parsed: ParsedFile, retry_command: str, *, single_transaction: bool
) -> MigrationError:
    file = parsed.file.relative_path
    hint = f"correct {file}"
    if failure.sqlstate == NEW_ENUM_VALUE:
        hint = new_enum_value_hint(failure.step, file, single_transaction=single_transaction)
    if str(failure.sqlstate)[:2] in _ABOUT_ROWS:
        hint = (
            "a rehearsal has only the rows that migrations insert; if the statement succeeds with the live rows, make it "
            f"tolerate missing ones, {TOLERATE_MISSING_ROWS}; otherwise correct {file}"
        )
    without = NextAction(
        "if it fails only without the live rows, and you accept that later plans can't be rehearsed once it is applied like this",
        f"{retry_command} --no-rehearse",
        needs_person=True,
    )
    return RehearsalFailed(
        f"{failure.message} (in the rehearsal, which has no live rows; nothing live was changed)",
        **failure_facts(failure, parsed),
        hint=hint,
        next_actions=[without] if may_need_rows(failure.sqlstate) else [],
    )
