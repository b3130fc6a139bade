"""Enables extensions, writes auth settings, and records the policy."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from mosaic_deploy.deploy.applying.run import Run
from mosaic_deploy.errors import SqlFailed
from mosaic_deploy.live.api import endpoints
from mosaic_deploy.live.database.extensions import extension_field, refuse_unavailable
from mosaic_deploy.live.ledger import rows as ledger_rows
from mosaic_deploy.live.ledger.lease import lease_lost_error
from mosaic_deploy.live.ledger.read import OWNER_SETTING, POLICY_SETTING
from mosaic_deploy.model.change import EnableExtension, LoosenPolicy, SetAuth
from mosaic_deploy.model.event import ChangeDone, ChangeStarted, Event, Noted
from mosaic_deploy.model.plan import Note
from mosaic_deploy.sql.execution.failure import LEASE_LOST, parse_failure
from mosaic_deploy.sql.execution.records import lease_check_sql
from mosaic_deploy.sql.execution.step import SqlSession
from mosaic_deploy.sql.marker import raise_with_facts_sql
from mosaic_deploy.sql.quote import dollar_quote, identifier, json_literal


def enable_extensions(run: Run) -> Iterator[Event]:
    """Creates the plan's extensions; in a new database also preinstalled ones, in case they are missing."""
    if run.created:
        new = [change.name for change in run.changes if isinstance(change, EnableExtension)]
        refuse_unavailable(run.api, run.project.id, run.planned.desired.manifest, new)
    for change in run.changes:
        if isinstance(change, EnableExtension):
            began = time.monotonic()
            yield ChangeStarted(change)
            _create_extension(run, change.name)
            yield ChangeDone(change, time.monotonic() - began)
    if run.created:
        for name in sorted(run.planned.desired.snapshot.extensions):
            if run.planned.selection.matches("extension", name):
                _create_extension(run, name)


def _create_extension(run: Run, name: str) -> None:
    """In a block that checks the lease, so a request that arrives after this deploy creates nothing."""
    lost = raise_with_facts_sql(json_literal({"code": LEASE_LOST, "version": "", "step": 0}))
    check = lease_check_sql(SqlSession(run.claim.token, run.claim.deploy_id), lost)
    body = f"BEGIN\n{check}  CREATE EXTENSION IF NOT EXISTS {identifier(name)};\nEND\n"
    try:
        run.api.sql(run.project.id, "DO " + dollar_quote(body, "mosaic_extension"))
    except SqlFailed as error:
        failure = parse_failure(error.message)
        if failure and failure.code == LEASE_LOST:
            raise lease_lost_error() from error
        manifest = run.planned.desired.manifest
        error.location = error.location or manifest.locate(extension_field(manifest, name))
        raise


def set_auth(run: Run) -> Iterator[Event]:
    """Sends the settings to the platform if it has an endpoint for them, then records them."""
    for change in run.changes:
        if isinstance(change, SetAuth):
            began = time.monotonic()
            yield ChangeStarted(change)
            settings = json.loads(change.settings)
            if settings == run.planned.live.snapshot.unmanaged_auth:
                pass  # live already, and only to be recorded
            elif run.api.supports(endpoints.WRITE_AUTH):
                body = {"magic_link": settings}
                run.api.call(endpoints.WRITE_AUTH, project=run.project.id, body=body)
            else:
                yield Noted(Note("auth_not_pushed", _NOT_PUSHED))
            run.write(
                ledger_rows.write_setting_sql(
                    "auth.magic_link", settings, run.claim.token, run.claim.deploy_id
                )
            )
            yield ChangeDone(change, time.monotonic() - began)


def record_history_owner(run: Run) -> None:
    """Records whose migrations these are, before they run."""
    record = run.planned.owner_record
    if record is not None:
        run.write(ledger_rows.write_setting_sql(OWNER_SETTING, record, run.claim.token, run.claim.deploy_id))


def record_policy(run: Run) -> Iterator[Event]:
    """Records the policy, with which the next deploy's is compared."""
    record = run.planned.policy_record
    loosening = [change for change in run.changes if isinstance(change, LoosenPolicy)]
    yield from map(ChangeStarted, loosening)
    if record is not None:
        run.write(ledger_rows.write_setting_sql(POLICY_SETTING, record, run.claim.token, run.claim.deploy_id))
    yield from (ChangeDone(change, 0.0) for change in loosening)


_NOT_PUSHED = (
    "this platform has no endpoint for auth settings; they are published as mosaic-auth.json, and the app has to "
    "apply them"
)
