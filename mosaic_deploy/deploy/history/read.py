"""Reads the migrations folder and the migration history, for the `migrate` commands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from mosaic_deploy.deploy.planning.divergence import history_access
from mosaic_deploy.deploy.planning.history_evidence import AppliedTexts, lost_steps, read_applied_texts
from mosaic_deploy.deploy.planning.planned import PreparedPlan, Target
from mosaic_deploy.diff.history.identity import find_version, placed_rows, recorded_versions
from mosaic_deploy.diff.history.matching import Matches
from mosaic_deploy.diff.history.migration_status import migration_statuses, unparsed_files
from mosaic_deploy.diff.history.owner import HistoryAccess
from mosaic_deploy.errors import MigrationInvalid, ProjectNotFound
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.find_project import find_project
from mosaic_deploy.live.ledger.history import MigrationHistory, read_history
from mosaic_deploy.live.snapshot import LiveState
from mosaic_deploy.model.change import Change
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.model.migration_history import MigrationStatus
from mosaic_deploy.model.plan import Note, Plan
from mosaic_deploy.model.snapshot import Migration, Project, Snapshot
from mosaic_deploy.source.manifest.folders import migrations_folder, migrations_layout
from mosaic_deploy.source.migrations.files import MigrationFile, ParsedFile, parse_migrations
from mosaic_deploy.source.migrations.listing import read_migrations
from mosaic_deploy.source.snapshot import Desired


@dataclass(frozen=True, slots=True)
class HistoryContext:
    """The folder's files, not parsed, and the migration history."""

    manifest: Manifest
    project: Project
    files: tuple[MigrationFile, ...]
    ledger: MigrationHistory

    @property
    def by_version(self) -> dict[str, MigrationFile]:
        return {file.migration.version: file for file in self.files}

    def find_version(self, given: str, *, last: bool = False) -> str:
        """As `diff.history.identity.find_version`, among the files and the history."""
        rows = (entry.migration for entry in self.ledger.entries)
        return find_version(given, [*rows, *(file.migration for file in self.files)], last=last)

    def access(self, matches: Matches) -> HistoryAccess:
        """What the manifest may do with the history."""
        return history_access(self.manifest, self.ledger.owner, matches)


@dataclass(frozen=True, slots=True)
class OwnHistory:
    """A history that the manifest may change. Only `read_own_history` makes it, and no plan of changes is made without."""

    context: HistoryContext
    found: AppliedTexts


def read_history_context(api: Api, manifest: Manifest, target: Target) -> HistoryContext:
    """Reads the folder and the history. A project that doesn't exist yet has an empty history. Reads only."""
    files = read_migrations(manifest.root, migrations_folder(manifest), layout=migrations_layout(manifest))
    project = find_project(api, id=target.id, name=target.name, hint=target.hint).project
    if project is None or project.status == "provisioning":
        return HistoryContext(manifest, project or Project("", target.name or ""), files, MigrationHistory())
    return _identified(HistoryContext(manifest, project, files, read_history(api, project.id)))


def _identified(context: HistoryContext) -> HistoryContext:
    """With each file under the version that the history has for it, and the rows in the folder's order."""
    rows = [entry.migration for entry in context.ledger.entries]
    versions = recorded_versions([file.migration for file in context.files], rows)
    files = tuple(
        replace(file, migration=replace(file.migration, version=version))
        if (version := versions.get(file.migration.file))
        else file
        for file in context.files
    )
    by_version = {entry.migration.version: entry for entry in context.ledger.entries}
    placed = placed_rows([file.migration for file in files], rows)
    entries = tuple(replace(by_version[row.version], migration=row) for row in placed)
    return replace(context, files=files, ledger=replace(context.ledger, entries=entries))


def migration_path(context: HistoryContext, file: str) -> str:
    """The path of a migration file relative to the project folder."""
    return str(PurePosixPath(migrations_folder(context.manifest)) / file)


def require_project(context: HistoryContext) -> None:
    """Raises ProjectNotFound if the project doesn't exist."""
    if not context.project.id:
        raise ProjectNotFound(
            f"there is no project named {context.project.name!r}, so there is no migration history",
            hint="`mosaic-deploy apply` creates it",
        )


