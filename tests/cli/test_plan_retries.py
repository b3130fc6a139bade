"""Concurrent deploys in separate processes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from mosaic_deploy.cli.plan_retries import OvertakenByDeploy, retry_when_overtaken
from mosaic_deploy.live.api.transport import loopback_target


def start(arguments: tuple[str, ...], folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mosaic_deploy", *arguments]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes)


def test_a_deploy_waits_for_the_lock_and_then_plans(sql, folder: Path, environment) -> None:
    sql(
        "insert into mosaic_deploy.lease (holder, token, acquired_at, expires_at) "
        "values ('ada@elsewhere', 't', now(), now() + interval '30 seconds')"
    )
    (folder / "public/index.html").write_text("<h1>mine")
    with start(("apply", "--local", "--yes"), folder, environment) as waiting:
        assert waiting.stderr is not None
        assert waiting.stderr.readline() == "waiting for the deploy of ada@elsewhere\n"
        sql("delete from mosaic_deploy.lease")
        out, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, err
    assert "Applied in" in out


def test_many_concurrent_deploys_all_succeed(sql, folder: Path, environment, tmp_path_factory) -> None:
    """No plan is stale, nothing is applied twice, and one deploy's files are live completely."""
    texts = [f"<h1>version {number}" for number in range(4)]
    copies = []
    for number, text in enumerate(texts):
        copy = tmp_path_factory.mktemp(f"copy{number}")
        (copy / "public").mkdir()
        (copy / "sql").mkdir()
        (copy / "mosaic.yaml").write_text((folder / "mosaic.yaml").read_text())
        (copy / "sql/1_t.sql").write_text((folder / "sql/1_t.sql").read_text())
        (copy / "sql/2_count.sql").write_text("create table once (id int); insert into once values (1);")
        for name in ("index.html", "a.css", "b.css"):
            (copy / "public" / name).write_text(text)
        copies.append(copy)
    running = [start(("apply", "--local", "--yes"), copy, environment) for copy in copies]
    ended = [(each.communicate(timeout=90), each.returncode) for each in running]
    assert [code for _, code in ended] == [0] * len(copies), ended
    assert sql("select count(*)::int as n from once") == [{"n": 1}]
    url, headers = loopback_target(ended[0][0][0].strip().splitlines()[-1])
    pages = {httpx.get(f"{url}/{name}", headers=headers).text for name in ("index.html", "a.css", "b.css")}
    assert len(pages) == 1
    assert pages < set(texts)


@pytest.mark.parametrize(("overtaken", "seconds", "attempts"), [(0, 60, 1), (7, 60, 8), (7, 5, 7), (7, 0, 3)])
def test_plans_again_for_the_time_that_it_would_wait(overtaken: int, seconds: float, attempts: int) -> None:
    made: list[bool] = []

    def once(last: bool) -> int:
        made.append(last)
        if len(made) <= overtaken and not last:
            raise OvertakenByDeploy
        return 0

    assert retry_when_overtaken(once, seconds, clock=lambda: float(len(made))) == 0
    assert len(made) == attempts
    assert made[-1] == (attempts <= overtaken)


def test_two_concurrent_first_deploys_leave_no_half_deployed_project(
    folder: Path, environment, platform
) -> None:
    running = [start(("apply", "--local", "--yes"), folder, environment) for _ in range(2)]
    ended = [(each.communicate(timeout=90), each.returncode) for each in running]
    codes = sorted(code for _, code in ended)
    assert codes in ([0, 0], [0, 1]), ended
    for (_, err), code in ended:
        assert code == 0 or "error[project_ambiguous]" in err


def test_a_lock_timeout_names_the_holder(sql, run, folder: Path) -> None:
    sql(
        "insert into mosaic_deploy.lease (holder, token, acquired_at, expires_at) "
        "values ('ada@elsewhere', 't', now(), now() + interval '30 seconds')"
    )
    (folder / "public/index.html").write_text("<h1>mine")
    began = time.monotonic()
    held = run("apply", "--local", "--yes", "--lock-timeout", "0.1")
    assert held.returncode == 1
    assert (
        "error[lock_held]: another deploy is running: ada@elsewhere holds the lock for another "
        in held.stderr
    )
    assert time.monotonic() - began < 30
