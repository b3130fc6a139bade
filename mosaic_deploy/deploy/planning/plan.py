"""Makes a plan from a manifest and an API. Reads only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from mosaic_deploy.deploy.planning import divergence
from mosaic_deploy.deploy.planning.blocked import BLOCKED_NOTE, as_problems, without_blocked
from mosaic_deploy.deploy.planning.deferred import (
    files_only_plan,
    postponed_migrations,
    without_database,
    without_migrations,
)
from mosaic_deploy.deploy.planning.existing_tables import existing_table_notes
from mosaic_deploy.deploy.planning.failed_deploys import find_new_hazards
from mosaic_deploy.deploy.planning.hazards import with_effects
from mosaic_deploy.deploy.planning.history_evidence import refuse_lost_steps
from mosaic_deploy.deploy.planning.pending import (
    identified,
    parse_needed,
    pending_files,
    refuse_foreign_seeds,
    refuse_intermediate_commits,
    seeds_to_run,
    selected_migrations,
    step_notes,
    unknown_outcome_notes,
    with_all_checksums,
)
from mosaic_deploy.deploy.planning.planned import (
    DEFAULTS,
    PlanOptions,
    PreparedPlan,
    Target,
)
from mosaic_deploy.deploy.planning.read_target import (
    at_storage_addresses,
    plan_rules,
    read_target,
    storage_quota_check,
    within_size_limit,
)
from mosaic_deploy.deploy.planning.request_sizes import refuse_large_steps
from mosaic_deploy.deploy.planning.unknown_names import refuse_unknown_names
from mosaic_deploy.diff.check_record import check_notes
from mosaic_deploy.diff.limits import large_puts, quota_notes, refuse_too_large
from mosaic_deploy.diff.missing_pages import check_redirect_pages
from mosaic_deploy.diff.plan import make_plan
from mosaic_deploy.diff.policies import recorded_policy
from mosaic_deploy.diff.policy import apply_policy
from mosaic_deploy.diff.schema_drift import drift_notes, schema_drift
from mosaic_deploy.diff.selection import ALL, known_names, select
from mosaic_deploy.errors import (
    Location,
    MigrationDiverged,
    MigrationError,
    MosaicError,
    Problem,
    SelectionInvalid,
)
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.compare_bytes import verify_live_bytes
from mosaic_deploy.live.database.extensions import refuse_unavailable
from mosaic_deploy.live.snapshot import LiveState
from mosaic_deploy.live.unmanaged import compare_unmanaged
from mosaic_deploy.model.change import EnableExtension
from mosaic_deploy.model.hazard import Hazard
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.model.plan import Note, Plan, Severity
from mosaic_deploy.model.snapshot import Snapshot
from mosaic_deploy.source.files.references import moving_hint
from mosaic_deploy.source.problems import ErrorCollector
from mosaic_deploy.source.snapshot import Desired, read_valid_desired, storage_prefix


def plan(api: Api, manifest: Manifest, target: Target, options: PlanOptions = DEFAULTS) -> PreparedPlan:
    """The plan for a project. If nothing changed: at most four requests in at most two round trips.

    Raises SourceError, MigrationError, ApiError, ProjectAmbiguous, ProjectNotFound.
    """
    desired, live = read_desired_and_live(api, manifest, target, options)
    if options.compare_bytes is not None:
        live = verify_live_bytes(api, live, desired.snapshot, options.parallelism, options.compare_bytes)
    return compare(api, desired, live, options).with_run_notes(options.compare_commit)


def read_desired_and_live(
    api: Api, manifest: Manifest, target: Target, options: PlanOptions = DEFAULTS
) -> tuple[Desired, LiveState]:
    """The desired side from disk and the live side from the API."""
    check_quota = (
        storage_quota_check(api, target.id, target.name, target.hint) if options.selection == ALL else None
    )
    errors = ErrorCollector(manifest.file.name)
    desired = read_valid_desired(
        manifest, errors, options.on_hashed, check_quota, unbuilt=options.leaves_out_unbuilt
    )
    if desired.snapshot.static is not None:
        errors.collect(lambda: check_redirect_pages(manifest, desired.snapshot))
    errors.raise_collected()
    desired = within_size_limit(api, desired)
    live = read_target(api, target, desired.snapshot, manifest)
    desired = at_storage_addresses(desired, live)
    verify_auth = options.compare_bytes is not None
    return desired, compare_unmanaged(
        api, live, desired.snapshot, options.parallelism, verify_auth=verify_auth
    )


def compare(api: Api, desired: Desired, live: LiveState, options: PlanOptions = DEFAULTS) -> PreparedPlan:
    """The plan from both sides. Sends requests only if pruning depends on the API's endpoints, or hazards on data."""
    desired, live = identified(desired, live)
    if options.files_only:
        return _plan_files(api, desired, live)
    try:
        return _compare_all(api, desired, live, options)
    except MigrationError as error:
        if options.on_blocked is None:
            raise
        if rest := _plan_rest(api, desired, live, options, error):
            options.on_blocked(replace(rest, notes=(BLOCKED_NOTE, *rest.notes)))
        raise