def read_own_history(api: Api, context: HistoryContext) -> OwnHistory:
    """The history, to change it. Raises ProjectNotFound, and MigrationDiverged if it is another manifest's."""
    require_project(context)
    found = match_files(api, context)
    context.access(found.matches).refuse_changing()
    return OwnHistory(context, found)


def match_files(api: Api, context: HistoryContext) -> AppliedTexts:
    """Which file each row of the history belongs to. Sends one request if a row has no equal file."""
    entries = context.ledger.entries
    unparsed = set(unparsed_files([file.migration for file in context.files], entries))
    rows = [entry.migration for entry in entries]
    folder = [
        with_checksums(file, rows) if file.migration.file in unparsed else file.migration
        for file in context.files
    ]
    return read_applied_texts(api, context.project.id, context.files, folder, rows)


def history_statuses(api: Api, context: HistoryContext) -> tuple[MigrationStatus, ...]:
    """The state of every migration, with commands that fix what is wrong.

    Raises MigrationDiverged if the history is another manifest's, and nothing of it is in the folder.
    """
    found = match_files(api, context)
    access = context.access(found.matches)
    access.refuse_reading()
    lost = [row.version for _, row in lost_steps_of(api, context, context.files)]
    statuses = migration_statuses(found.matches, context.ledger.entries, found.evidence, lost)
    if not access.other:
        return statuses
    return tuple(replace(each, next_actions=access.restore_actions(each.version)) for each in statuses)


def lost_steps_of(
    api: Api, context: HistoryContext, files: Iterable[MigrationFile]
) -> list[tuple[ParsedFile, Migration]]:
    """As `lost_steps`, for those of `files` that were edited while a step's outcome is unknown."""
    rows = {entry.migration.version: entry.migration for entry in context.ledger.entries if entry.unknown}
    edited = [
        file
        for file in files
        if (row := rows.get(file.migration.version)) and row.checksum != file.migration.checksum
    ]
    parsed = [found for file in edited if (found := try_parse(file, rows.values()))]
    return list(lost_steps(api, context.project.id, parsed, rows.values()))


def try_parse(file: MigrationFile, rows: Iterable[Migration] = ()) -> ParsedFile | None:
    """The file parsed, as `parse_migrations` does; None for a syntax error."""
    try:
        return parse_migrations([file], rows)[0]
    except MigrationInvalid:
        return None


def with_checksums(file: MigrationFile, rows: Iterable[Migration] = ()) -> Migration:
    """The file's migration with semantic checksums. Those of a file with a syntax error are of its bytes."""
    parsed = try_parse(file, rows)
    if parsed is None:
        return replace(
            file.migration, semantic=file.migration.checksum, prefix_checksums=(file.migration.checksum,)
        )
    steps = max(1, len(parsed.steps))
    return replace(
        file.migration, semantic=parsed.semantic, steps=steps, prefix_checksums=parsed.prefix_checksums
    )


def history_plan(
    own: OwnHistory,
    changes: Iterable[Change],
    notes: Iterable[Note] = (),
    parsed: Iterable[ParsedFile] = (),
    repeatables: Iterable[MigrationFile] = (),
) -> PreparedPlan:
    """A plan of changes to the migration history only. `repeatables` are the files that it records as run."""
    context = own.context
    folder = Snapshot(context.project, migrations=tuple(file.migration for file in context.files))
    rows = tuple(entry.migration for entry in context.ledger.entries)
    live = Snapshot(context.project, migrations=rows, serial=context.ledger.serial)
    plan = Plan(
        project=context.project,
        changes=tuple(changes),
        notes=tuple(notes),
        desired=folder.fingerprint(),
        live=live.fingerprint(),
        serial=context.ledger.serial,
        environment=context.manifest.environment,
    )
    desired = Desired(context.manifest, folder, context.files, tuple(repeatables))
    facts = {"owner": context.ledger.owner, "lease": context.ledger.lease}
    return PreparedPlan(
        plan,
        desired,
        LiveState(live, context.ledger.exists, ledger_facts=facts),
        tuple(parsed),
    )
