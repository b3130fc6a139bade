"""Killed deploys: how they are shown, and how the next deploy takes over."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mosaic_deploy.cli.target.identity import current_process
from mosaic_deploy.cli.terminal.interrupts import ending_signals

Sql = Callable[[str], list[dict]]
_WAITING = "select pg_sleep(100);"


@contextmanager
def deploy_in_a_migration(sql: Sql, folder: Path, environment) -> Iterator[subprocess.Popen]:
    """A deploy in the middle of its second migration."""
    (folder / "sql/2_u.sql").write_text("create table u (id int);")
    (folder / "sql/3_wait.sql").write_text(_WAITING)
    command = [sys.executable, "-m", "mosaic_deploy", "apply", "--local", "--yes"]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=folder, env=environment, **quiet) as deploy:
        deadline = time.monotonic() + 60
        while not sql(
            "select from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"
        ):
            assert deploy.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield deploy


@pytest.fixture
def killed(sql: Sql, folder: Path, environment) -> int:
    """The process ID of a killed deploy."""
    with deploy_in_a_migration(sql, folder, environment) as deploy:
        deploy.kill()
    return deploy.pid


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_a_migration_releases_the_lock(sql, folder, environment, number) -> None:
    with deploy_in_a_migration(sql, folder, environment) as deploy:
        deploy.send_signal(number)
    assert (deploy.returncode, statuses(sql)[-1]) == (130, "interrupted")
    assert sql("select from mosaic_deploy.lease") == []


def test_a_closed_terminal_ends_nothing_under_nohup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in ending_signals()
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signal.SIGHUP in ending_signals()


def statuses(sql: Sql) -> list[str]:
    return [row["status"] for row in sql("select status from mosaic_deploy.deploys order by started_at")]


def told(run) -> tuple[str, str]:
    """The last deploy's status in the output of `status` and `history`."""
    status = json.loads(run("status", "--local", "-o", "json").stdout)
    history = json.loads(run("history", "--local", "-o", "json").stdout)
    return status["last_deploy"]["status"], history["deploys"][0]["status"]


def test_a_killed_deploy_shows_as_interrupted_when_its_lock_expires(sql, killed, run) -> None:
    assert told(run) == ("running", "running"), "its lease hasn't run out"
    sql("update mosaic_deploy.lease set expires_at = now()")
    assert told(run) == ("interrupted", "interrupted")
    shown = run("status", "--local").stdout
    assert "last deploy    interrupted by " in shown
    assert "deploying now" not in shown
    row = next(line for line in run("history", "--local").stdout.splitlines() if f"pid {killed}" in line)
    assert " interrupted " in row
    assert row.endswith("not recorded"), "what it did before isn't claimed to be nothing"
    assert statuses(sql) == ["done", "running"], "asking writes nothing"


@pytest.mark.skipif(not current_process(), reason="this system tells too little of processes")
def test_a_killed_deploy_shows_as_interrupted_at_once_on_its_own_machine(sql, killed, run) -> None:
    shown = run("status", "--local").stdout
    assert "deploying now" not in shown
    assert re.search(
        rf"^last deploy +interrupted by \S+ \(pid {killed}\), not finished\n +its process has ended; the next apply will resume$",
        shown,
        re.M,
    )
    assert json.loads(run("status", "--local", "-o", "json").stdout)["lock"]["ended"] is True
    assert statuses(sql) == ["done", "running"], "asking writes nothing"
    # Of one that told nothing of itself, and of another's machine, nobody says so.
    sql("update mosaic_deploy.deploys set report = report - 'process'")
    assert "deploying now" in run("status", "--local").stdout


def test_a_killed_deploy_shows_as_interrupted_while_another_holds_the_lock(sql, killed, run) -> None:
    sql(
        "update mosaic_deploy.lease set holder = 'ada@elsewhere', acquired_at = now(), expires_at = now() + '1 minute'"
    )
    assert told(run) == ("interrupted", "interrupted")
    sql(
        "update mosaic_deploy.lease set holder = (select holder from mosaic_deploy.deploys where status = 'running')"
    )
    assert told(run) == ("interrupted", "interrupted"), "a later lease, of another run of the same name"
    sql("delete from mosaic_deploy.lease")
    assert told(run) == ("interrupted", "interrupted")


def test_agents_see_the_interrupted_deploy(sql, killed, folder: Path, environment) -> None:
    ask = (
        "import json; from pathlib import Path; from mosaic_deploy.agent import tools; "
        "from mosaic_deploy.agent.account import ToolTarget; "
        "print(json.dumps(tools.status(ToolTarget(Path(), local=True))))"
    )

    def status() -> dict:
        command = [sys.executable, "-c", ask]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)["last_deploy"]

    assert status()["status"] == "running"
    sql("delete from mosaic_deploy.lease")
    last = status()
    assert last["status"] == "interrupted"
    assert "process" not in last["report"], "what only this machine's deploys need isn't told"


@pytest.mark.skipif(not current_process(), reason="this system has no /proc")
def test_the_next_deploy_on_the_same_machine_takes_over_at_once(sql, killed, run, folder: Path) -> None:
    (folder / "sql/3_wait.sql").write_text("create table w (id int);")
    # No patience at all: what is waited for would be refused.
    done = run("apply", "--local", "--yes", "--lock-timeout", "0")
    assert done.returncode == 0, done.stderr
    assert f"(pid {killed}): its process has ended" in done.stderr
    assert statuses(sql) == ["done", "interrupted", "done"]
    assert [row["by"] for row in sql("select report->>'lock_taken_over_by' as by from mosaic_deploy.deploys "
                                     "where status = 'interrupted'")] != [None]  # fmt: skip
    assert json.loads(run("plan", "--local", "-o", "json").stdout)["changes"] == []
    assert sql("select (select count(*) from u)::int as u, (select count(*) from w)::int as w") == [
        {"u": 0, "w": 0}
    ]


