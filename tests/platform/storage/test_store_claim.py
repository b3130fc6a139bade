"""A copy of an installation's database never deletes objects of the original's store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from behind_the_api import with_control_pool

from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.postgres.control_database import Pool
from mosaic_deploy.platform.storage import store_claim
from mosaic_deploy.platform.storage.object_store import folder_store
from mosaic_deploy.platform.storage.store_claim import StoreClaim


class Installation:
    """Claims in a database of its own: a schema in the test platform's."""

    def __init__(self, pool: Pool, folder: Path, name: str) -> None:
        self.pool, self._folder, self.name = pool, folder, name

    def worker(self) -> StoreClaim:
        return StoreClaim(self.pool, folder_store(self._folder), "file:///store", self.name)


@pytest.fixture
def installations(platform, tmp_path, monkeypatch) -> Callable[[Callable[..., Awaitable[None]]], None]:
    """Runs a test with two installations on one store; the second begins as a new one, until `copy` is called."""
    monkeypatch.setattr(store_claim, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(store_claim, "RENEW_SECONDS", 0.0)

    async def with_pools(pool: Pool, test: Callable[..., Awaitable[None]]) -> None:
        conninfo = pool.conninfo
        assert isinstance(conninfo, str)
        names = ("claims_original", "claims_copy")
        for name in names:
            await control_database.fetch(pool, f"DROP SCHEMA IF EXISTS {name} CASCADE")
            await control_database.fetch(pool, f"CREATE SCHEMA {name}")
            await control_database.fetch(
                pool, f"CREATE TABLE {name}.setting (LIKE public.setting INCLUDING ALL)"
            )
            await control_database.fetch(
                pool, f"CREATE TABLE {name}.store_claim (LIKE public.store_claim INCLUDING ALL)"
            )

        async def copy() -> None:
            await control_database.fetch(
                pool, "INSERT INTO claims_copy.store_claim SELECT * FROM claims_original.store_claim"
            )

        pools = [
            control_database.create_pool(f"{conninfo} options='-c search_path={name}'") for name in names
        ]
        async with pools[0], pools[1]:
            original, copied = (
                Installation(one, tmp_path, name) for one, name in zip(pools, names, strict=True)
            )
            await test(original, copied, copy)
        for name in names:
            await control_database.fetch(pool, f"DROP SCHEMA {name} CASCADE")

    return lambda test: with_control_pool(platform, lambda pool: with_pools(pool, test))


def test_workers_of_one_installation_share_a_store(installations) -> None:
    async def test(original: Installation, _other: Installation, _copy: Any) -> None:
        workers = [original.worker() for _ in range(4)]
        await asyncio.gather(*(worker.acquire() for worker in workers))
        for _ in range(3):
            for worker in workers:
                assert await worker.may_delete()
                await worker.renew()
        assert all(worker.owned for worker in workers)

    installations(test)


def test_another_installation_may_not_start_on_the_store(installations) -> None:
    async def test(original: Installation, other: Installation, _copy: Any) -> None:
        await original.worker().acquire()
        with pytest.raises(ProcessFault, match="claims_original") as refused:
            await other.worker().acquire()
        assert refused.value.code == "store_not_ours"
        assert "take-over" in refused.value.hint

    installations(test)


def test_a_copy_of_the_database_may_not_start_on_the_store(installations) -> None:
    async def test(original: Installation, copied: Installation, copy: Any) -> None:
        worker = original.worker()
        await worker.acquire()
        await copy()
        await worker.renew()
        with pytest.raises(ProcessFault, match="another installation"):
            await copied.worker().acquire()
        assert not await copied.worker().may_delete()
        assert await worker.may_delete()

    installations(test)


def test_a_copy_that_starts_at_once_deletes_nothing_until_it_has_seen_no_other(
    installations, monkeypatch
) -> None:
    async def test(original: Installation, copied: Installation, copy: Any) -> None:
        worker = original.worker()
        await worker.acquire()
        await copy()
        early = copied.worker()
        await early.acquire()
        monkeypatch.setattr(store_claim, "SETTLE_SECONDS", 3600.0)
        assert not await early.may_delete()
        monkeypatch.setattr(store_claim, "SETTLE_SECONDS", 0.0)
        await worker.renew()
        assert not await early.may_delete()
        assert not early.owned

    installations(test)


def test_a_store_taken_over_is_the_takers(installations) -> None:
    async def test(original: Installation, copied: Installation, copy: Any) -> None:
        worker = original.worker()
        await worker.acquire()
        await copy()
        await worker.renew()
        assert "claims_original" in await copied.worker().take_over()
        taker = copied.worker()
        await taker.acquire()
        assert await taker.may_delete()
        assert not await worker.may_delete()
        assert not worker.owned
        with pytest.raises(ProcessFault):
            await original.worker().acquire()
        assert "claims_copy" in await original.worker().take_over()
        assert await worker.may_delete()
        assert not await taker.may_delete()

    installations(test)


def test_a_store_without_its_claim_is_refused_unless_the_installation_is_new(installations, tmp_path) -> None:
    async def test(original: Installation, _other: Installation, _copy: Any) -> None:
        worker = original.worker()
        await worker.acquire()
        claim = tmp_path / store_claim.CLAIM_KEY
        assert set(json.loads(claim.read_text())) == {"installation", "claim", "written"}
        claim.unlink()
        assert not await worker.may_delete()
        with pytest.raises(ProcessFault, match=r"has no installation\.json"):
            await original.worker().acquire()
        for nonsense in ("", "{}", "[]", '"x"'):
            claim.write_text(nonsense)
            assert not await worker.may_delete()
        assert await original.worker().take_over()
        assert await worker.may_delete()

    installations(test)


def test_deletions_pause_for_a_backup(installations) -> None:
    async def test(original: Installation, _other: Installation, _copy: Any) -> None:
        worker = original.worker()
        await worker.acquire()
        await store_claim.pause_deletions(original.pool, 1)
        assert not await worker.may_delete()
        assert await worker.is_settled()
        await store_claim.pause_deletions(original.pool, 0)
        assert await worker.may_delete()

    installations(test)
