"""From a manifest and an API to a plan. Reads only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mosaic_deploy.deploy.planning import divergence
from mosaic_deploy.deploy.planning.deferred import files_of, held, without, without_database
from mosaic_deploy.deploy.planning.hazards import find_hazards
from mosaic_deploy.deploy.planning.planned import DEFAULTS, Planned, PlanOptions, Target
from mosaic_deploy.deploy.planning.read_target import fitting, read_target
from mosaic_deploy.diff.checks import check_pages
from mosaic_deploy.diff.limits import large_puts, quota_notes, refuse_too_large
from mosaic_deploy.diff.migrations import unread
from mosaic_deploy.diff.plan import Rules, make_plan
from mosaic_deploy.diff.policy import judged
from mosaic_deploy.diff.selection import ALL, known_names, select
from mosaic_deploy.errors import (
    Location,
    MigrationDiverged,
    MigrationInvalid,
    Problem,
    SelectionRefused,
)
from mosaic_deploy.live.api import endpoints
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.live_bytes import with_bytes_checked
from mosaic_deploy.live.snapshot import Live
from mosaic_deploy.model.change import ApplyMigration, RunSeed
from mosaic_deploy.model.manifest import Manifest, Prune
from mosaic_deploy.model.plan import Note, Plan, Severity
from mosaic_deploy.model.snapshot import GONE, Migration, Objects, Snapshot, State
from mosaic_deploy.source.migrations.files import Parsed, parse_migrations
from mosaic_deploy.source.migrations.seeds import whole_seeds
from mosaic_deploy.source.problems import Mistakes
from mosaic_deploy.source.snapshot import Desired, read_good
from mosaic_deploy.sql.describe import describe
from mosaic_deploy.sql.execution.units import Carrier


def plan(api: Api, manifest: Manifest, target: Target, options: PlanOptions = DEFAULTS) -> Planned:
    """What an apply would do. At most four requests, in at most two round trips, where nothing changes.

    Raises SourceError's, MigrationError's and ApiError's children, ProjectAmbiguous, ProjectNotFound.
    """
    desired, live = read_both(api, manifest, target, options)
    if options.verify is not None:
        live = with_bytes_checked(api, live, desired.snapshot, options.parallelism, options.verify)
    return compare(api, desired, live, options)


def read_both(
    api: Api, manifest: Manifest, target: Target, options: PlanOptions = DEFAULTS
) -> tuple[Desired, Live]:
    """What is desired, from disk, and what is live, from the API."""
    fits = fitting(api, target.id, target.name, target.hint) if options.selection == ALL else None
    mistakes = Mistakes(manifest.file.name)
    desired = read_good(manifest, mistakes, options.hashed, fits)
    if desired.snapshot.static is not None:
        mistakes.of(lambda: check_pages(manifest, desired.snapshot))
    mistakes.tell()
    return desired, read_target(api, target, desired.snapshot)


def compare(api: Api, desired: Desired, live: Live, options: PlanOptions = DEFAULTS) -> Planned:
    """The plan from both sides. Asks the API only where pruning depends on what it offers, or hazards on data."""
    if options.files_only:
        return _files(api, desired, live)
    parsed = _parse_needed(desired, live.snapshot)
    later = held(parsed, live.snapshot) if options.patient else ()
    parsed = tuple(each for each in parsed if each not in later)
    complete = _with_meaning(without(desired.snapshot, later), parsed)
    pending = _pending(parsed, live.snapshot)
    _refuse_parts(desired.manifest, pending)
    rules = _rules(api, desired.manifest, complete, live)
    rules = replace(rules, allow_out_of_order=options.allow_out_of_order)
    try:
        made = make_plan(complete, live.snapshot, rules, (*desired.notes, *_unit_notes(pending)))
    except MigrationDiverged as error:
        raise divergence.told(error, api, desired, complete, live) from None
    together = bool(desired.manifest.database and desired.manifest.database.together)
    names = known_names(complete, live.snapshot)
    try:
        made = select(made, options.selection, names, together=together)
    except SelectionRefused as error:
        error.problems = tuple(_placed(problem, desired) for problem in error.problems)
        raise
    _refuse_too_large(api, desired, made)
    quota = quota_notes(made.changes, live.snapshot.storage or {}, live.usage)
    made = replace(made, notes=(*made.notes, *quota))
    seeds = _seeds_to_run(desired, made)
    coming = (*_to_apply(pending, made), *seeds)
    hazards = find_hazards(api, live.snapshot, coming, desired.manifest.policy)
    made = judged(made, hazards, desired.manifest)
    waiting = tuple(each.file.shown for each in later)
    return Planned(made, replace(desired, snapshot=complete), live, parsed, seeds, options.selection, waiting)


def _files(api: Api, desired: Desired, live: Live) -> Planned:
    """The plan of static files and assets alone, judged as a whole plan's are."""
    wanted = without_database(desired.snapshot)
    made = make_plan(wanted, live.snapshot, _rules(api, desired.manifest, wanted, live), desired.notes)
    made = files_of(made, desired.snapshot, live.snapshot)
    _refuse_too_large(api, desired, made)
    quota = quota_notes(made.changes, live.snapshot.storage or {}, live.usage)
    made = judged(replace(made, notes=(*made.notes, *quota)), (), desired.manifest)
    return Planned(made, replace(desired, snapshot=wanted), live)


