"""Background jobs don't wait for each other, and one project's failure isn't another's."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from obstore.exceptions import PermissionDeniedError

from mosaic_deploy.platform.daemon import background_jobs
from mosaic_deploy.platform.postgres import control_database, databases, removal
from mosaic_deploy.platform.projects import provisioning
from mosaic_deploy.platform.tenants import suspension, watch


def test_a_long_deletion_does_not_delay_the_claim_on_the_store(monkeypatch) -> None:
    async def delete_for_minutes(_platform: Any) -> None:
        await asyncio.sleep(600)

    class Claim:
        def __init__(self) -> None:
            self.renewed = asyncio.Event()

        async def is_settled(self) -> bool:
            return True

        async def renew(self) -> None:
            self.renewed.set()

    async def run() -> None:
        platform: Any = SimpleNamespace(store_claim=Claim())
        jobs = asyncio.create_task(
            background_jobs.run_concurrently(
                background_jobs.run_background_jobs(platform), background_jobs.keep_store_claim(platform)
            )
        )
        await asyncio.wait_for(platform.store_claim.renewed.wait(), 10)
        jobs.cancel()

    monkeypatch.setattr(provisioning, "resume_unfinished", delete_for_minutes)
    monkeypatch.setattr(background_jobs, "_SWEEP_SECONDS", 0.01)
    asyncio.run(run())


def test_a_project_whose_objects_cannot_be_deleted_does_not_hold_up_others(monkeypatch) -> None:
    finished = []

    async def fetch(_pool: Any, query: str, _parameters: Any = None) -> list[dict[str, str]]:
        return [{"id": "one-001"}, {"id": "two-002"}] if query.startswith("SELECT id FROM project") else []

    async def nothing(_server: Any, _pool: Any) -> None:
        pass

    @asynccontextmanager
    async def locked(_server: Any, _project_id: str, *, wait: bool) -> Any:
        yield True

    async def finish(_platform: Any, project_id: str) -> None:
        if project_id == "one-001":
            raise PermissionDeniedError("403 Forbidden")
        finished.append(project_id)

    monkeypatch.setattr(control_database, "fetch", fetch)
    monkeypatch.setattr(removal, "remove_set_aside_roles", nothing)
    monkeypatch.setattr(databases, "locked_project", locked)
    monkeypatch.setattr(provisioning, "_finish_project", finish)
    platform: Any = SimpleNamespace(pool=None, server=None)
    asyncio.run(provisioning.resume_unfinished(platform, older_than=timedelta(0)))
    assert finished == ["two-002"]


def test_sizes_are_measured_again_after_any_error(monkeypatch) -> None:
    async def run() -> None:
        measured_again = asyncio.Event()
        failures = iter([ValueError("a bug")])

        async def check_sizes(_platform: Any) -> None:
            for error in failures:
                raise error
            measured_again.set()

        monkeypatch.setattr(watch, "check_sizes", check_sizes)
        upkeep = asyncio.create_task(watch._upkeep(nothing_to_do))
        await asyncio.wait_for(measured_again.wait(), 10)
        upkeep.cancel()

    async def lift_none(_platform: Any) -> None:
        pass

    nothing_to_do: Any = SimpleNamespace()
    monkeypatch.setattr(suspension, "lift_expired", lift_none)
    monkeypatch.setattr(watch, "_UPKEEP_SECONDS", 0)
    asyncio.run(run())


def test_a_store_that_is_taken_over_during_a_deletion_keeps_its_objects(monkeypatch) -> None:
    answers = iter([True, False])

    async def may_delete() -> bool:
        return next(answers)

    async def drop(_server: Any, _project_id: str) -> None:
        pass

    monkeypatch.setattr(databases, "drop_project_database", drop)
    untouched: Any = None
    platform: Any = SimpleNamespace(
        may_delete_objects=may_delete, server=None, store=untouched, pool=untouched
    )
    asyncio.run(provisioning._delete_all(platform, "pod-16f"))
    assert next(answers, None) is None
