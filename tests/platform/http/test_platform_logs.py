"""Log and metrics: every request is counted and logged once, with its ID and without secrets."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mosaic_deploy.cli.commands.local.logs import follow_lines, read_last_lines
from mosaic_deploy.cli.render.text.status import log_line
from mosaic_deploy.platform.http import logs
from mosaic_deploy.platform.http.request_journal import RequestJournal, RequestRecord


def logged(platform, request_id: str) -> dict[str, object]:
    """The log line of a request, which is written after its response."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        lines = map(json.loads, read_last_lines(platform.home / "platform.log", 100_000, bool))
        found = [line for line in lines if line.get("request_id") == request_id]
        if found:
            (one,) = found
            return dict(one)
        time.sleep(0.02)
    raise AssertionError(f"{request_id} is not in the log")


def test_requests_are_logged_with_their_id(api, project, platform) -> None:
    project_id = project("Logged")
    response = api.post(f"/{project_id}/sql", json={"query": "SELECT 'hidden-in-sql'"})
    line = logged(platform, response.headers["X-Request-Id"])
    assert (line["method"], line["status"]) == ("POST", 200)
    assert line["path"] == f"/v1/project/{project_id}/sql"
    assert line["route"] == "/v1/project/{project_id}/sql"
    assert isinstance(line["ms"], float)
    site = api.site(project_id, "/a%0ab%22%1b?token=hidden-in-query")
    assert (logged(platform, site.headers["X-Request-Id"])["path"], site.status_code) == ('/a\nb"\x1b', 404)
    rejected = api.get("/no-such/files")
    assert rejected.json()["request_id"] == rejected.headers["X-Request-Id"]
    assert logged(platform, rejected.headers["X-Request-Id"])["status"] == 404
    text = (platform.home / "platform.log").read_text()
    assert "hidden" not in text
    assert text.isascii()
    assert (platform.home / "platform.log").stat().st_mode & 0o777 == 0o600


