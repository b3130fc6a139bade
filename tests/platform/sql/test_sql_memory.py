"""A statement is in memory for as long as its request, however that ends."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from starlette.requests import Request

from mosaic_deploy.platform.copying import in_thread
from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.sql import endpoint


class Parameters:
    """Those of one statement."""


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Only what nothing refers to is freed: the next collection of reference cycles may be dozens of requests away."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def fail(parameters: Parameters) -> Any:
    await asyncio.sleep(0)
    try:
        int(str(parameters))
    except ValueError as error:
        raise Fault(400, "sql_error", "as psycopg's errors become one") from error


async def never_end(parameters: Parameters) -> Any:
    await asyncio.sleep(3600)
    return parameters


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize(("work", "code"), [(fail, "sql_error"), (never_end, "client_disconnected")])
def test_a_failed_statement_leaves_nothing_in_memory(work, code) -> None:
    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.01 if work is never_end else 3600)
        return {"type": "http.disconnect"}

    async def run() -> tuple[str, Any]:
        request = Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)
        parameters = Parameters()
        alive = weakref.ref(parameters)
        try:
            await endpoint.cancel_on_disconnect(request, work(parameters))
        except Fault as fault:
            found = fault.code
        del parameters
        # Callbacks of the tasks.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return found, alive()

    assert asyncio.run(run()) == (code, None)


@pytest.mark.usefixtures("no_collection")
def test_a_failed_copy_leaves_nothing_in_memory() -> None:
    async def run() -> Any:
        parameters = Parameters()

        def fail(_parameters: Parameters) -> None:
            raise MemoryError

        alive = weakref.ref(parameters)
        with suppress(MemoryError):
            await in_thread(partial(fail, parameters))
        del parameters
        # The thread may still be about to let go of its last work.
        await in_thread(int)
        return alive()

    assert asyncio.run(run()) is None


def test_the_log_shows_where_an_error_came_from() -> None:
    async def break_down() -> Any:
        raise ZeroDivisionError

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(3600)
        return {}

    async def run() -> None:
        request = Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)
        await endpoint.cancel_on_disconnect(request, break_down())

    with pytest.raises(ZeroDivisionError) as caught:
        asyncio.run(run())
    assert caught.traceback[-1].name == "break_down"
