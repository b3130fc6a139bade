"""`watch` as a process, with real files, the real listener and the embedded platform."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mosaic_deploy.live.api.transport import loopback_target


class Watching:
    """A running watch. `until` waits for a line of its output."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.output: list[str] = []
        self._lines: queue.Queue[str] = queue.Queue()
        self._readers = [
            threading.Thread(target=self._read, args=(stream,), daemon=True)
            for stream in (process.stdout, process.stderr)
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Any) -> None:
        with stream:
            for line in stream:
                self._lines.put(line.rstrip("\n"))

    def until_all(self, *words: str) -> None:
        """Waits for all of `words`, in any order: stdout and stderr are read by two threads."""
        missing = set(words)
        while missing:
            line = self.until()
            missing -= {word for word in missing if word in line}

    def until(self, *words: str) -> str:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            try:
                line = self._lines.get(timeout=1)
            except queue.Empty:
                continue
            self.output.append(line)
            if all(word in line for word in words):
                return line
        raise AssertionError(f"{words} was not printed, but:\n" + "\n".join(self.output))

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()

    def wait_for_run(self, run) -> None:
        """Waits until a second run has begun."""
        while json.loads(run("status", "--local", "-o", "json").stdout)["last_deploy"]["serial"] < 2:
            pass

    def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(90)


