"""From a manifest and an API to a plan. Reads only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mosaic_deploy.deploy.planning import divergence
from mosaic_deploy.deploy.planning.deferred import (
    files_only_plan,
    postponed_migrations,
    without_database,
    without_migrations,
)
from mosaic_deploy.deploy.planning.hazards import find_hazards
from mosaic_deploy.deploy.planning.planned import DEFAULTS, PlanOptions, PreparedPlan, Target
from mosaic_deploy.deploy.planning.read_target import read_target, storage_quota_check
from mosaic_deploy.diff.checks import check_redirect_pages
from mosaic_deploy.diff.limits import large_puts, quota_notes, refuse_too_large
from mosaic_deploy.diff.migrations import versions_to_parse
from mosaic_deploy.diff.plan import PlanRules, make_plan
from mosaic_deploy.diff.policy import apply_policy
from mosaic_deploy.diff.selection import ALL, known_names, select
from mosaic_deploy.errors import (
    Location,
    MigrationDiverged,
    MigrationInvalid,
    Problem,
    SelectionInvalid,
)
from mosaic_deploy.live.api import endpoints
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.live_bytes import verify_live_bytes
from mosaic_deploy.live.snapshot import LiveState
from mosaic_deploy.model.change import ApplyMigration, RunSeed
from mosaic_deploy.model.manifest import Manifest, Prune
from mosaic_deploy.model.plan import Note, Plan, Severity
from mosaic_deploy.model.snapshot import NOT_LIVE_STATES, Migration, Objects, ObjectState, Snapshot
from mosaic_deploy.source.migrations.files import ParsedFile, parse_migrations
from mosaic_deploy.source.migrations.seeds import parse_seeds
from mosaic_deploy.source.problems import ErrorCollector
from mosaic_deploy.source.snapshot import Desired, read_valid_desired
from mosaic_deploy.sql.describe import describe_statements
from mosaic_deploy.sql.execution.units import ExecutionMode


def plan(api: Api, manifest: Manifest, target: Target, options: PlanOptions = DEFAULTS) -> PreparedPlan:
    """What an apply would do. At most four requests, in at most two round trips, where nothing changes.

    Raises SourceError's, MigrationError's and ApiError's children, ProjectAmbiguous, ProjectNotFound.
    """
    desired, live = read_desired_and_live(api, manifest, target, options)
    if options.verify is not None:
        live = verify_live_bytes(api, live, desired.snapshot, options.parallelism, options.verify)
    return compare(api, desired, live, options)


def read_desired_and_live(
    api: Api, manifest: Manifest, target: Target, options: PlanOptions = DEFAULTS
) -> tuple[Desired, LiveState]:
    """What is desired, from disk, and what is live, from the API."""
    fits = storage_quota_check(api, target.id, target.name, target.hint) if options.selection == ALL else None
    mistakes = ErrorCollector(manifest.file.name)
    desired = read_valid_desired(manifest, mistakes, options.on_hashed, fits)
    if desired.snapshot.static is not None:
        mistakes.collect(lambda: check_redirect_pages(manifest, desired.snapshot))
    mistakes.raise_collected()
    return desired, read_target(api, target, desired.snapshot)


def compare(api: Api, desired: Desired, live: LiveState, options: PlanOptions = DEFAULTS) -> PreparedPlan:
    """The plan from both sides. Asks the API only where pruning depends on what it offers, or hazards on data."""
    if options.files_only:
        return _plan_files(api, desired, live)
    parsed = _parse_needed(desired, live.snapshot)
    later = postponed_migrations(parsed, live.snapshot) if options.postpone_empty_migrations else ()
    parsed = tuple(each for each in parsed if each not in later)
    complete = _with_all_checksums(without_migrations(desired.snapshot, later), parsed)
    pending = _pending(parsed, live.snapshot)
    _refuse_intermediate_commits(desired.manifest, pending)
    rules = _rules(api, desired.manifest, complete, live)
    rules = replace(rules, allow_out_of_order=options.allow_out_of_order)
    try:
        made = make_plan(complete, live.snapshot, rules, (*desired.notes, *_unit_notes(pending)))
    except MigrationDiverged as error:
        raise divergence.explain_divergence(error, api, desired, complete, live) from None
    single_transaction = bool(desired.manifest.database and desired.manifest.database.single_transaction)
    names = known_names(complete, live.snapshot)
    try:
        made = select(made, options.selection, names, single_transaction=single_transaction)
    except SelectionInvalid as error:
        error.problems = tuple(_with_path(problem, desired) for problem in error.problems)
        raise
    _refuse_too_large(api, desired, made)
    quota = quota_notes(made.changes, live.snapshot.storage or {}, live.usage)
    made = replace(made, notes=(*made.notes, *quota))
    seeds = _seeds_to_run(desired, made)
    coming = (*_selected_migrations(pending, made), *seeds)
    hazards = find_hazards(api, live.snapshot, coming, desired.manifest.policy)
    made = apply_policy(made, hazards, desired.manifest)
    waiting = tuple(each.file.relative_path for each in later)
    return PreparedPlan(
        made, replace(desired, snapshot=complete), live, parsed, seeds, options.selection, waiting
    )


def _plan_files(api: Api, desired: Desired, live: LiveState) -> PreparedPlan:
    """The plan of static files and assets alone, judged as a whole plan's are."""
    wanted = without_database(desired.snapshot)
    made = make_plan(wanted, live.snapshot, _rules(api, desired.manifest, wanted, live), desired.notes)
    made = files_only_plan(made, desired.snapshot, live.snapshot)
    _refuse_too_large(api, desired, made)
    quota = quota_notes(made.changes, live.snapshot.storage or {}, live.usage)
    made = apply_policy(replace(made, notes=(*made.notes, *quota)), (), desired.manifest)
    return PreparedPlan(made, replace(desired, snapshot=wanted), live)


