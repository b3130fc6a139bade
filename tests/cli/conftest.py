"""The program as users run it: a process, with its streams and exit code."""

from __future__ import annotations

import functools
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.projects import read_projects
from tests.cli.warm_program import WarmProgram
from tests.offered_commands import check_suggested, suggested_by

_numbers = itertools.count(1)
_started: set[str] = set()
# Variables that Python reads at its start.
_OF_PYTHON = ("PYTHON", "LC_", "LANG")
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environment(tmp_path: Path, platform) -> dict[str, str]:
    """An environment without settings of ours, except the test run's MOSAIC_HOME."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("MOSAIC_", "GITHUB_", "CI"))
    }
    return {
        **kept,
        "MOSAIC_HOME": str(platform.home),
        "MOSAIC_REHEARSE": "0",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XDG_CONFIG_HOME": str(tmp_path / "no keys"),
        "NO_COLOR": "1",
        "COLUMNS": "120",
    }


@pytest.fixture(scope="session")
def warm_program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmProgram]:
    program = WarmProgram(tmp_path_factory.mktemp("warm"))
    yield program
    program.close()


@pytest.fixture
def run(tmp_path: Path, environment: dict[str, str], warm_program: WarmProgram) -> Run:
    """Runs `mosaic-deploy ARGUMENTS` in the test's folder. Checks that every suggested command is valid.

    A command's first run is a program that has to import its modules. Later ones are forks, unless `fresh`.
    """

    def call(
        *arguments: str,
        env: Mapping[str, str] | None = None,
        cwd: Path = tmp_path,
        input: str = "",
        timeout: float = 100,
        fresh: bool = False,
    ):
        whole = {**environment, **(env or {})}
        command = " ".join(itertools.takewhile(lambda word: not word.startswith("-"), arguments[:2]))
        if fresh or command not in _started or any(name.startswith(_OF_PYTHON) for name in env or ()):
            _started.add(command)
            ended = subprocess.run(
                [sys.executable, "-m", "mosaic_deploy", *arguments],
                env=whole, cwd=cwd, input=input, timeout=timeout, capture_output=True, text=True, check=False,
            )  # fmt: skip
        else:
            ended = warm_program.run(arguments, whole, cwd, input, timeout)
        check_suggested(suggested_by(ended.stdout, ended.stderr))
        return ended

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small project with a unique name."""
    (tmp_path / "public").mkdir()
    (tmp_path / "public/index.html").write_text("<h1>hello")
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql/1_t.sql").write_text("create table t (id int);")
    (tmp_path / "mosaic.yaml").write_text(
        f"version: 1\nproject:\n  name: cli {next(_numbers)} {tmp_path.name}\n"
        "static:\n  dir: public\ndatabase:\n  migrations: sql\n"
    )
    return tmp_path


@pytest.fixture
def sql(run: Run, folder: Path, platform) -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """Deploys the folder, and runs SQL in its project."""
    assert run("apply", "--local", "--yes").returncode == 0
    name = (folder / "mosaic.yaml").read_text().split("name: ")[1].splitlines()[0]
    with Api(platform.url, ApiKey(platform.api_key)) as api:
        [project] = [each.id for each in read_projects(api) if each.name == name]
        yield functools.partial(api.sql, project)


@pytest.fixture
def deployed(run, folder: Path) -> Path:
    """The folder, deployed."""
    assert run("apply", "--local", "--yes").returncode == 0
    return folder


def read_json(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The document that a successful command printed."""
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found
