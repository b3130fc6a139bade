"""Runs a migration draft on a clone of the database, as `apply` would run it, and returns the schema changes.

The real database isn't changed: `clone` is an API whose SQL goes to the clone.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from mosaic_deploy.deploy.applying.failure_facts import NEW_ENUM_VALUE, failure_facts, new_enum_value_hint
from mosaic_deploy.deploy.applying.migrations import migration_steps
from mosaic_deploy.deploy.applying.run import migration_session
from mosaic_deploy.deploy.planning.hazards import find_hazards
from mosaic_deploy.deploy.planning.planned import PreparedPlan
from mosaic_deploy.diff.schema import schema_changes
from mosaic_deploy.errors import DraftFailed
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.catalog.read import read_catalog
from mosaic_deploy.live.database.clones import hold_lease
from mosaic_deploy.live.database.failed_step import StepFailed
from mosaic_deploy.live.database.outside_transaction import OutcomeUnknown
from mosaic_deploy.live.database.runner import Runner
from mosaic_deploy.model.catalog import SchemaChange
from mosaic_deploy.model.change import ApplyMigration
from mosaic_deploy.model.hazard import Hazard
from mosaic_deploy.source.migrations.files import ParsedFile, statement_location
from mosaic_deploy.sql.execution.step import SqlSession, Step
from mosaic_deploy.sql.quote import literal

HOLDER = "a draft (this is a copy of the database)"
"""Holder of the clone's lease, which never expires: a deploy to the clone by mistake is refused."""


@dataclass(frozen=True, slots=True)
class DraftResult:
    """The schema changes of a draft, and the hazards of applying it to the real database."""

    changes: tuple[SchemaChange, ...]
    hazards: tuple[Hazard, ...]


def run_draft(base: Api, clone: Api, planned: PreparedPlan, project: str, draft: ParsedFile) -> DraftResult:
    """Runs the draft on a fresh clone. `planned` is the plan for the real database.

    Raises DraftFailed for a statement that PostgreSQL rejects, ApiError.
    """
    before = read_catalog(clone, project)
    session = _lock_clone(clone, project, planned)
    version = _unused_version(planned)
    try:
        for _ in Runner(clone, project, session).run([*_steps(draft, version)]):
            continue
    except StepFailed as failure:
        raise _draft_failed(failure, draft) from None
    except OutcomeUnknown as unknown:
        where = statement_location(draft.file, unknown.step.sql.statements[0])
        raise DraftFailed("the statement was sent, but its outcome is unknown", location=where) from None
    # The draft isn't a migration, so its row must not be in the history that apps see.
    clone.sql(project, f"DELETE FROM mosaic_deploy.migrations WHERE version = {literal(version)}")
    changes = schema_changes(before, read_catalog(clone, project))
    found = find_hazards(base, planned.live.snapshot, [draft], planned.desired.manifest.policy)
    return DraftResult(changes, found.hazards)


def _lock_clone(clone: Api, project: str, planned: PreparedPlan) -> SqlSession:
    """Takes the clone's lease for good, so the draft can run as a migration does and deploys are refused."""
    token = secrets.token_hex(16)
    hold_lease(clone, project, HOLDER, token)
    return migration_session(planned.desired.manifest, token, "draft")


def _unused_version(planned: PreparedPlan) -> str:
    """A version that no migration has."""
    known = {
        each.version
        for side in (planned.desired.snapshot, planned.live.snapshot)
        for each in side.migrations or ()
    }
    return next(name for number in count() if (name := f"draft.{number}") not in known)


def _steps(draft: ParsedFile, version: str) -> Iterator[Step]:
    migration = draft.file.migration
    change = ApplyMigration(
        version, migration.file, migration.checksum, draft.semantic, steps=len(draft.steps)
    )
    return migration_steps(change, draft)


def _draft_failed(failure: StepFailed, draft: ParsedFile) -> DraftFailed:
    file = draft.file.relative_path
    correct = f"correct {file}"
    if failure.sqlstate == NEW_ENUM_VALUE:
        correct = new_enum_value_hint(failure.step, file)
    return DraftFailed(
        failure.message,
        **failure_facts(failure, draft),
        hint=f"{correct} and save it again; the real database is unchanged",
    )