def _placed(problem: Problem, desired: Desired) -> Problem:
    """A problem of a migration, at its path from the project folder."""
    return replace(problem, location=Location(divergence.beside(desired, problem.location.file)))


def _parse_needed(desired: Desired, live: Snapshot) -> tuple[Parsed, ...]:
    """Parses pending and edited files only: an unchanged history of any length costs nothing."""
    wanted = set(unread([file.migration for file in desired.migrations], live.migrations or ()))
    return parse_migrations([file for file in desired.migrations if file.migration.version in wanted])


def _seeds_to_run(desired: Desired, plan: Plan) -> tuple[Parsed, ...]:
    """Parses the seeds that the plan runs. Raises MigrationInvalid for what can't be one transaction."""
    wanted = {change.path for change in plan.changes if isinstance(change, RunSeed)}
    return whole_seeds([file for file in desired.seeds if file.shown in wanted])


def _to_apply(pending: tuple[Parsed, ...], plan: Plan) -> Iterator[Parsed]:
    """Of the pending ones those that the plan applies: a selection may leave some out."""
    versions = {change.version for change in plan.changes if isinstance(change, ApplyMigration)}
    return (p for p in pending if p.file.migration.version in versions)


def _pending(parsed: tuple[Parsed, ...], live: Snapshot) -> tuple[Parsed, ...]:
    done = {migration.version for migration in live.migrations or () if migration.applied}
    return tuple(p for p in parsed if p.file.migration.version not in done)


def _refuse_parts(manifest: Manifest, pending: tuple[Parsed, ...]) -> None:
    """Raises MigrationInvalid where `transaction: all` is asked of files that must commit in between."""
    if manifest.database is None or not manifest.database.together:
        return
    problems = [
        Problem(f"can't be part of one transaction: {_why(p)}", Location(p.file.shown))
        for p in pending
        if len(p.units) > 1 or any(unit.carrier is Carrier.SOLO for unit in p.units)
    ]
    if problems:
        raise MigrationInvalid(
            "database.transaction is `all`, and some pending files must commit in between",
            problems=problems,
            hint="apply those on their own first, with transaction: each",
        )


def _with_meaning(desired: Snapshot, parsed: tuple[Parsed, ...]) -> Snapshot:
    if desired.migrations is None:
        return desired
    read = {p.file.migration.version: p for p in parsed}
    return replace(desired, migrations=tuple(_meant(m, read.get(m.version)) for m in desired.migrations))


def _meant(migration: Migration, parsed: Parsed | None) -> Migration:
    if parsed is None:
        return migration
    # A file without statements is still one unit: its row in the ledger.
    units = max(1, len(parsed.units))
    return replace(
        migration, semantic=parsed.semantic, units=units, prefixes=parsed.prefixes, words=_words(parsed)
    )


def _words(parsed: Parsed) -> str:
    return describe(statement for unit in parsed.units for statement in unit.statements)


def _unit_notes(parsed: tuple[Parsed, ...]) -> Iterator[Note]:
    """Pending files that can't be applied as a whole or not at all, and why; and a BEGIN that stays open."""
    for p in parsed:
        name = p.file.migration.file
        address = (f"migration:{name}",)
        if len(p.units) > 1:
            message = f"{name} commits in {len(p.units)} parts: {_why(p)}"
            yield Note("migration_not_atomic", message, Severity.INFO, address)
        elif p.units and p.units[0].carrier is Carrier.SOLO:
            message = f"{name} runs outside a transaction, so a failure may leave part of it: {_why(p)}"
            yield Note("migration_not_atomic", message, Severity.INFO, address)
        if p.units and p.units[-1].unclosed:
            message = f"{name} has a BEGIN without COMMIT; it is committed at the end of the file"
            yield Note("migration_begin_open", message, Severity.WARNING, address)


def _why(parsed: Parsed) -> str:
    reasons = dict.fromkeys(unit.reason for unit in parsed.units if unit.reason)
    return "; ".join(reasons) or "it has transactions of its own"


def _would_delete(desired: Objects | None, live: Objects | None, prune: Prune) -> bool:
    if not prune or desired is None or live is None:
        return False
    spared = GONE if prune == "all" else GONE | {State.UNMANAGED}
    return any(o.state not in spared and path not in desired for path, o in live.items())


def _refuse_too_large(api: Api, desired: Desired, plan: Plan) -> None:
    """Raises SourceRefused for static files over the platform's limit, which is asked for only where one may be."""
    puts = large_puts(plan.changes)
    if puts:
        shown = {put.path: desired.static[put.path].shown for put in puts if put.path in desired.static}
        refuse_too_large(puts, api.static_file_limit(), shown)


def _rules(api: Api, manifest: Manifest, desired: Snapshot, live: Live) -> Rules:
    """Pruning as the manifest asks, where the platform can delete; it is asked only where something would be."""
    static: Prune = manifest.static.prune if manifest.static else False
    assets: Prune = manifest.storage.prune if manifest.storage else False
    impossible = set()
    if _would_delete(desired.static, live.snapshot.static, static) and not api.offers(endpoints.DELETE_FILE):
        static = False
        impossible.add("static")
    if _would_delete(desired.storage, live.snapshot.storage, assets) and not api.offers(
        endpoints.DELETE_STORED
    ):
        assets = False
        impossible.add("asset")
    prefix = manifest.storage.prefix if manifest.storage else ""
    return Rules(static, assets, prefix, frozenset(impossible), environment=manifest.environment)
