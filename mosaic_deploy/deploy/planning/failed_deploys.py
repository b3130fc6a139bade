"""Hazards after failed deploys. The next deploy continues them, so what they made isn't old data to it.

Otherwise the same command would need approval on its second run: the tables that its first run made count as data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mosaic_deploy.deploy.planning.hazards import Findings, find_hazards
from mosaic_deploy.errors import ApiError, MigrationInvalid
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.database.existing import read_has_rows_from_before
from mosaic_deploy.live.ledger.history import read_has_other_rows, read_versions_of_failed_deploys
from mosaic_deploy.live.snapshot import LiveState
from mosaic_deploy.model.hazard import Hazard, HazardSeverity
from mosaic_deploy.source.migrations.files import ParsedFile, parse_migrations
from mosaic_deploy.source.snapshot import Desired
from mosaic_deploy.sql.execution.split import ExecutionMode

_UNMEASURED = "unmeasured"
"""The rule about what runs outside a transaction: there is nothing to measure if no rows are from before."""
_SUCCESSFUL = frozenset({"done", "partial", "baseline", "import"})


def find_new_hazards(api: Api, desired: Desired, live: LiveState, to_run: tuple[ParsedFile, ...]) -> Findings:
    """What the files may harm, given what failed deploys before this one have already made."""
    found = find_hazards(api, live.snapshot, to_run, desired.manifest.policy)
    if not any(hazard.severity is HazardSeverity.DESTRUCTIVE for hazard in found.hazards):
        return found
    begun = _applied_by_failed_deploys(api, desired, live)
    if not begun:
        return found
    again = find_hazards(api, live.snapshot, (*begun, *to_run), desired.manifest.policy)
    paths = {parsed.file.relative_path for parsed in to_run}
    waived = [hazard for hazard in found.hazards if hazard not in again.hazards]
    if _may_be_in_use(api, live, begun, waived):
        return found
    hazards = tuple(hazard for hazard in again.hazards if hazard.location.file in paths)
    if any(hazard.code == _UNMEASURED for hazard in hazards) and not _has_rows_from_before(api, live):
        hazards = tuple(hazard for hazard in hazards if hazard.code != _UNMEASURED)
    destroyed = {path: names for path, names in again.destroyed.items() if path in paths}
    writes = {path: steps for path, steps in again.writes.items() if path in paths}
    return replace(found, hazards=hazards, destroyed=destroyed, writes=writes)


def _has_rows_from_before(api: Api, live: LiveState) -> bool:
    try:
        return read_has_rows_from_before(api, live.snapshot.project.id)
    except ApiError:
        return True


def _may_be_in_use(
    api: Api, live: LiveState, begun: tuple[ParsedFile, ...], waived: Sequence[Hazard]
) -> bool:
    """Whether what the failed deploys made may hold rows of somebody else by now."""
    destructive = [hazard for hazard in waived if hazard.severity is HazardSeverity.DESTRUCTIVE]
    tables = {table for hazard in destructive for table in (hazard.table, *hazard.cascades_to)}
    if not tables:
        return False
    if any(not table or table.endswith("*") for table in tables):
        return True
    batches = {
        parsed.file.migration.version: parsed.steps[-1].execution_mode is ExecutionMode.BATCH
        for parsed in begun
    }
    try:
        return read_has_other_rows(api, live.snapshot.project.id, tables, batches)
    except ApiError:
        return True


def _applied_by_failed_deploys(api: Api, desired: Desired, live: LiveState) -> tuple[ParsedFile, ...]:
    """The migrations that were completely applied by deploys that failed, since the last successful one.

    Sends one request, unless the last deploy was successful. Empty if that can't be read: then more is asked, not less.
    """
    last = live.ledger_facts.get("last")
    if last and last.get("status") in _SUCCESSFUL:
        return ()
    applied = {row.version: row.checksum for row in live.snapshot.migrations or () if row.applied}
    if not applied:
        return ()
    try:
        versions = read_versions_of_failed_deploys(api, live.snapshot.project.id)
        files = [
            file
            for file in desired.migrations
            if file.migration.version in versions
            and applied.get(file.migration.version) == file.migration.checksum
        ]
        return tuple(parsed for parsed in parse_migrations(files) if parsed.has_statements)
    except (ApiError, MigrationInvalid):
        return ()
