"""Repairs of the ledger's history: from what a person asks for to a plan of corrected rows."""

from __future__ import annotations

from mosaic_deploy.deploy.history import Known, meant, planned, require_project
from mosaic_deploy.deploy.planning import Planned
from mosaic_deploy.diff.repairs import Wish, repairs
from mosaic_deploy.model.snapshot import Migration
from mosaic_deploy.source.migrations import MigrationFile

REPAIR = "repair"


def plan_repair(known: Known, wish: Wish) -> Planned:
    """The corrections that grant `wish`. Raises RepairRefused, ProjectNotFound. Changes nothing."""
    require_project(known)
    begun = {entry.migration.version for entry in known.told.entries}
    named = set(wish.accept) | {version for version, _ in wish.applied}
    folder = [_read(file, begun, named) for file in known.files]
    return planned(known, repairs(wish, folder, known.told.entries))


def _read(file: MigrationFile, begun: set[str], named: set[str]) -> Migration:
    """Parsed where a repair can be about it: an unchanged file's meaning is in the ledger already."""
    wanted = {file.migration.version, file.migration.file} & (begun | named)
    return meant(file) if wanted else file.migration
