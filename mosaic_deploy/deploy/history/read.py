"""The migrations folder and the database's history of it, read for the commands that look at both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from mosaic_deploy.deploy.planning.planned import Planned, Target
from mosaic_deploy.diff.migration_status import edited, standings
from mosaic_deploy.errors import MigrationInvalid, ProjectNotFound
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.projects import choose, read_projects
from mosaic_deploy.live.ledger.history import Told, read_history
from mosaic_deploy.live.snapshot import Live
from mosaic_deploy.model.change import Change
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.model.migration_status import Line
from mosaic_deploy.model.plan import Note, Plan
from mosaic_deploy.model.snapshot import Migration, Project, Snapshot
from mosaic_deploy.source.manifest.folders import migrations_folder
from mosaic_deploy.source.migrations.files import MigrationFile, Parsed, parse_migrations, read_migrations
from mosaic_deploy.source.snapshot import Desired


@dataclass(frozen=True, slots=True)
class Known:
    """Both sides of the migrations: the folder's files, not parsed, and the ledger's rows."""

    manifest: Manifest
    project: Project
    files: tuple[MigrationFile, ...]
    told: Told

    @property
    def by_version(self) -> dict[str, MigrationFile]:
        return {file.migration.version: file for file in self.files}


def read_known(api: Api, manifest: Manifest, target: Target) -> Known:
    """Reads folder and ledger. Reads only; a project that isn't there yet has no history."""
    files = read_migrations(manifest.root, migrations_folder(manifest))
    listed = read_projects(api)
    hinted = target.hint if any(project.id == target.hint for project in listed) else None
    name = target.name if target.id is None else None
    project = choose(listed, id=target.id or hinted, name=name)
    if project is None or project.status == "provisioning":
        return Known(manifest, project or Project("", target.name or ""), files, Told())
    return Known(manifest, project, files, read_history(api, project.id))


def path_of(known: Known, file: str) -> str:
    """A migration's file, by its path from the project folder."""
    return str(PurePosixPath(migrations_folder(known.manifest)) / file)


def require_project(known: Known) -> None:
    """Raises ProjectNotFound where there is no project whose history could be written."""
    if not known.project.id:
        raise ProjectNotFound(
            f"there is no project named {known.project.name}, so it has no history",
            hint="`mosaic-deploy apply` creates it",
        )


def standing_lines(known: Known) -> tuple[Line, ...]:
    """Every migration's standing, with the commands that put right what is wrong."""
    wanted = set(edited([file.migration for file in known.files], known.told.entries))
    folder = [meant(file) if file.migration.version in wanted else file.migration for file in known.files]
    return standings(folder, known.told.entries)


def parsed_or_none(file: MigrationFile) -> Parsed | None:
    """The file parsed; None where PostgreSQL's parser refuses it."""
    try:
        return parse_migrations([file])[0]
    except MigrationInvalid:
        return None


def meant(file: MigrationFile) -> Migration:
    """The file's facts with what its statements mean; a file that can't be parsed means only itself."""
    parsed = parsed_or_none(file)
    if parsed is None:
        return replace(file.migration, semantic=file.migration.checksum, prefixes=(file.migration.checksum,))
    units = max(1, len(parsed.units))
    return replace(file.migration, semantic=parsed.semantic, units=units, prefixes=parsed.prefixes)


def planned(
    known: Known, changes: Iterable[Change], notes: Iterable[Note] = (), parsed: Iterable[Parsed] = ()
) -> Planned:
    """A plan of changes to the history alone."""
    folder = Snapshot(known.project, migrations=tuple(file.migration for file in known.files))
    rows = tuple(entry.migration for entry in known.told.entries)
    live = Snapshot(known.project, migrations=rows, serial=known.told.serial)
    plan = Plan(
        project=known.project,
        changes=tuple(changes),
        notes=tuple(notes),
        desired=folder.fingerprint(),
        live=live.fingerprint(),
        serial=known.told.serial,
        environment=known.manifest.environment,
    )
    desired = Desired(known.manifest, folder, known.files)
    return Planned(plan, desired, Live(live, known.told.exists), tuple(parsed))
