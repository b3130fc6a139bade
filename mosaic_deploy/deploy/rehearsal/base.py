"""Bases: databases of the embedded platform that the recorded migrations have made. Built once, then only copied; the repeatable
files run on the copy."""

from __future__ import annotations

import contextlib
import hashlib
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from mosaic_deploy.deploy.applying.failure_facts import failure_facts
from mosaic_deploy.deploy.applying.migrations import migration_steps
from mosaic_deploy.deploy.applying.sql_files import seed_step
from mosaic_deploy.deploy.planning.planned import PreparedPlan
from mosaic_deploy.deploy.rehearsal.extensions import create_extensions
from mosaic_deploy.deploy.rehearsal.recorded import NotRehearsed, RecordedHistory, live_project, time_limit
from mosaic_deploy.deploy.rehearsal.unmanaged import GivenTables, UnmanagedTables
from mosaic_deploy.errors import ApiError, MigrationInvalid
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.database.clones import RehearsalDatabase, hold_lease, open_rehearsal
from mosaic_deploy.live.database.failed_step import StepFailed
from mosaic_deploy.live.database.outside_transaction import OutcomeUnknown
from mosaic_deploy.live.database.runner import Runner
from mosaic_deploy.live.ledger.applied_sources import read_repeatable_sources
from mosaic_deploy.model.change import Action, ApplyMigration, RunRepeatable
from mosaic_deploy.model.snapshot import Migration
from mosaic_deploy.source.migrations.files import (
    REPEATABLE_VERSION,
    MigrationFile,
    ParsedFile,
    parse_migrations,
)
from mosaic_deploy.source.migrations.repeatable import RepeatableFile, in_order
from mosaic_deploy.source.migrations.seeds import parse_seeds
from mosaic_deploy.sql.execution.step import SqlSession, Step

LEASE_TOKEN = "rehearsal"  # noqa: S105 - it protects nothing
"""Of the lease in databases of rehearsals, which are nobody else's; a copy of a base has it already."""
_ALTERS_ROLES = frozenset({"AlterRoleStmt", "AlterRoleSetStmt"})
_MOST_DIGESTS = 200
"""Prefixes of a long history that are looked for as a base."""
TOLERATE_MISSING_ROWS = "for example with INSERT … SELECT … WHERE EXISTS (…)"
"""How a file can run with and without the rows that it refers to."""
TOLERATE_MISSING_TABLES = "DROP … IF EXISTS, or a DO block that asks to_regclass"
_MISSING_OBJECTS = frozenset({"42P01", "3F000", "42704", "42883"})
"""SQLSTATEs: a table, a schema, another object such as an index, or a function doesn't exist."""
MAX_SECONDS = 15 * 60.0
"""For building a base, which is done once."""


def open_base(stage: Api, history: RecordedHistory, tables: UnmanagedTables) -> RehearsalDatabase:
    """A database as the recorded history makes it, ready to run steps in. The base is built or extended if it is missing.

    If a recorded file fails without unmanaged tables, the base is given them. It then has a digest of its own, so a history
    that doesn't need them never gets it. Raises NotRehearsed, ApiError.
    """
    digests = history.digests
    database = open_rehearsal(stage, _newest_first(digests))
    if database.base == digests[-1]:
        return database
    try:
        texts = history.read_texts(_rows_in(digests, database.base))
        if tables.may_be_named(texts.values()):
            aided = history.aided_digests(tables.facts)
            drop(database)
            database = open_rehearsal(stage, _newest_first(digests, aided))
            if database.base in (digests[-1], aided[-1]):
                return database
        else:
            aided = ()
        with time_limit(MAX_SECONDS, "running the recorded files") as deadline:
            limited = replace(database, api=database.api.until(deadline))
            first = _rows_in(digests, database.base) or _rows_in(aided, database.base)
            given = _build(limited, history, first, texts, tables)
        if given or database.base in aided:
            digests = history.aided_digests(tables.facts)
    except BaseException:
        drop(database)
        raise
    # Only now can others find it: one that was left half-built has no digest.
    database.keep(digests[-1])
    copy = open_rehearsal(stage, [digests[-1]])
    if copy.base != digests[-1]:
        drop(copy)
        raise NotRehearsed("many rehearsals at once pushed this one's base out; plan again")
    return copy


def _newest_first(*digests: Sequence[str]) -> list[str]:
    """Of the longest histories, those that are looked for."""
    return [each for same in list(zip(*digests, strict=True))[: -_MOST_DIGESTS - 1 : -1] for each in same]


def _rows_in(digests: Sequence[str], base: str | None) -> int:
    """The number of rows of the history that the base has; 0 if it isn't one of these."""
    return digests.index(base) if base in digests else 0


def drop(database: RehearsalDatabase, *, spare: bool = False) -> None:
    """Drops it, after which the platform makes a `spare` copy of its base; if it can't be reached, it does the first itself after a
    while."""
    with contextlib.suppress(ApiError):
        database.drop(spare=spare)


