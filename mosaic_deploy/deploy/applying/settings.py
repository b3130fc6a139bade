"""Enables extensions and writes auth settings."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from mosaic_deploy.deploy.applying.run import Run
from mosaic_deploy.live.api import endpoints
from mosaic_deploy.live.ledger import rows as ledger_rows
from mosaic_deploy.model.change import EnableExtension, SetAuth
from mosaic_deploy.model.event import ChangeDone, ChangeStarted, Event, Noted
from mosaic_deploy.model.plan import Note
from mosaic_deploy.sql.quote import identifier


def enable_extensions(run: Run) -> Iterator[Event]:
    """Creates the plan's extensions; in a new database also preinstalled ones, in case they are missing."""
    if run.created:
        for name in sorted(run.planned.desired.snapshot.extensions):
            if run.planned.selection.matches("extension", name):
                run.api.sql(run.project.id, _create_extension_sql(name))
    for change in run.changes:
        if isinstance(change, EnableExtension):
            began = time.monotonic()
            yield ChangeStarted(change)
            run.heartbeat.check()
            run.api.sql(run.project.id, _create_extension_sql(change.name))
            yield ChangeDone(change, time.monotonic() - began)


def _create_extension_sql(name: str) -> str:
    return f"CREATE EXTENSION IF NOT EXISTS {identifier(name)}"


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


_NOT_PUSHED = (
    "this platform has no endpoint for auth settings; they are published as mosaic-auth.json, and the app has to "
    "apply them"
)
