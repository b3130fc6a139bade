"""Runs of the command line, in a project folder, through the proxy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mosaic_deploy import deploy
from mosaic_deploy.deploy import ApplyOptions, PlanOptions, PreparedPlan, Target
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.model.event import ApplyDone
from mosaic_deploy.source.manifest.read import read_manifest
from tests.faults.arena import Arena
from tests.faults.fault import Strike
from tests.faults.proxy import Aim

TIME_LIMIT = 60
"""Seconds for one run. Longer is a hang: nothing in the matrix makes a run wait that long."""
APPLY = ("apply", "--yes", "--output", "json", "--lock-timeout", "3")


@dataclass(frozen=True)
class Ended:
    """A run that has ended. `exit_code` is None if it hung, and negative for a signal."""

    exit_code: int | None
    document: dict[str, Any] = field(default_factory=dict)
    output: str = ""

    @property
    def error(self) -> dict[str, Any]:
        """The error's document; empty without an error."""
        found = self.document if "mutation_state" in self.document else self.document.get("error")
        return found or {}


def run(arena: Arena, folder: Path, aim: Aim, *arguments: str, impatient: bool = False) -> Ended:
    """Runs `mosaic-deploy ARGUMENTS` in `folder` with the fault of `aim`."""
    process: Future[int] = Future()

    def strike(kind: Strike) -> None:
        arena.strike(kind, process.result(TIME_LIMIT), folder.parent.name)
        if kind is Strike.KILL:
            _wait_for_end(process.result())

    aim.strike = strike
    arena.proxy.aim(aim)
    # With a full disk a new project isn't ready for minutes, and the run waits for it.
    full = arena.recover if aim.fault and aim.fault.fills_disk else None
    try:
        if impatient or full:
            return _run_program(arena, folder, arguments, process.set_result, full, impatient=impatient)
        environment = arena.environment(folder.parent)
        done = arena.program.run(arguments, environment, folder, "", TIME_LIMIT, process.set_result)
    except subprocess.TimeoutExpired as expired:
        return Ended(None, {}, f"{expired.output}{expired.stderr}")
    return Ended(done.returncode, _document(done.stdout, done.stderr), done.stdout + done.stderr)


def _run_program(
    arena: Arena,
    folder: Path,
    arguments: tuple[str, ...],
    started: Callable[[int], object],
    full: Callable[[], None] | None,
    *,
    impatient: bool,
) -> Ended:
    """The same in a program of its own. After the time limit `full` frees the disk, and it has the time limit again."""
    module = "tests.faults.impatient" if impatient else "mosaic_deploy"
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments], cwd=folder, env=arena.environment(folder.parent),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        started(process.pid)
        try:
            try:
                out, err = process.communicate(timeout=TIME_LIMIT)
            except subprocess.TimeoutExpired:
                if not full:
                    raise
                full()
                out, err = process.communicate(timeout=TIME_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            return Ended(None, {}, out + err)
    return Ended(process.returncode, _document(out, err), out + err)


def _wait_for_end(process: int) -> None:
    ends = time.monotonic() + TIME_LIMIT
    while time.monotonic() < ends:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)


def _document(out: str, err: str) -> dict[str, Any]:
    for text in (out, err):
        try:
            found = json.loads(text)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return {}


def planned_changes(arena: Arena, folder: Path) -> list[str]:
    """The addresses in a new plan, made past the proxy."""
    with _api(arena) as api:
        return [change.address for change in _plan(arena, api, folder).plan.changes]


def apply_undisturbed(arena: Arena, folder: Path) -> None:
    """Applies past the proxy, in this process, which is quicker."""
    with _api(arena) as api:
        options = ApplyOptions(holder="before", retry_command="mosaic-deploy apply")
        *_, last = deploy.apply(api, _plan(arena, api, folder), options)
        assert isinstance(last, ApplyDone), last


def _api(arena: Arena) -> Api:
    return Api(arena.reader.url, ApiKey(arena.api_key))


def _plan(arena: Arena, api: Api, folder: Path) -> PreparedPlan:
    os.environ["XDG_CACHE_HOME"] = str(arena.folder / "cache")
    manifest = read_manifest(folder, environ={})
    return deploy.plan(api, manifest, Target(None, manifest.project.name), PlanOptions())
