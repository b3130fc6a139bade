"""The repeatable files that the live database has: run on a copy of the base, which only the migrations made."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from mosaic_deploy.deploy.applying.sql_files import seed_step
from mosaic_deploy.deploy.planning.planned import PreparedPlan
from mosaic_deploy.deploy.rehearsal.base import LEASE_TOKEN, refuse_role_changes
from mosaic_deploy.deploy.rehearsal.recorded import NotRehearsed, live_project
from mosaic_deploy.errors import MigrationInvalid
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.database.clones import RehearsalDatabase
from mosaic_deploy.live.database.failed_step import StepFailed
from mosaic_deploy.live.database.runner import Runner
from mosaic_deploy.live.ledger.applied_sources import read_repeatable_sources
from mosaic_deploy.model.change import Action, RunRepeatable
from mosaic_deploy.model.snapshot import Migration
from mosaic_deploy.source.migrations.files import REPEATABLE_VERSION, MigrationFile
from mosaic_deploy.source.migrations.repeatable import RepeatableFile, in_order
from mosaic_deploy.source.migrations.seeds import parse_seeds
from mosaic_deploy.sql.execution.step import SqlSession


def run_recorded_repeatables(live: Api, database: RehearsalDatabase, planned: PreparedPlan) -> None:
    """Runs the repeatable files as they were applied. One request to `live`, if any may have been.

    Raises NotRehearsed if one can't be read, or fails there, ApiError.
    """
    project = live_project(planned)
    if not project or not planned.live.snapshot.seeds:
        return
    # A row that a rename has made has no text.
    files = _parsed({**_unchanged_texts(planned), **read_repeatable_sources(live, project)})
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


def _parsed(texts: Mapping[str, str]) -> list[RepeatableFile]:
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