@pytest.fixture
def watching(folder: Path, environment: dict[str, str]) -> Iterator[Callable[..., Watching]]:
    started: list[Watching] = []

    def start(
        *arguments: str,
        command: str = "watch",
        env: dict[str, str] | None = None,
        python: tuple[str, ...] = ("-m", "mosaic_deploy"),
    ) -> Watching:
        program = [sys.executable, *python, command, *arguments]
        process = subprocess.Popen(
            program, cwd=folder, env={**environment, **(env or {})}, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        started.append(Watching(process))
        return started[-1]

    yield start
    for one in started:
        one.close()


def site(run) -> str:
    return json.loads(run("status", "--local", "-o", "json").stdout)["project"]["url"]


def get(url: str) -> str:
    target, headers = loopback_target(url)
    return httpx.get(target, headers=headers).text


def test_a_saved_file_goes_live(folder: Path, run, watching) -> None:
    watch = watching("--local", "--yes")
    watch.until("Watching public, sql")
    (folder / "public/index.html").write_text("<h1>edited")
    assert " ms" in watch.until("public/index.html → live in")
    assert get(site(run) + "/") == "<h1>edited"
    (folder / "public/style.css").write_text("body {}")
    watch.until("public/style.css → live in")
    # The line comes before the run has recorded the change and released the lock.
    while (status := status_of(run))["lock"] is not None:
        pass
    assert status["pending"] == {"add": 0, "change": 0, "destroy": 0}
    assert status["last_deploy"]["status"] == "done"
    assert watch.end() == 130


def test_the_history_has_the_commit_and_that_files_differ(folder: Path, run, watching) -> None:
    for words in (["init", "-q"], ["add", "public", "sql", "mosaic.yaml"], [*_AUTHOR, "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True
    )
    watch = watching("--local", "--yes")
    watch.until("Watching public, sql")
    (folder / "public/index.html").write_text("<h1>edited")
    watch.until("public/index.html → live in")
    assert watch.end() == 130
    found = json.loads(run("history", "--local", "-o", "json").stdout)["deploys"]
    told = [(deploy["commit"], deploy["dirty"], deploy["approval"]["confirmed"]) for deploy in found]
    assert told == [(head.stdout.strip(), True, "watch"), (head.stdout.strip(), False, "yes")]


_AUTHOR = ("-c", "user.name=a", "-c", "user.email=a@b.c")


def status_of(run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("status", "--local", "-o", "json").stdout)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_releases_the_lock_and_loses_nothing(folder: Path, run, watching, number) -> None:
    watch = watching("--local", "--yes")
    watch.until("Watching")
    for count in range(30):
        (folder / f"public/{count}.txt").write_text("x" * 100_000)
    watch.until("changes → live in") if number == signal.SIGTERM else watch.wait_for_run(run)
    assert watch.end(number) == 130
    status = status_of(run)
    assert status["lock"] is None
    assert run("apply", "--local", "--yes").returncode == 0
    assert status_of(run)["pending"] == {"add": 0, "change": 0, "destroy": 0}


def test_an_error_is_shown_once_and_the_next_save_retries(folder: Path, watching) -> None:
    watch = watching("--local", "--yes")
    watch.until("Watching")
    manifest = (folder / "mosaic.yaml").read_text()
    (folder / "mosaic.yaml").write_text(manifest + "static: [")
    watch.until("error[manifest_invalid]")
    (folder / "mosaic.yaml").write_text(manifest)
    watch.until("fixed; everything is deployed")
    (folder / "sql/2_u.sql").write_text("create table u (id nonsense);")
    watch.until("error[migration_failed]")
    (folder / "public/index.html").write_text("not yet")
    (folder / "sql/2_u.sql").write_text("create table u (id int);")
    watch.until("sql/2_u.sql → applied in")
    watch.until("fixed; everything is deployed")
    (folder / "sql/2_u.sql").write_text("create table u (id bigint);")
    watch.until("error[migration_diverged]")
    (folder / "sql/2_u.sql").write_text("create table u (id int);")
    watch.until("fixed; everything is deployed")
    assert watch.end(signal.SIGTERM) == 130


def history_of(run) -> list[str]:
    return [each["status"] for each in json.loads(run("history", "--local", "-o", "json").stdout)["deploys"]]


@pytest.mark.parametrize("command", ["dev", "watch"])
def test_a_migration_without_statements_is_postponed(folder: Path, run, watching, command: str) -> None:
    watch = watching(*([] if command == "dev" else ["--local", "--yes"]), command=command)
    watch.until("Watching public, sql")
    assert run("migrate", "new", "b").stdout == "sql/2_b.sql\n"
    watch.until("sql/2_b.sql has no statements yet")
    (folder / "sql/3_c.sql").write_text("create table c (id int);")
    watch.until("sql/2_b.sql has no statements yet", "1 migration after it")
    (folder / "public/index.html").write_text("edited")
    watch.until("public/index.html → live in")
    assert states(run) == {"1_t.sql": "applied", "2_b.sql": "pending", "3_c.sql": "pending"}
    (folder / "sql/2_b.sql").write_text("create table b (id int);")
    watch.until("sql/2_b.sql → applied in")
    watch.until("sql/3_c.sql → applied in")
    assert not any("error[" in line for line in watch.output)
    assert sum("has no statements yet" in line for line in watch.output) == 2
    assert watch.end() == 130


def states(run) -> dict[str, str]:
    lines = json.loads(run("migrate", "status", "--local", "-o", "json").stdout)["migrations"]
    return {line["file"]: line["state"] for line in lines}


def test_an_empty_migration_applied_by_another_run_can_be_repaired(folder: Path, run, watching) -> None:
    dev = watching(command="dev")
    dev.until("Watching")
    assert run("migrate", "new", "b").returncode == 0
    assert run("apply", "--local", "--yes").returncode == 0
    (folder / "sql/2_b.sql").write_text("create table b (id int);")
    dev.until("error[migration_diverged]")
    dev.until("was edited after it was applied without any statements")
    way = dev.until("next:", "mosaic-deploy migrate repair").partition("mosaic-deploy ")[2].split()
    assert way[:4] == ["migrate", "repair", "--forget", "2"]
    assert run(*way, "--yes").returncode == 0
    (folder / "public/index.html").write_text("edited")
    dev.until("sql/2_b.sql → applied in")
    assert run("sql", "--local", "select * from b").returncode == 0


def test_a_rollback_by_another_run_is_seen_before_the_history_is_compared(
    folder: Path, run, watching
) -> None:
    (folder / "sql/2_u.sql").write_text(
        "-- migrate:up\ncreate table u (id int);\n-- migrate:down\ndrop table u;"
    )
    dev = watching(command="dev")
    dev.until("Watching")
    (folder / "public/index.html").write_text("a run, so that both sides are remembered")
    dev.until("public/index.html → live in")
    done = run("migrate", "rollback", "--local", "--yes", "--allow", "destructive")
    assert done.returncode == 0, done
    (folder / "sql/2_u.sql").write_text(
        "-- migrate:up\ncreate table u (id bigint);\n-- migrate:down\ndrop table u;"
    )
    dev.until("sql/2_u.sql → applied in")
    assert not any("error[" in line for line in dev.output)


def test_files_are_deployed_while_a_migration_fails(folder: Path, run, watching) -> None:
    dev = watching(command="dev")
    dev.until("Watching")
    bad = folder / "sql/2_u.sql"
    bad.write_text("create table u (id nonsense);")
    dev.until("error[migration_failed]", "sql/2_u.sql:1:20")
    dev.until("hint: correct sql/2_u.sql and save it")
    (folder / "public/style.css").write_text("body {}")
    dev.until("public/style.css → live in")
    (folder / "public/index.html").write_text("edited")
    dev.until("public/index.html → live in")
    assert get(site(run) + "/") == "edited"
    (folder / "sql/draft.sql").write_text("create table d (id int);")
    dev.until("sql/draft.sql → draft applied to a copy in")
    assert history_of(run).count("failed") == 1
    bad.write_text("create table u (id nonsense);")
    dev.until("sql/2_u.sql → still error[migration_failed]")
    assert history_of(run).count("failed") == 2
    bad.write_text("create table u (id int);")
    dev.until("sql/2_u.sql → applied in")
    dev.until("fixed; everything is deployed")
    assert not any("  mosaic-deploy dev" in line or "same command again" in line for line in dev.output)
    assert dev.end() == 130


def test_files_are_deployed_at_the_start_while_a_migration_fails(folder: Path, run, watching) -> None:
    (folder / "sql/2_u.sql").write_text("create table u (id nonsense);")
    dev = watching(command="dev")
    dev.until("error[migration_failed]")
    dev.until("public/index.html → live in")
    (folder / "public/index.html").write_text("edited")
    dev.until("public/index.html → live in")
    assert history_of(run).count("failed") == 1
    assert not any("  mosaic-deploy dev" in line or "same command again" in line for line in dev.output)
    (folder / "sql/2_u.sql").write_text("create table u (id int);")
    dev.until("sql/2_u.sql → applied in")
    dev.until("fixed; everything is deployed")


def test_files_are_deployed_while_the_history_diverges(folder: Path, run, watching) -> None:
    dev = watching(command="dev")
    dev.until("Watching")
    (folder / "sql/1_t.sql").write_text("create table t (id bigint);")
    dev.until("error[migration_diverged]")
    (folder / "public/style.css").write_text("body {}")
    dev.until("public/style.css → live in")
    (folder / "sql/1_t.sql").write_text("create table t (id text);")
    dev.until("sql/1_t.sql → still error[migration_diverged]")
    (folder / "sql/1_t.sql").write_text("create table t (id int);")
    dev.until("fixed; everything is deployed")


def test_on_a_hosted_platform_files_wait_for_migrations(folder: Path, platform, run, watching) -> None:
    env = {"MOSAIC_API_URL": platform.url, "MOSAIC_API_KEY": platform.api_key}
    watch = watching("--yes", env=env)
    watch.until("Watching")
    (folder / "sql/2_u.sql").write_text("create table u (id nonsense);")
    watch.until("error[migration_failed]")
    (folder / "public/style.css").write_text("body {}")
    watch.until("public/style.css → waiting for sql/2_u.sql: error[migration_failed]")
    (folder / "public/more.css").write_text("body {}")
    watch.until("public/more.css → waiting for sql/2_u.sql")
    assert history_of(run).count("failed") == 1
    (folder / "sql/2_u.sql").write_text("create table u (id int);")
    watch.until("sql/2_u.sql → applied in")
    watch.until("public/style.css → live in")
    watch.until("fixed; everything is deployed")


PATIENT_PROGRAM = """
import runpy
from mosaic_deploy.deploy.applying import verify
verify._CHECK_TIMEOUT = 1000.0
runpy.run_module("mosaic_deploy", run_name="__main__")
"""
"""Waits for failing checks for longer than a test."""
FAILING_CHECK = "verify: {http: [{path: /, contains: fixed}]}\n"


@pytest.mark.parametrize("first", [True, False], ids=["first deploy", "later"])
def test_a_save_ends_the_wait_for_a_failing_check(folder: Path, watching, first: bool) -> None:
    """The page that fixes it doesn't wait until the old check has given up. The project is known though it failed."""
    manifest = folder / "mosaic.yaml"
    if first:
        manifest.write_text(manifest.read_text() + FAILING_CHECK)
    watch = watching("--local", "--yes", "-o", "ndjson", python=("-c", PATIENT_PROGRAM))
    if not first:
        watch.until('"type":"watching"')
        manifest.write_text(manifest.read_text() + FAILING_CHECK)
    watch.until('"type":"waiting"', "up to 1000 s")
    (folder / "public/index.html").write_text("fixed")
    failed = json.loads(watch.until("verify_failed"))
    assert failed["type"] in ("apply_failed", "error")
    if first:
        started = json.loads(watch.until('"type":"watching"'))
        assert started["project"]
        assert started["url"]
    watch.until('"type":"resolved"')


def test_a_new_folder_in_the_manifest_is_watched(folder: Path, watching) -> None:
    watch = watching("--local", "--yes")
    watch.until("Watching public, sql")
    (folder / "pictures").mkdir()
    (folder / "pictures/a.bin").write_text("a")
    manifest = (folder / "mosaic.yaml").read_text()
    (folder / "mosaic.yaml").write_text(manifest + "storage: {dir: pictures}\n")
    watch.until("pictures/a.bin → live in")
    (folder / "pictures/b.bin").write_text("b")
    watch.until("pictures/b.bin → live in")


def test_a_checkout_of_a_thousand_files_takes_few_runs(folder: Path, run, watching) -> None:
    """Another run deploys the rest whenever a busy machine stops between two files, so their number isn't exact."""
    watch = watching("--local", "--yes", "-o", "ndjson")
    watch.until('"type":"watching"')
    for number in range(1000):
        (folder / f"public/{number}.txt").write_text(str(number))
    done = 0
    while done < 1000:
        done += json.loads(watch.until('"type":"live"')).get("changes", 1)
    assert done == 1000
    watch.end()
    deploys = json.loads(run("history", "--local", "-o", "json").stdout)["deploys"]
    assert len(deploys) <= 20


@pytest.mark.parametrize(
    ("rehearse", "shown"), [("0", "error[rehearsal_required]"), ("", "error[rehearsal_failed]")]
)
def test_a_required_rehearsal(folder: Path, run, watching, rehearse: str, shown: str) -> None:
    manifest = folder / "mosaic.yaml"
    manifest.write_text(f"{manifest.read_text()}policy: {{rehearsed: required}}\n")
    env = {"MOSAIC_REHEARSE": rehearse}
    assert run("apply", "--local", "--yes", env={"MOSAIC_REHEARSE": ""}).returncode == 0
    watch = watching("--local", "--yes", env=env)
    watch.until("Watching")
    (folder / "sql/2_u.sql").write_text("create table u (id nonsense);")
    watch.until(shown)
    (folder / "sql/2_u.sql").write_text("create table u (id int);")
    watch.until("error[rehearsal_required]" if rehearse else "sql/2_u.sql → applied in")


def test_dropping_a_table_needs_confirmation(folder: Path, run, watching) -> None:
    watch = watching("--local", "--yes")
    watch.until("Watching")
    assert run("sql", "--local", "insert into t values (1)").returncode == 0
    (folder / "sql/2_drop.sql").write_text("drop table t;")
    watch.until("error[destructive_unconfirmed]")
    (folder / "sql/2_drop.sql").write_text("select 1;")
    watch.until("sql/2_drop.sql → applied in")


def test_a_deleted_file_is_deleted_live_but_a_rewritten_one_is_not(folder: Path, run, watching) -> None:
    manifest = (folder / "mosaic.yaml").read_text()
    (folder / "mosaic.yaml").write_text(
        manifest.replace("dir: public", "dir: public\n  prune: true\n  keep: 0")
    )
    (folder / "public/old.css").write_text("old")
    watch = watching("--local", "--yes")
    watch.until("Watching")
    (folder / "public/old.css").unlink()
    (folder / "public/index.html").unlink()
    (folder / "public/index.html").write_text("rebuilt")
    watch.until(" public/old.css → deleted in")
    assert not any("index.html → deleted" in line for line in watch.output)
    watch.until("public/index.html → live") if not any(
        "public/index.html → live" in line for line in watch.output
    ) else None
    assert get(site(run) + "/") == "rebuilt"


def test_an_emptied_site_stays_live(folder: Path, run, watching) -> None:
    manifest = (folder / "mosaic.yaml").read_text()
    (folder / "mosaic.yaml").write_text(
        manifest.replace("dir: public", "dir: public\n  prune: true\n  keep: 0")
    )
    watch = watching("--local", "--yes")
    watch.until("Watching")
    (folder / "public/index.html").unlink()
    watch.until("error[source_refused]", "public is empty")
    assert get(site(run) + "/") == "<h1>hello"
    (folder / "public/index.html").write_text("built")
    watch.until("public/index.html → live in")
    watch.until("fixed; everything is deployed")


def test_a_diverged_local_project_can_be_reset(folder: Path, run, watching) -> None:
    watch = watching("--local", "--yes")
    watch.until("Watching")
    (folder / "public/index.html").write_text("a second run, so that the project is known")
    watch.until("live in")
    (folder / "sql/1_t.sql").write_text("create table t (id bigint);")
    command = (
        watch.until("your decision:", "mosaic-deploy local reset").partition("mosaic-deploy ")[2].split()
    )
    assert run(*command, "--yes").returncode == 0
    (folder / "public/index.html").write_text("edited")
    watch.until("sql/1_t.sql → applied in")
    watch.until("public/index.html → live in")
    watch.until("fixed; everything is deployed")


def test_the_reset_is_suggested_for_edits_made_before_the_start(folder: Path, run, watching) -> None:
    assert run("apply", "--local", "--yes").returncode == 0
    (folder / "sql/1_t.sql").write_text("create table t (id bigint);")
    dev = watching(command="dev")
    dev.until("error[migration_diverged]")
    command = dev.until("your decision:", "mosaic-deploy local reset").partition("mosaic-deploy ")[2].split()
    assert run(*command, "--yes").returncode == 0
    (folder / "public/index.html").write_text("edited")
    dev.until("sql/1_t.sql → applied in")
    dev.until("fixed; everything is deployed")


def test_another_deploy_in_between_is_noticed(folder: Path, run, watching) -> None:
    watch = watching("--local", "--yes")
    watch.until("Watching")
    other = folder / "elsewhere"
    (other / "public").mkdir(parents=True)
    (other / "public/index.html").write_text("the other's")
    manifest = (folder / "mosaic.yaml").read_text().partition("database:")[0]
    (other / "mosaic.yaml").write_text(manifest)
    assert run("apply", "--local", "--yes", str(other)).returncode == 0
    (folder / "public/new.html").write_text("ours")
    # A full plan finds that the other deploy replaced the page.
    watch.until("public/index.html → live in")
    assert get(site(run) + "/") == "<h1>hello"


def test_a_wrong_key_is_reported_and_watching_continues(folder: Path, platform, watching) -> None:
    key = {"MOSAIC_API_URL": platform.url}
    (folder / ".env").write_text(f"MOSAIC_API_KEY={platform.api_key}\n")
    watch = watching("--yes", env=key)
    watch.until("Watching")
    (folder / ".env").write_text("MOSAIC_API_KEY=mk_wrong\n")
    watch.until("error[unauthorized]")
    (folder / "public/index.html").write_text("catching up")
    (folder / ".env").write_text(f"MOSAIC_API_KEY={platform.api_key}\n")
    watch.until("public/index.html → live in")
    watch.until("fixed; everything is deployed")


def test_it_catches_up_after_a_network_failure(folder: Path, platform, watching) -> None:
    """The platform is behind a proxy that is closed for a while."""
    from tests.cli.door import Door

    with Door(platform.port) as door:
        key = {"MOSAIC_API_URL": f"http://127.0.0.1:{door.port}", "MOSAIC_API_KEY": platform.api_key}
        watch = watching("--yes", "--timeout", "2", env=key)
        watch.until("Watching")
        door.shut()
        (folder / "public/index.html").write_text("saved while the network was down")
        watch.until("error[")
        door.open()
        watch.until("public/index.html → live in")
        watch.until("fixed; everything is deployed")


def test_without_confirmation_nothing_is_done(run, folder: Path) -> None:
    done = run("watch", "--local", timeout=30)
    assert done.returncode == 1
    assert "error[confirmation_required]" in done.stderr


def test_json_output_is_refused(run, folder: Path) -> None:
    done = run("watch", "--local", "--yes", "-o", "json")
    assert done.returncode == 2
    assert "ndjson" in json.loads(done.stdout)["error"]["message"]