def _plan_rest(
    api: Api, desired: Desired, live: LiveState, options: PlanOptions, error: MigrationError
) -> Plan | None:
    """The plan without what `error` and further errors are about, which become its problems; None if that is impossible."""
    loose = replace(options, allow_out_of_order=True)
    blocking = error
    while desired.snapshot.migrations is not None:
        desired, rest = without_blocked(desired, live.snapshot, blocking)
        live = replace(live, snapshot=rest)
        try:
            return _compare_all(api, desired, live, loose).plan
        except MosaicError as other:
            error.problems = (*error.problems, *as_problems(other, desired.manifest.file.name))
            if not isinstance(other, MigrationError) or isinstance(other, MigrationDiverged):
                return None
            blocking = other
    return None


def _compare_all(api: Api, desired: Desired, live: LiveState, options: PlanOptions) -> PreparedPlan:
    parsed = parse_needed(desired, live.snapshot)
    postponed = postponed_migrations(parsed, live.snapshot) if options.postpone_empty_migrations else ()
    parsed = tuple(each for each in parsed if each not in postponed)
    complete = with_all_checksums(without_migrations(desired.snapshot, postponed), parsed)
    complete = replace(complete, moved_from=divergence.moved_from(desired.manifest, live))
    refuse_foreign_seeds(complete, live.snapshot)
    pending = pending_files(parsed, live.snapshot)
    refuse_intermediate_commits(desired.manifest, pending)
    rules = plan_rules(api, desired, complete, live).with_options(options.allow_out_of_order, options.due)
    notes = (
        *desired.notes,
        *desired.site.notes(),
        *step_notes(pending),
        *unknown_outcome_notes(pending, live.snapshot),
        *existing_table_notes(api, live.snapshot, pending),
        *_environment_notes(desired.manifest, live),
        *_empty_project_notes(live),
    )
    try:
        new_plan = make_plan(complete, live.snapshot, rules, notes)
    except MigrationDiverged as error:
        raise divergence.explain_divergence(
            error, api, desired, complete, live, allow_out_of_order=options.allow_out_of_order
        ) from None
    divergence.refuse_begun_elsewhere(desired, complete, live)
    single_transaction = bool(desired.manifest.database and desired.manifest.database.single_transaction)
    names = known_names(complete, live.snapshot)
    try:
        new_plan = select(new_plan, options.selection, names, single_transaction=single_transaction)
    except SelectionInvalid as error:
        error.problems = tuple(_with_path(problem, desired) for problem in error.problems)
        raise
    if desired.unbuilt and options.selection != ALL:
        # How many there are isn't known, but the plan isn't all that would be deployed.
        new_plan = replace(new_plan, left_out=(*new_plan.left_out, "static"))
    extensions = [change.name for change in new_plan.changes if isinstance(change, EnableExtension)]
    refuse_unavailable(api, _running_id(live.snapshot), desired.manifest, extensions)
    checks = check_notes(
        desired.manifest.verify, live.ledger_facts, empty=new_plan.empty and not new_plan.partial
    )
    new_plan = replace(new_plan, notes=(*new_plan.notes, *checks))
    seeds = seeds_to_run(desired, new_plan)
    migrations = tuple(selected_migrations(pending, new_plan))
    refuse_lost_steps(api, _running_id(live.snapshot), migrations, live.snapshot.migrations or ())
    refuse_large_steps(api, migrations, seeds, single_transaction=single_transaction)
    found = find_new_hazards(api, desired, live, (*migrations, *seeds))
    refuse_unknown_names(api, _running_id(live.snapshot), found.unknown)
    paths = {p.file.migration.version: p.file.relative_path for p in migrations}
    new_plan = with_effects(
        new_plan, found, {**paths, **{p.file.relative_path: p.file.relative_path for p in seeds}}
    )
    new_plan = _with_limits(api, desired, live, new_plan, found.hazards)
    postponed_paths = tuple(each.file.relative_path for each in postponed)
    both = (replace(desired, snapshot=complete), live)
    return PreparedPlan(new_plan, *both, parsed, seeds, options.selection, postponed_paths, found.writes)


