"""What a call of `/sql` gets when its connection can't be made."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.postgres import connections
from mosaic_deploy.platform.postgres.connections import SessionPool


def test_a_project_deleted_meanwhile_is_not_found(monkeypatch) -> None:
    async def refused(*_arguments: Any) -> Any:
        raise psycopg.OperationalError("password authentication failed")

    async def nothing(*_arguments: Any) -> None:
        pass

    async def deleted(*_arguments: Any) -> str:
        raise LookupError("pod-16f")

    monkeypatch.setattr(SessionPool, "_connect", refused)
    monkeypatch.setattr(connections, "restore_access", nothing)
    monkeypatch.setattr(connections, "working_password", deleted)
    nowhere: Any = None

    async def call() -> None:
        async with SessionPool(nowhere, nowhere).session("pod-16f", 1, "secret"):
            raise AssertionError("there is no connection")

    with pytest.raises(Fault) as raised:
        asyncio.run(call())
    assert (raised.value.status, raised.value.code) == (404, "project_not_found")
