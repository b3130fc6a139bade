"""Makes a plan from a manifest and an API. Reads only."""

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
from mosaic_deploy.deploy.planning.request_sizes import refuse_large_steps
from mosaic_deploy.diff.limits import large_puts, quota_notes, refuse_too_large
from mosaic_deploy.diff.migrations import versions_to_parse
from mosaic_deploy.diff.missing_pages import check_redirect_pages
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
from mosaic_deploy.live.compare_bytes import verify_live_bytes
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
from mosaic_deploy.sql.parse import line_and_column


def plan(api: Api, manifest: Manifest, target: Target, options: PlanOptions = DEFAULTS) -> PreparedPlan:
    """The plan for a project. If nothing changed: at most four requests in at most two round trips.

    Raises SourceError, MigrationError, ApiError, ProjectAmbiguous, ProjectNotFound.
    """
    desired, live = read_desired_and_live(api, manifest, target, options)
    if options.verify is not None:
        live = verify_live_bytes(api, live, desired.snapshot, options.parallelism, options.verify)
    return compare(api, desired, live, options)


def read_desired_and_live(
    api: Api, manifest: Manifest, target: Target, options: PlanOptions = DEFAULTS
) -> tuple[Desired, LiveState]:
    """The desired side from disk and the live side from the API."""
    check_quota = (
        storage_quota_check(api, target.id, target.name, target.hint) if options.selection == ALL else None
    )
    errors = ErrorCollector(manifest.file.name)
    desired = read_valid_desired(manifest, errors, options.on_hashed, check_quota)
    if desired.snapshot.static is not None:
        errors.collect(lambda: check_redirect_pages(manifest, desired.snapshot))
    errors.raise_collected()
    return desired, read_target(api, target, desired.snapshot)


def compare(api: Api, desired: Desired, live: LiveState, options: PlanOptions = DEFAULTS) -> PreparedPlan:
    """The plan from both sides. Sends requests only if pruning depends on the API's endpoints, or hazards on data."""
    if options.files_only:
        return _plan_files(api, desired, live)
    parsed = _parse_needed(desired, live.snapshot)
    postponed = postponed_migrations(parsed, live.snapshot) if options.postpone_empty_migrations else ()
    parsed = tuple(each for each in parsed if each not in postponed)
    complete = _with_all_checksums(without_migrations(desired.snapshot, postponed), parsed)
    pending = _pending(parsed, live.snapshot)
    _refuse_intermediate_commits(desired.manifest, pending)
    rules = _rules(api, desired.manifest, complete, live)
    rules = replace(rules, allow_out_of_order=options.allow_out_of_order)
    try:
        new_plan = make_plan(complete, live.snapshot, rules, (*desired.notes, *_unit_notes(pending)))
    except MigrationDiverged as error:
        raise divergence.explain_divergence(error, api, desired, complete, live) from None
    single_transaction = bool(desired.manifest.database and desired.manifest.database.single_transaction)
    names = known_names(complete, live.snapshot)
    try:
        new_plan = select(new_plan, options.selection, names, single_transaction=single_transaction)
    except SelectionInvalid as error:
        error.problems = tuple(_with_path(problem, desired) for problem in error.problems)
        raise
    _refuse_too_large(api, desired, new_plan)
    quota = quota_notes(new_plan.changes, live.snapshot.storage or {}, live.usage)
    new_plan = replace(new_plan, notes=(*new_plan.notes, *quota))
    seeds = _seeds_to_run(desired, new_plan)
    to_run = (*_selected_migrations(pending, new_plan), *seeds)
    refuse_large_steps(api, to_run, single_transaction=single_transaction)
    hazards = find_hazards(api, live.snapshot, to_run, desired.manifest.policy)
    new_plan = apply_policy(new_plan, hazards, desired.manifest)
    postponed_paths = tuple(each.file.relative_path for each in postponed)
    return PreparedPlan(
        new_plan, replace(desired, snapshot=complete), live, parsed, seeds, options.selection, postponed_paths
    )


def _plan_files(api: Api, desired: Desired, live: LiveState) -> PreparedPlan:
    """The plan of static and storage files only, with the same checks as a complete plan."""
    wanted = without_database(desired.snapshot)
    new_plan = make_plan(wanted, live.snapshot, _rules(api, desired.manifest, wanted, live), desired.notes)
    new_plan = files_only_plan(new_plan, desired.snapshot, live.snapshot)
    _refuse_too_large(api, desired, new_plan)
    quota = quota_notes(new_plan.changes, live.snapshot.storage or {}, live.usage)
    new_plan = apply_policy(replace(new_plan, notes=(*new_plan.notes, *quota)), (), desired.manifest)
    return PreparedPlan(new_plan, replace(desired, snapshot=wanted), live)


def _with_path(problem: Problem, desired: Desired) -> Problem:
    """The problem with its migration's path relative to the project folder."""
    return replace(problem, location=Location(divergence.migration_path(desired, problem.location.file)))