def _build(
    database: RehearsalDatabase,
    history: RecordedHistory,
    first: int,
    texts: Mapping[str, str],
    tables: UnmanagedTables,
) -> bool:
    """Runs the history from its row `first` on. Returns whether a file needed unmanaged tables, which the base now has."""
    if database.base is None:
        hold_lease(database.api, database.project, "a rehearsal", LEASE_TOKEN)
        create_extensions(database, history.extensions)
    rows = history.rows[first:]
    parsed = _parse(rows, texts)
    steps = [step for row, file in zip(rows, parsed, strict=True) for step in _committed_steps(row, file)]
    refuse_role_changes(steps)
    by_version = {row.version: file for row, file in zip(rows, parsed, strict=True)}
    given = GivenTables(database, tables)
    while steps:
        try:
            for done in Runner(database.api, database.project, SqlSession(LEASE_TOKEN, "base")).run(steps):
                steps = steps[len(done) :] if isinstance(done, tuple) else steps
        except StepFailed as failure:
            if not given.help(failure):
                raise _fails(failure, by_version[failure.step.version]) from None
        except OutcomeUnknown as unknown:
            raise NotRehearsed(f"the outcome of {unknown.step.file} there isn't known") from None
    given.drop_stubs()
    return given.any


def _fails(failure: StepFailed, parsed: ParsedFile) -> NotRehearsed:
    place, file = failure_facts(failure, parsed)["location"], parsed.file.migration.file
    accept = f"then record it as it is now: `mosaic-deploy migrate repair --accept {shlex.quote(file)}`"
    remedy = f"make {file} run on a database without live rows ({TOLERATE_MISSING_ROWS}), {accept}"
    if failure.sqlstate in _MISSING_OBJECTS:
        remedy = (
            "if an app or another tool makes what is missing, list it under policy.unmanaged; or make "
            f"{file} tolerate that it is missing ({TOLERATE_MISSING_TABLES}), {accept}"
        )
    why = f"{place}, as recorded, fails on a database without live rows: {failure.message}"
    return NotRehearsed(why, remedy=remedy)


def _parse(rows: Sequence[Migration], texts: Mapping[str, str]) -> tuple[ParsedFile, ...]:
    """The recorded files, split into the steps in which they were committed."""
    if lost := [row.file for row in rows if row.version not in texts]:
        raise NotRehearsed(f"the history has no readable text of {lost[0]}")
    files = [
        MigrationFile(Migration(row.version, row.file, row.checksum, ""), row.file, texts[row.version])
        for row in rows
    ]
    try:
        parsed = parse_migrations(files, rows)
    except MigrationInvalid as error:
        raise NotRehearsed(f"a recorded file can't be read: {error.problems[0]}") from None
    for row, file in zip(rows, parsed, strict=True):
        _require_recorded_statements(row, file)
    return parsed


def _require_recorded_statements(row: Migration, parsed: ParsedFile) -> None:
    """Raises NotRehearsed if the text isn't what the row's checksums say: these name the base, and other projects with an
    equal history use it, too."""
    found = parsed.semantic if row.applied else parsed.prefix_checksums[row.steps_done - 1]
    if found != row.semantic and hashlib.sha256(parsed.file.text.encode()).hexdigest() != row.checksum:
        raise NotRehearsed(
            f"the recorded text of {row.file} isn't the one that was applied, by its checksums"
        )


def refuse_role_changes(steps: Iterable[Step]) -> None:
    """Raises NotRehearsed if a step alters a role: all databases of rehearsals share theirs."""
    for step in steps:
        if any(statement.kind in _ALTERS_ROLES for statement in step.sql.statements):
            raise NotRehearsed(f"{step.file} alters a role, which other rehearsals share")


def _committed_steps(row: Migration, parsed: ParsedFile) -> Iterator[Step]:
    steps = max(1, len(parsed.steps))
    change = ApplyMigration(row.version, row.file, row.checksum, row.semantic, steps)
    return (step for step in migration_steps(change, parsed) if row.applied or step.number <= row.steps_done)


def run_recorded_repeatables(live: Api, database: RehearsalDatabase, planned: PreparedPlan) -> None:
    """Runs the repeatable files as they were applied. One request to `live`, if any may have been.

    Raises NotRehearsed if one can't be read, or fails there, ApiError.
    """
    project = live_project(planned)
    if not project or not planned.live.snapshot.seeds:
        return
    # A row that a rename has made has no text.
    files = _parsed_repeatables({**_unchanged_texts(planned), **read_repeatable_sources(live, project)})
    manifest = planned.desired.snapshot.manifest
    steps = [seed_step(_change(each), each.parsed, manifest) for each in files if each.parsed.has_statements]
    refuse_role_changes(steps)
    try:
        for _ in Runner(database.api, database.project, SqlSession(LEASE_TOKEN, "base")).run(steps):
            continue
    except StepFailed as failure:
        why = f"{failure.step.file}, as recorded, fails on a database without live rows: {failure.message}"
        raise NotRehearsed(why) from None


def _unchanged_texts(planned: PreparedPlan) -> dict[str, str]:
    """The texts in the folder of the files whose meaning is live."""
    wanted, live = planned.desired.snapshot, planned.live.snapshot.seeds or {}
    same = {
        path
        for path in wanted.repeatable & live.keys()
        if live[path].sha256 == (wanted.seeds or {})[path].sha256
    }
    return {file.relative_path: file.text for file in planned.desired.seeds if file.relative_path in same}


def _parsed_repeatables(texts: Mapping[str, str]) -> list[RepeatableFile]:
    files = [
        MigrationFile(Migration(f"{REPEATABLE_VERSION}{number}", path, _sha256(text), ""), path, text)
        for number, (path, text) in enumerate(sorted(texts.items()), 1)
    ]
    try:
        return in_order(parse_seeds(files)) if files else []
    except MigrationInvalid as error:
        raise NotRehearsed(f"a recorded file can't be read: {error.problems[0]}") from None


def _change(file: RepeatableFile) -> RunRepeatable:
    return RunRepeatable(file.path, _sha256(file.parsed.file.text), file.parsed.file.size, Action.ADD, "")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
