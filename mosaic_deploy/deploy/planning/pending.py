"""The pending SQL files of a plan: which are parsed, in which steps they run, and what the plan says about that."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace

from mosaic_deploy.diff.history.identity import placed_rows, recorded_versions
from mosaic_deploy.diff.history.migrations import versions_to_parse
from mosaic_deploy.diff.seeds import foreign_seeds
from mosaic_deploy.errors import Location, MigrationInvalid, NextAction, Problem, SourceRefused
from mosaic_deploy.live.database.outside_transaction import can_read_outcome
from mosaic_deploy.live.snapshot import LiveState
from mosaic_deploy.model.change import ApplyMigration, RunSeed
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.model.plan import Note, Plan, Severity
from mosaic_deploy.model.snapshot import Migration, Snapshot
from mosaic_deploy.source.migrations.files import ParsedFile, parse_migrations, statement_location
from mosaic_deploy.source.migrations.layouts.flyway import has_placeholder
from mosaic_deploy.source.migrations.seeds import parse_seeds
from mosaic_deploy.source.snapshot import Desired
from mosaic_deploy.sql.describe import describe_statements
from mosaic_deploy.sql.execution.records import SEED
from mosaic_deploy.sql.execution.split import ExecutionMode
from mosaic_deploy.sql.parse import line_and_column
from mosaic_deploy.sql.quote import literal


def identified(desired: Desired, live: LiveState) -> tuple[Desired, LiveState]:
    """Both sides with each migration under the version that the history has for its file, in the folder's order."""
    folder, rows = desired.snapshot.migrations or (), live.snapshot.migrations or ()
    if not rows:
        return desired, live
    if versions := recorded_versions(folder, rows):
        files = tuple(
            replace(file, migration=_with_version(file.migration, versions)) for file in desired.migrations
        )
        folder = tuple(_with_version(migration, versions) for migration in folder)
        snapshot = replace(desired.snapshot, migrations=folder)
        desired = replace(desired, migrations=files, snapshot=snapshot)
    placed = placed_rows(folder, rows)
    if placed != rows:
        live = replace(live, snapshot=replace(live.snapshot, migrations=placed))
    return desired, live


def _with_version(migration: Migration, versions: Mapping[str, str]) -> Migration:
    return replace(migration, version=versions.get(migration.file, migration.version))


def parse_needed(desired: Desired, live: Snapshot) -> tuple[ParsedFile, ...]:
    """Parses only pending and edited files, so a long unchanged history costs nothing."""
    rows = live.migrations or ()
    wanted = set(versions_to_parse([file.migration for file in desired.migrations], rows))
    return parse_migrations([file for file in desired.migrations if file.migration.version in wanted], rows)


def seeds_to_run(desired: Desired, plan: Plan) -> tuple[ParsedFile, ...]:
    """Parses the seeds that the plan runs. Raises MigrationInvalid if one can't run in one transaction."""
    wanted = {change.path for change in plan.changes if isinstance(change, RunSeed)}
    return parse_seeds([file for file in desired.seeds if file.relative_path in wanted])


def selected_migrations(pending: tuple[ParsedFile, ...], plan: Plan) -> Iterator[ParsedFile]:
    """The pending files that the plan applies; a selection may leave some out."""
    versions = {change.version for change in plan.changes if isinstance(change, ApplyMigration)}
    return (p for p in pending if p.file.migration.version in versions)


def pending_files(parsed: tuple[ParsedFile, ...], live: Snapshot) -> tuple[ParsedFile, ...]:
    done = {migration.version for migration in live.migrations or () if migration.applied}
    return tuple(p for p in parsed if p.file.migration.version not in done)


def refuse_foreign_seeds(desired: Snapshot, live: Snapshot) -> None:
    """Raises SourceRefused if another manifest of the project has run a seed of the same name."""
    found = foreign_seeds(desired, live)
    if found:
        raise SourceRefused(
            "another manifest of this project has run a seed of the same name",
            problems=[
                Problem(
                    f"{row.manifest} has run its own {row.path}; give this one another name",
                    Location(row.path),
                )
                for row in found
            ],
            hint="the tracking tables have one row for a name of a seed, so two manifests need different names",
            next_actions=[
                _moved_action(each, desired.manifest) for each in sorted({row.manifest for row in found})
            ],
        )


def _moved_action(other: str, manifest: str) -> NextAction:
    query = (
        f"UPDATE mosaic_deploy.objects SET manifest = {literal(manifest)} WHERE kind = '{SEED}' AND manifest = "
        f"{literal(other)}"
    )
    description = f"if {other} was renamed and is this manifest now, record its seeds as this one's"
    return NextAction(description, shlex.join(["mosaic-deploy", "sql", query]), needs_person=True)