def _with_path(problem: Problem, desired: Desired) -> Problem:
    """A problem of a migration, at its path from the project folder."""
    return replace(problem, location=Location(divergence.migration_path(desired, problem.location.file)))


def _parse_needed(desired: Desired, live: Snapshot) -> tuple[ParsedFile, ...]:
    """Parses pending and edited files only: an unchanged history of any length costs nothing."""
    wanted = set(versions_to_parse([file.migration for file in desired.migrations], live.migrations or ()))
    return parse_migrations([file for file in desired.migrations if file.migration.version in wanted])


def _seeds_to_run(desired: Desired, plan: Plan) -> tuple[ParsedFile, ...]:
    """Parses the seeds that the plan runs. Raises MigrationInvalid for what can't be one transaction."""
    wanted = {change.path for change in plan.changes if isinstance(change, RunSeed)}
    return parse_seeds([file for file in desired.seeds if file.relative_path in wanted])


def _selected_migrations(pending: tuple[ParsedFile, ...], plan: Plan) -> Iterator[ParsedFile]:
    """Of the pending ones those that the plan applies: a selection may leave some out."""
    versions = {change.version for change in plan.changes if isinstance(change, ApplyMigration)}
    return (p for p in pending if p.file.migration.version in versions)


def _pending(parsed: tuple[ParsedFile, ...], live: Snapshot) -> tuple[ParsedFile, ...]:
    done = {migration.version for migration in live.migrations or () if migration.applied}
    return tuple(p for p in parsed if p.file.migration.version not in done)


def _refuse_intermediate_commits(manifest: Manifest, pending: tuple[ParsedFile, ...]) -> None:
    """Raises MigrationInvalid where `transaction: all` is asked of files that must commit in between."""
    if manifest.database is None or not manifest.database.single_transaction:
        return
    problems = [
        Problem(f"can't be part of one transaction: {_split_reasons(p)}", Location(p.file.relative_path))
        for p in pending
        if len(p.units) > 1
        or any(unit.execution_mode is ExecutionMode.OUTSIDE_TRANSACTION for unit in p.units)
    ]
    if problems:
        raise MigrationInvalid(
            "database.transaction is `all`, and some pending files must commit in between",
            problems=problems,
            hint="apply those on their own first, with transaction: each",
        )


