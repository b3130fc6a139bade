"""Direct access to the running platform's control database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from started_platform import RunningPlatform

from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.postgres.control_database import Pool
from mosaic_deploy.platform.postgres.server import Server

T = TypeVar("T")


def with_control_pool(platform: RunningPlatform, work: Callable[[Pool], Coroutine[Any, Any, T]]) -> T:
    """The result of `work` on a pool of the control database."""
    state = json.loads((platform.home / "state.json").read_text())
    server = Server.embedded(state["postgres_port"], state["postgres_password"])

    async def run() -> T:
        async with control_database.create_pool(server.conninfo(control_database.DATABASE)) as pool:
            return await work(pool)

    return asyncio.run(run())