def test_metrics_count_requests_by_pattern(api, project, platform) -> None:
    project_id = project("Measured")
    before = _metrics(api)
    for _ in range(3):
        api.post(f"/{project_id}/sql", json={"query": "SELECT 1"})
    api.post(f"/{project_id}/sql", json={"query": "nonsense"})
    api.plain.request("MADEUP", api.root + f"/{project_id}")
    after = _metrics(api)

    def increase(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    route = "/v1/project/{project_id}/sql"
    assert increase(f'mosaic_requests_total{{route="{route}",method="POST",status="200"}}') == 3
    assert increase(f'mosaic_requests_total{{route="{route}",method="POST",status="400"}}') == 1
    assert increase(f'mosaic_request_seconds_bucket{{route="{route}",le="+Inf"}}') == 4
    assert increase(f'mosaic_request_seconds_count{{route="{route}"}}') == 4
    assert increase('mosaic_requests_total{route="unmatched",method="other",status="404"}') == 1
    for name in ('mosaic_projects{status="running"}', 'mosaic_control_connections{state="idle"}',
                 'mosaic_sql_connections{state="idle"}', 'mosaic_file_bytes{kind="stored"}',
                 "mosaic_requests_under_way", "mosaic_uptime_seconds"):  # fmt: skip
        assert name in after, name
    text = api.plain.get(api.root + "/metrics").text
    assert project_id not in text
    assert platform.api_key not in text


def _metrics(api) -> dict[str, float]:
    response = api.plain.get(api.root + "/metrics")
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found: dict[str, float] = {}
    announced: set[str] = set()
    for line in response.text.splitlines():
        if line.startswith("# TYPE "):
            name = line.split()[2]
            assert name not in announced
            announced.add(name)
        elif not line.startswith("# HELP "):
            name, value = line.rsplit(" ", 1)
            assert re.fullmatch(r"[a-z_]+(\{([a-z]+=\"[^\"\n]*\",?)+\})?", name), name
            assert name not in found
            found[name] = float(value)
    return found


def test_the_histogram_counts_every_request_once() -> None:
    journal = RequestJournal()
    for number in range(1000):
        journal.add(RequestRecord(str(number), "GET", "/x", "site", 200, number / 10))
    (histogram,) = journal.latency.values()
    counts = [count for _, count in histogram.cumulative()]
    assert counts == sorted(counts)
    assert counts[-1] == sum(histogram.buckets) == 1000
    # 0.0 to 1.0 ms in steps of 0.1 ms: the bound of 1 ms is inclusive.
    assert counts[0] == 11
    assert len(journal.recent) == 200
    assert journal.recent[0].request_id == "999"


@pytest.fixture
def rotating(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "MAX_BYTES", 2000)
    file = logs.RotatingLogFile(tmp_path / "platform.log")
    file.setFormatter(logs.JsonLineFormatter())
    yield file
    file.close()


def write(file: logging.Handler, message: str) -> None:
    file.emit(logging.makeLogRecord({"msg": message, "levelname": "INFO", "name": "x"}))


def test_the_log_stays_small(rotating, tmp_path) -> None:
    for number in range(500):
        write(rotating, f"line {number}")
    files = sorted(tmp_path.iterdir())
    assert len(files) == logs.BACKUP_COUNT + 1
    assert all(path.stat().st_size <= 2000 and path.stat().st_mode & 0o777 == 0o600 for path in files)
    messages = [json.loads(line)["message"] for line in read_last_lines(tmp_path / "platform.log", 20, bool)]
    assert messages == [f"line {number}" for number in range(480, 500)]


def test_following_the_log_across_a_rotation(rotating, tmp_path) -> None:
    log = tmp_path / "platform.log"
    write(rotating, "before")
    got: list[str] = []
    began = threading.Event()

    def follow() -> None:
        lines = follow_lines(log)
        # The first line shows that the reader has opened the file.
        for line in lines:
            got.append(line)
            began.set()
            if '"end"' in line:
                break
        lines.close()

    reader = threading.Thread(target=follow, daemon=True)
    reader.start()
    while not began.wait(0.05):
        write(rotating, "begin")
    for number in range(15):
        write(rotating, f"line {number}")
    # The reader follows one rotation at a time; let it catch up.
    while '"line 14"' not in "".join(got):
        time.sleep(0.02)
    write(rotating, "end")
    reader.join(10)
    assert not reader.is_alive()
    messages = [json.loads(line)["message"] for line in got]
    assert [one for one in messages if one.startswith("line")] == [f"line {number}" for number in range(15)]
    assert "before" not in messages


def test_stderr_moves_to_the_new_log_on_rotation(tmp_path) -> None:
    """So crash output is in the current file, not in a rotated one."""
    program = (
        "import logging, os, sys; from pathlib import Path; from mosaic_deploy.platform.http import logs;"
        "logs.MAX_BYTES = 500; logs.configure(Path(sys.argv[1]));"
        "[logging.getLogger('x').info('line %d', n) for n in range(20)];"
        "os.write(2, b'crash')"
    )
    log = tmp_path / "platform.log"
    with log.open("ab") as stream:
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)], stdout=stream, stderr=stream, check=True
        )
    assert log.read_bytes().endswith(b"crash")


def test_an_unwritable_log_is_ignored() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    program = (
        "import logging; from mosaic_deploy.platform.http import logs; logs.configure(None);"
        "logging.getLogger('x').info('nowhere'); print('still running', flush=True)"
    )
    with Path("/dev/full").open("ab", buffering=0) as full:
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=full, check=False
        )
    assert done.stdout == b"still running\n"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            '{"time": "2026-11-23T23:15:11.104+00:00", "level": "info", "event": "request", "request_id": "a1",'
            ' "method": "GET", "path": "/a\\u001b[31m\\nb", "route": "site", "status": 200, "ms": 1.4}',
            "2026-11-23 23:15:11 200      1.4 ms  GET /a\\x1b[31m\\nb  (a1)",
        ),
        (
            '{"time": "2026-11-23T23:15:11.104+00:00", "level": "error", "event": "x", "message": "failed",'
            ' "request_id": "a1", "error": "Traceback\\nValueError"}',
            "2026-11-23 23:15:11 error x: failed (a1)\nTraceback\nValueError",
        ),
        ("Traceback (most recent call last):", "Traceback (most recent call last):"),
        ("[1]", "[1]"),
        ("{}", "{}"),
    ],
)
def test_lines_for_people(line, shown, monkeypatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert log_line(line) == shown
