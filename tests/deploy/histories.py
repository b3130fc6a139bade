"""Helpers of the tests of history commands."""

from __future__ import annotations

from mosaic_deploy.deploy import PreparedPlan, Target
from mosaic_deploy.deploy.history.amend import apply_history_changes
from mosaic_deploy.deploy.history.read import HistoryContext, history_statuses, read_history_context
from mosaic_deploy.deploy.history.repair import REPAIR, plan_repair
from mosaic_deploy.diff.history.repairs import RepairRequest
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.model.event import ApplyDone, Event
from mosaic_deploy.source.manifest.read import read_manifest
from tests.deploy.conftest import OPTIONS


def history(site, database: dict | None = None, **files: str) -> None:
    for name, text in files.items():
        site.write(f"sql/{name.lstrip('m')}.sql", text)
    site.manifest(database={"migrations": "sql", **(database or {})})


def tables(site) -> set[str]:
    found = sql(site, "select tablename as t from pg_tables where schemaname = 'public'")
    return {str(row["t"]) for row in found}


def sql(site, query: str) -> list[dict[str, object]]:
    """As `site.sql`, also if the history has diverged."""
    return site.api.sql(known(site).project.id, query)


def expire(site) -> None:
    """Expires the lease, like a minute of waiting."""
    sql(site, "update mosaic_deploy.lease set expires_at = now() - interval '1 second'")


def pending(site) -> list[str]:
    return [change.address for change in site.plan().plan.changes]


def known(site, api: Api | None = None) -> HistoryContext:
    manifest = read_manifest(site.root, environ={})
    return read_history_context(api or site.api, manifest, Target(manifest.project.id, manifest.project.name))


def states(site) -> dict[str, str]:
    return {line.version: str(line.state) for line in history_statuses(site.api, known(site))}


def repairs(site) -> list[str]:
    return [
        str(action.command).removeprefix("mosaic-deploy migrate ")
        for line in history_statuses(site.api, known(site))
        for action in line.next_actions
    ]


def write(site, planned: PreparedPlan, name: str, api: Api | None = None) -> list[Event]:
    return list(apply_history_changes(api or site.api, planned, OPTIONS, name))


def repair(site, **request: tuple) -> None:
    events = write(site, plan_repair(site.api, known(site), RepairRequest(**request)), REPAIR)
    assert isinstance(events[-1], ApplyDone), events[-1]