@pytest.mark.skipif(not current_process(), reason="this system has no /proc")
def test_history_commands_take_over_the_lock_before_they_plan(sql, killed, run, folder: Path) -> None:
    (folder / "sql/3_wait.sql").unlink()
    (folder / "sql/1_t.down.sql").write_text("drop table t;")
    (folder / "sql/2_u.down.sql").write_text("drop table u;")
    [lock] = sql("select holder, token, acquired_at::text as since from mosaic_deploy.lease")

    def lock_again() -> None:
        sql(
            "insert into mosaic_deploy.lease (holder, token, acquired_at, expires_at) values "
            f"('{lock['holder']}', '{lock['token']}', '{lock['since']}', now() + '1 minute')"
        )
        sql(
            "update mosaic_deploy.deploys set status = 'running' where id = "
            "(select id from mosaic_deploy.deploys where report ? 'lock_taken_over_by')"
        )

    for number, arguments in enumerate(
        (
            ("rollback", "--allow", "destructive"),
            ("repair", "--applied", "2:1"),
            ("repair", "--forget", "2"),
            ("drift", "--accept"),
        )
    ):
        if number:
            lock_again()
        if arguments[0] == "drift":
            sql("create table by_hand (id int)")
        if arguments[:2] == ("repair", "--forget"):
            (folder / "sql/2_u.sql").rename(folder / "2_u.sql")
        # No patience at all: what is waited for would be refused.
        done = run("migrate", *arguments, "--local", "--yes", "--lock-timeout", "0")
        assert done.returncode == 0, done.stderr
        assert f"(pid {killed}): its process has ended" in done.stderr
    assert statuses(sql) == ["done", "interrupted", "rollback", "repair", "repair", "drift"]


def test_history_commands_plan_again_after_force_unlock(sql, killed, run, folder: Path) -> None:
    (folder / "sql/3_wait.sql").unlink()
    (folder / "sql/2_u.down.sql").write_text("drop table u;")
    sql("update mosaic_deploy.deploys set report = report - 'process'")
    sql("update mosaic_deploy.lease set expires_at = now() + '20 seconds'")
    arguments = ("--yes", "--allow", "destructive", "--lock-timeout", "0", "--force-unlock")
    done = run("migrate", "rollback", "--local", *arguments)
    assert done.returncode == 0, done.stderr
    assert statuses(sql) == ["done", "interrupted", "rollback"]


def test_a_lock_of_an_unkncurrent_process_is_waited_for(sql, killed, run) -> None:
    """Of another machine or container, or without /proc."""
    sql("update mosaic_deploy.deploys set report = report - 'process'")
    held = run("apply", "--local", "--yes", "--lock-timeout", "0")
    assert held.returncode == 1
    assert "error[lock_held]" in held.stderr
    sql("update mosaic_deploy.deploys set report = jsonb_build_object('process', jsonb_build_object("
        f"'host', '{os.uname().nodename}', 'boot', 'another', 'namespaces', '[]'::jsonb, 'pid', {killed}, 'started', 1)) "
        "where status = 'running'")  # fmt: skip
    assert "error[lock_held]" in run("apply", "--local", "--yes", "--lock-timeout", "0").stderr


def test_an_expired_lock_is_taken_and_its_deploy_ended(sql, killed, run, folder: Path) -> None:
    sql("update mosaic_deploy.lease set expires_at = now()")
    (folder / "sql/3_wait.sql").write_text("create table w (id int);")
    done = run("apply", "--local", "--yes", "--lock-timeout", "0")
    assert done.returncode == 0, done.stderr
    assert statuses(sql) == ["done", "interrupted", "done"]


@pytest.mark.skipif(not current_process(), reason="this system has no /proc")
def test_a_running_statement_of_the_dead_deploy_is_waited_for(sql, run, folder: Path, environment) -> None:
    """The statement outlives its process on the server, and its transaction holds the migration lock."""
    (folder / "sql/2_once.sql").write_text("create table once (id int); insert into once values (1);")
    process = subprocess.run(
        [sys.executable, "-c", "import json; from mosaic_deploy.cli.target.identity import current_process; print(json.dumps(current_process()))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    sql("insert into mosaic_deploy.lease (holder, token, acquired_at, expires_at) values "
        "('ada', 't', clock_timestamp(), now() + '1 minute')")  # fmt: skip
    sql("insert into mosaic_deploy.deploys (id, serial, status, holder, plan, report) select 'dead', serial, 'running', "
        f"'ada', 'p', jsonb_build_object('process', '{process.stdout}'::jsonb) from mosaic_deploy.ledger")  # fmt: skip
    url = json.loads(run("credentials", "--local", "--reveal", "-o", "json").stdout)["database_url"]
    import psycopg

    with psycopg.connect(url) as dead:
        dead.execute("select pg_advisory_xact_lock(7236850, 1)")
        command = [sys.executable, "-m", "mosaic_deploy", "apply", "--local", "--yes"]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes) as deploy:
            assert deploy.stderr is not None
            assert "for a migration of ada, which is still running" in deploy.stderr.readline()
            assert deploy.poll() is None
            assert sql("select to_regclass('once')::text as once") == [{"once": None}]
            dead.rollback()
            _, err = deploy.communicate(timeout=60)
    assert deploy.returncode == 0, err
    assert "took over the lock of ada" in err
    assert sql("select id from once") == [{"id": 1}]
