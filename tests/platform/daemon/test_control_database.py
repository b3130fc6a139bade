"""The control database is closed to projects' roles before anything is written to it."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from mosaic_deploy.platform.postgres import databases


class _Connection:
    """To a server whose control database lets everybody in."""

    async def execute(self, _query: str, _parameters: Any = None) -> _Connection:
        return self

    async def fetchone(self) -> tuple[bool]:
        return (False,)

    async def fetchall(self) -> list[tuple[str]]:
        return [("mosaic_control",)]

    async def __aenter__(self) -> _Connection:
        return self

    async def __aexit__(self, *_error: object) -> None:
        pass


class _Server:
    maintenance = "postgres"

    async def connect(self, _database: str) -> _Connection:
        return _Connection()


def test_a_control_database_that_cannot_be_closed_is_an_error(monkeypatch) -> None:
    async def fail(_connection: Any, _name: str) -> None:
        raise psycopg.errors.ObjectInUse("being accessed by other users")

    monkeypatch.setattr(databases, "_allow_connections", fail)
    monkeypatch.setattr(databases, "_RACE_SECONDS", 0)
    server: Any = _Server()
    with pytest.raises(psycopg.errors.ObjectInUse):
        asyncio.run(databases.prepare_server(server, None))
