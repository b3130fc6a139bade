"""The MCP SDK's client, connected to a server process."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

_numbers = itertools.count(1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small project with a name of its own."""
    (tmp_path / "public").mkdir()
    (tmp_path / "public/index.html").write_text("<h1>hello")
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql/1_t.sql").write_text("create table t (id bigint); insert into t values (1), (2), (3);")
    (tmp_path / "mosaic.yaml").write_text(
        f"version: 1\nproject:\n  name: agent {next(_numbers)} {tmp_path.name}\n"
        "static:\n  dir: public\ndatabase:\n  migrations: sql\n"
    )
    return tmp_path


@pytest.fixture
def session(folder: Path, platform) -> Callable[[Callable[[Client], Awaitable[Any]]], Any]:
    """Runs one conversation of a client with `mosaic-deploy mcp` in the project's folder."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("MOSAIC_", "GITHUB_", "CI"))
    }
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "mosaic_deploy", "mcp"],
        env={**kept, "MOSAIC_HOME": str(platform.home)},
        cwd=folder,
    )

    def converse(conversation: Callable[[Client], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            with anyio.fail_after(90):
                async with Client(server) as client:
                    return await conversation(client)

        return anyio.run(run)

    return converse
