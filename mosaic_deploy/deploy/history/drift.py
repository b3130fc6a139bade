"""`migrate drift`: compares the live schema with the recorded one, and records it as it is."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from mosaic_deploy.deploy.applying.apply import Job, run_job
from mosaic_deploy.deploy.applying.run import ApplyOptions, Run
from mosaic_deploy.deploy.history.read import HistoryContext, history_plan, read_own_history
from mosaic_deploy.deploy.history.repair import REPAIR
from mosaic_deploy.deploy.planning.planned import PreparedPlan
from mosaic_deploy.diff.schema import Unmanaged
from mosaic_deploy.diff.schema_drift import how_to_keep, of_managed_objects, schema_drift
from mosaic_deploy.errors import PlanStale
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.ledger.read import read_schema_comparison
from mosaic_deploy.live.ledger.schema_record import record_schema_sql
from mosaic_deploy.model.catalog import SchemaDrift, SchemaState
from mosaic_deploy.model.change import AcceptSchema
from mosaic_deploy.model.event import ChangeDone, ChangeStarted, Event
from mosaic_deploy.model.manifest import Manifest, PolicySpec
from mosaic_deploy.model.migration_history import HistoryEntry
from mosaic_deploy.model.plan import Note, Severity

ACCEPT = "drift"


def read_drift(api: Api, project: str, manifest: Manifest) -> SchemaDrift:
    """How the live schema differs from the one that the last deploy recorded. One request; reads only.

    Objects that `manifest` says the project doesn't manage aren't compared.
    """
    compared = read_schema_comparison(api, project)
    found = of_managed_objects(compared.schema, Unmanaged(manifest.unmanaged))
    drift = schema_drift(found, deploying=compared.deploying)
    assert drift is not None, "there is a comparison"
    return drift


def plan_accept(api: Api, context: HistoryContext) -> PreparedPlan:
    """A plan that records the live schema as it is; empty without drift. Reads only. Raises as `read_own_history`."""
    own = read_own_history(api, context)
    drift = read_drift(api, context.project.id, context.manifest)
    accepts = drift.state is SchemaState.DRIFTED
    changes = [AcceptSchema(drift.digest, len(drift.changes))] if accepts else []
    planned = history_plan(own, changes, _rehearsal_notes(context, drift) if accepts else ())
    return replace(planned, plan=replace(planned.plan, drift=drift))


def recorded_since(entries: Iterable[HistoryEntry], drift: SchemaDrift) -> tuple[str, ...]:
    """The files that `migrate repair` has recorded since the schema was: they may make what drifted."""
    return tuple(
        entry.migration.file
        for entry in entries
        if entry.origin == REPAIR and _is_since(entry.at, drift.recorded_at)
    )


def _is_since(at: str, since: str) -> bool:
    try:
        return datetime.fromisoformat(at) >= datetime.fromisoformat(since)
    except ValueError:
        # PostgreSQL has times that Python hasn't, such as infinity.
        return False


def _rehearsal_notes(context: HistoryContext, drift: SchemaDrift) -> Iterator[Note]:
    """What accepting means for later plans, and what else to do."""
    policy = context.manifest.policy or PolicySpec()
    refused = " and policy.rehearsed refuses them" if policy.rehearsed == "required" else ""
    entries = context.ledger.entries
    keep = how_to_keep([entry.migration for entry in entries], recorded_since(entries, drift))
    message = (
        f"until recorded migrations make the same changes, later plans can't be rehearsed{refused}: "
        f"{keep}; objects that an app creates itself can be listed under policy.unmanaged instead"
    )
    yield Note("accepted_not_in_files", message, Severity.WARNING)


def accept_drift(api: Api, planned: PreparedPlan, options: ApplyOptions) -> Generator[Event, None, None]:
    """Records the schema that the plan showed. The last event is ApplyDone or ApplyFailed."""
    return run_job(api, planned, options, Job(_accept_steps, ACCEPT))


def _accept_steps(run: Run) -> Iterator[Event]:
    for change in run.changes:
        if isinstance(change, AcceptSchema):
            yield ChangeStarted(change)
            statement = record_schema_sql(run.claim.token, run.claim.deploy_id, accepted=change.digest)
            if not run.write(statement):
                raise PlanStale(
                    "the schema changed since it was shown; nothing was recorded",
                    hint="run the command again to see the schema as it is now",
                )
            yield ChangeDone(change, 0.0)