def _with_all_checksums(desired: Snapshot, parsed: tuple[ParsedFile, ...]) -> Snapshot:
    if desired.migrations is None:
        return desired
    read = {p.file.migration.version: p for p in parsed}
    return replace(
        desired, migrations=tuple(_with_checksums(m, read.get(m.version)) for m in desired.migrations)
    )


def _with_checksums(migration: Migration, parsed: ParsedFile | None) -> Migration:
    if parsed is None:
        return migration
    # A file without statements is still one unit: its row in the ledger.
    units = max(1, len(parsed.units))
    return replace(
        migration,
        semantic=parsed.semantic,
        units=units,
        prefix_checksums=parsed.prefix_checksums,
        words=_summary(parsed),
    )


def _summary(parsed: ParsedFile) -> str:
    return describe_statements(statement for unit in parsed.units for statement in unit.statements)


def _unit_notes(parsed: tuple[ParsedFile, ...]) -> Iterator[Note]:
    """Pending files that can't be applied as a whole or not at all, and why; and a BEGIN that stays open."""
    for p in parsed:
        name = p.file.migration.file
        address = (f"migration:{name}",)
        if len(p.units) > 1:
            message = f"{name} commits in {len(p.units)} parts: {_split_reasons(p)}"
            yield Note("migration_not_atomic", message, Severity.INFO, address)
        elif p.units and p.units[0].execution_mode is ExecutionMode.OUTSIDE_TRANSACTION:
            message = (
                f"{name} runs outside a transaction, so a failure may leave part of it: {_split_reasons(p)}"
            )
            yield Note("migration_not_atomic", message, Severity.INFO, address)
        if p.units and p.units[-1].unclosed:
            message = f"{name} has a BEGIN without COMMIT; it is committed at the end of the file"
            yield Note("migration_begin_open", message, Severity.WARNING, address)


def _split_reasons(parsed: ParsedFile) -> str:
    reasons = dict.fromkeys(unit.reason for unit in parsed.units if unit.reason)
    return "; ".join(reasons) or "it has transactions of its own"


def _would_delete(desired: Objects | None, live: Objects | None, prune: Prune) -> bool:
    if not prune or desired is None or live is None:
        return False
    spared = NOT_LIVE_STATES if prune == "all" else NOT_LIVE_STATES | {ObjectState.UNMANAGED}
    return any(o.state not in spared and path not in desired for path, o in live.items())


def _refuse_too_large(api: Api, desired: Desired, plan: Plan) -> None:
    """Raises SourceRefused for static files over the platform's limit, which is asked for only where one may be."""
    puts = large_puts(plan.changes)
    if puts:
        shown = {
            put.path: desired.static[put.path].relative_path for put in puts if put.path in desired.static
        }
        refuse_too_large(puts, api.static_file_limit(), shown)


def _rules(api: Api, manifest: Manifest, desired: Snapshot, live: LiveState) -> PlanRules:
    """Pruning as the manifest asks, where the platform can delete; it is asked only where something would be."""
    static: Prune = manifest.static.prune if manifest.static else False
    storage_files: Prune = manifest.storage.prune if manifest.storage else False
    impossible = set()
    if _would_delete(desired.static, live.snapshot.static, static) and not api.supports(
        endpoints.DELETE_STATIC_FILE
    ):
        static = False
        impossible.add("static")
    if _would_delete(desired.storage, live.snapshot.storage, storage_files) and not api.supports(
        endpoints.DELETE_STORAGE_FILE
    ):
        storage_files = False
        impossible.add("storage")
    prefix = manifest.storage.prefix if manifest.storage else ""
    return PlanRules(static, storage_files, prefix, frozenset(impossible), environment=manifest.environment)