def _environment_notes(manifest: Manifest, live: LiveState) -> Iterator[Note]:
    """Notes on an environment that was probably forgotten, or whose project belongs to another environment."""
    if not manifest.environments:
        return
    if not manifest.environment and not live.snapshot.project.id:
        message = f"no environment is chosen, so this makes a project of its own; for {', '.join(manifest.environments)} pass --env NAME"
        yield Note("environment_not_chosen", message, Severity.WARNING)
    last = live.ledger_facts.get("last")
    before = last.get("environment") if isinstance(last, Mapping) else None
    if last and before != manifest.environment:
        was, now = (
            f"environment {each}" if each else "no environment" for each in (before, manifest.environment)
        )
        message = f"this project was last deployed with {was}, now with {now}; each replaces what the other deployed"
        yield Note("environment_differs", message, Severity.WARNING)


def _empty_project_notes(live: LiveState) -> Iterator[Note]:
    for other in live.empty_projects:
        yield Note(
            "project_duplicated",
            f"there are several projects named {live.snapshot.project.name!r}; this is about the one that is in use. "
            f"{other.id} is empty: two first deploys at the same time, or a request that was repeated on its way, made "
            f"it. Delete it in the dashboard; on the embedded platform, with `mosaic-deploy local reset {other.id}`",
            Severity.WARNING,
        )


def _with_limits(
    api: Api, desired: Desired, live: LiveState, plan: Plan, hazards: tuple[Hazard, ...]
) -> Plan:
    """The plan with its notes on quota and drift, and the policy's denials. Raises SourceRefused and QuotaExceeded."""
    _refuse_too_large(api, desired, plan)
    quota = quota_notes(plan.changes, live.snapshot.storage or {}, live.usage)
    recorded = recorded_policy(live.ledger_facts.get("policy"), desired.snapshot.manifest)
    drift = schema_drift(live.schema, deploying=bool(live.ledger_facts.get("lease")))
    plan = replace(plan, notes=(*plan.notes, *quota, *drift_notes(drift)), drift=drift)
    return apply_policy(plan, hazards, desired.manifest, recorded)


def _plan_files(api: Api, desired: Desired, live: LiveState) -> PreparedPlan:
    """The plan of static and storage files only, with the same checks as a complete plan."""
    wanted = without_database(desired.snapshot)
    notes = (*desired.notes, *desired.site.notes())
    new_plan = make_plan(wanted, live.snapshot, plan_rules(api, desired, wanted, live), notes)
    new_plan = files_only_plan(new_plan, desired.snapshot, live.snapshot)
    new_plan = _with_limits(api, desired, live, new_plan, ())
    return PreparedPlan(new_plan, replace(desired, snapshot=wanted), live)


def _running_id(live: Snapshot) -> str:
    """The project's ID, empty if it has no database yet."""
    return "" if live.project.status == "provisioning" else live.project.id


def _with_path(problem: Problem, desired: Desired) -> Problem:
    """The problem with its migration's path relative to the project folder."""
    return replace(problem, location=Location(divergence.migration_path(desired, problem.location.file)))


def _refuse_too_large(api: Api, desired: Desired, plan: Plan) -> None:
    """Raises SourceRefused for static files over the platform's limit. Reads the limit only for large files."""
    puts = large_puts(plan.changes)
    if puts:
        shown = {
            put.path: desired.static[put.path].relative_path for put in puts if put.path in desired.static
        }
        prefix, stores = storage_prefix(desired.manifest), desired.manifest.site_uses_storage

        def hint(name: str) -> str:
            return moving_hint(desired.static, name, prefix, rewritten=stores)

        refuse_too_large(puts, api.static_file_limit(), shown, hint)