def _parse_needed(desired: Desired, live: Snapshot) -> tuple[ParsedFile, ...]:
    """Parses only pending and edited files, so a long unchanged history costs nothing."""
    wanted = set(versions_to_parse([file.migration for file in desired.migrations], live.migrations or ()))
    return parse_migrations([file for file in desired.migrations if file.migration.version in wanted])


def _seeds_to_run(desired: Desired, plan: Plan) -> tuple[ParsedFile, ...]:
    """Parses the seeds that the plan runs. Raises MigrationInvalid if one can't run in one transaction."""
    wanted = {change.path for change in plan.changes if isinstance(change, RunSeed)}
    return parse_seeds([file for file in desired.seeds if file.relative_path in wanted])


def _selected_migrations(pending: tuple[ParsedFile, ...], plan: Plan) -> Iterator[ParsedFile]:
    """The pending files that the plan applies; a selection may leave some out."""
    versions = {change.version for change in plan.changes if isinstance(change, ApplyMigration)}
    return (p for p in pending if p.file.migration.version in versions)


def _pending(parsed: tuple[ParsedFile, ...], live: Snapshot) -> tuple[ParsedFile, ...]:
    done = {migration.version for migration in live.migrations or () if migration.applied}
    return tuple(p for p in parsed if p.file.migration.version not in done)


def _refuse_intermediate_commits(manifest: Manifest, pending: tuple[ParsedFile, ...]) -> None:
    """Raises MigrationInvalid if `transaction: all` is set and a file has to commit in between."""
    if manifest.database is None or not manifest.database.single_transaction:
        return
    problems = [
        Problem(f"can't run in a single transaction: {_split_reasons(p)}", Location(p.file.relative_path))
        for p in pending
        if len(p.units) > 1
        or any(unit.execution_mode is ExecutionMode.OUTSIDE_TRANSACTION for unit in p.units)
    ]
    if problems:
        raise MigrationInvalid(
            "database.transaction is `all`, but some pending files have to commit in between",
            problems=problems,
            hint="apply those first, with `transaction: each`",
        )


def _with_all_checksums(desired: Snapshot, parsed: tuple[ParsedFile, ...]) -> Snapshot:
    if desired.migrations is None:
        return desired
    by_version = {p.file.migration.version: p for p in parsed}
    return replace(
        desired, migrations=tuple(_with_checksums(m, by_version.get(m.version)) for m in desired.migrations)
    )


def _with_checksums(migration: Migration, parsed: ParsedFile | None) -> Migration:
    if parsed is None:
        return migration
    # A file without statements is still one step: its row in the ledger.
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
    """Notes about pending files that aren't atomic, and about transaction control that isn't what it looks."""
    for p in parsed:
        name = p.file.migration.file
        address = (f"migration:{name}",)
        if len(p.units) > 1:
            message = f"{name} commits in {len(p.units)} steps: {_split_reasons(p)}"
            yield Note("migration_not_atomic", message, Severity.INFO, address)
        elif p.units and p.units[0].execution_mode is ExecutionMode.OUTSIDE_TRANSACTION:
            message = f"{name} runs outside a transaction, so it may be partly applied if it fails: {_split_reasons(p)}"
            yield Note("migration_not_atomic", message, Severity.INFO, address)
        for remark in (remark for unit in p.units for remark in unit.remarks):
            line, *_ = line_and_column(p.file.text, remark.offset)
            message = f"{name}:{line}: {remark.message}"
            yield Note("migration_transaction_control", message, Severity.WARNING, address)
        if p.units and p.units[-1].unclosed:
            message = f"{name} has a BEGIN without COMMIT; it commits at the end of the file"
            yield Note("migration_begin_open", message, Severity.WARNING, address)


def _split_reasons(parsed: ParsedFile) -> str:
    reasons = dict.fromkeys(unit.reason for unit in parsed.units if unit.reason)
    return "; ".join(reasons) or "it has its own transactions"


def _would_delete(desired: Objects | None, live: Objects | None, prune: Prune) -> bool:
    if not prune or desired is None or live is None:
        return False
    kept_states = NOT_LIVE_STATES if prune == "all" else NOT_LIVE_STATES | {ObjectState.UNMANAGED}
    return any(o.state not in kept_states and path not in desired for path, o in live.items())


def _refuse_too_large(api: Api, desired: Desired, plan: Plan) -> None:
    """Raises SourceRefused for static files over the platform's limit. Reads the limit only for large files."""
    puts = large_puts(plan.changes)
    if puts:
        shown = {
            put.path: desired.static[put.path].relative_path for put in puts if put.path in desired.static
        }
        refuse_too_large(puts, api.static_file_limit(), shown)


def _rules(api: Api, manifest: Manifest, desired: Snapshot, live: LiveState) -> PlanRules:
    """Pruning as in the manifest, unless the platform can't delete. Checks that only if something would be deleted."""
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
