"""The MCP SDK's client, connected to a server process."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
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


def _environ(platform) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("MOSAIC_", "GITHUB_", "CI"))
    }
    return {**kept, "MOSAIC_HOME": str(platform.home), "MOSAIC_REHEARSE": "0"}


@pytest.fixture
def session(folder: Path, platform) -> Callable[..., Any]:
    """Runs one conversation of a client with `mosaic-deploy mcp` (and these options) in the project's folder."""

    def converse(conversation: Callable[[Client], Awaitable[Any]], *options: str, rehearse: str = "0") -> Any:
        server = StdioServerParameters(
            command=sys.executable,
            args=["-m", "mosaic_deploy", "mcp", *options],
            env={**_environ(platform), "MOSAIC_REHEARSE": rehearse},
            cwd=folder,
        )

        async def run() -> Any:
            with anyio.fail_after(90):
                async with Client(server) as client:
                    return await conversation(client)

        return anyio.run(run)

    return converse


@pytest.fixture
def http_server(folder: Path, platform) -> Iterator[tuple[int, str]]:
    """The port of a `mosaic-deploy mcp --http` that answers, and the first line that it printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen(
        [sys.executable, "-m", "mosaic_deploy", "mcp", "--http", str(port)],
        cwd=folder, env=_environ(platform), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            printed = process.stderr.readline()
            for _ in range(200):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.05)
            yield port, printed
        finally:
            process.terminate()