def refuse_intermediate_commits(manifest: Manifest, pending: tuple[ParsedFile, ...]) -> None:
    """Raises MigrationInvalid if `transaction: all` is set and a file has to commit in between."""
    if manifest.database is None or not manifest.database.single_transaction:
        return
    problems = [
        Problem(f"can't run in a single transaction: {_split_reasons(p)}", Location(p.file.relative_path))
        for p in pending
        if len(p.steps) > 1
        or any(step.execution_mode is ExecutionMode.OUTSIDE_TRANSACTION for step in p.steps)
    ]
    if problems:
        raise MigrationInvalid(
            "database.transaction is `all`, but some pending files have to commit in between",
            problems=problems,
            hint="apply those first, with `transaction: each`",
        )


def with_all_checksums(desired: Snapshot, parsed: tuple[ParsedFile, ...]) -> Snapshot:
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
    steps = max(1, len(parsed.steps))
    return replace(
        migration,
        semantic=parsed.semantic,
        steps=steps,
        prefix_checksums=parsed.prefix_checksums,
        words=_summary(parsed),
    )


def _summary(parsed: ParsedFile) -> str:
    return describe_statements(statement for step in parsed.steps for statement in step.statements)


def step_notes(parsed: tuple[ParsedFile, ...]) -> Iterator[Note]:
    """Notes about pending files that aren't atomic, and about what doesn't do what it looks like."""
    for p in parsed:
        name = p.file.migration.file
        address = (f"migration:{name}",)
        if len(p.steps) > 1 and p.steps[-1].statements:
            message = f"{name} commits in {len(p.steps)} steps: {_split_reasons(p)}"
            yield Note("migration_not_atomic", message, Severity.INFO, address)
        elif p.steps and p.steps[0].execution_mode is ExecutionMode.OUTSIDE_TRANSACTION:
            message = f"{name} runs outside a transaction, so it may be partly applied if it fails: {_split_reasons(p)}"
            yield Note("migration_not_atomic", message, Severity.INFO, address)
        for remark in (remark for step in p.steps for remark in step.remarks):
            line, *_ = line_and_column(p.file.text, remark.offset)
            message = f"{name}:{line}: {remark.message}"
            yield Note("migration_transaction_control", message, Severity.WARNING, address)
        if p.steps and p.steps[-1].unclosed:
            message = f"{name} has a BEGIN without COMMIT; it commits at the end of the file"
            yield Note("migration_begin_open", message, Severity.WARNING, address)
    yield from _placeholder_notes(parsed)


def _placeholder_notes(parsed: tuple[ParsedFile, ...]) -> Iterator[Note]:
    """Warnings about placeholders of Flyway in strings and bodies, which are sent as they are written."""
    for p in parsed:
        name = p.file.migration.file
        for statement in (statement for step in p.steps for statement in step.statements):
            if found := has_placeholder(name, statement.text):
                line = statement_location(p.file, statement, statement.text.index(found)).line
                message = f"{name}:{line}: the placeholder {found} isn't replaced; write its value if Flyway replaces it"
                yield Note("migration_placeholder", message, Severity.WARNING, (f"migration:{name}",))
                break


def unknown_outcome_notes(parsed: tuple[ParsedFile, ...], live: Snapshot) -> Iterator[Note]:
    """Notes about steps that an earlier run sent, at which the next apply stops, because it can't see their outcome."""
    rows = {row.version: row for row in live.migrations or ()}
    for p in parsed:
        row = rows.get(p.file.migration.version)
        number = row.step_begun if row else 0
        if row is None or number <= row.steps_done or number > len(p.steps):
            continue
        step = p.steps[number - 1]
        if step.execution_mode is ExecutionMode.OUTSIDE_TRANSACTION and not can_read_outcome(
            step.statements[0]
        ):
            name, place = p.file.migration.file, f"{row.version}:{number}"
            message = (
                f"{name}: step {number} of {len(p.steps)} was begun before, and it isn't known whether it took effect, so "
                f"apply will stop there; check the database, then record it: `mosaic-deploy migrate repair --applied {place}` "
                f"if it did, `mosaic-deploy migrate repair --not-applied {place}` if it did not"
            )
            yield Note("migration_outcome_unknown", message, Severity.WARNING, (f"migration:{name}",))


def _split_reasons(parsed: ParsedFile) -> str:
    reasons = dict.fromkeys(step.reason for step in parsed.steps if step.reason)
    return "; ".join(reasons) or "it has its own transactions"
