"""A served platform in operation: it stops without losing requests, and its metrics, log and health tell the truth."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from served import DOMAIN, Served, Services, children, query, run, serve
from served_requests import create, read, upload, wait_until
from test_platform_served import _store

from mosaic_deploy.platform.app.metrics import show_health
from mosaic_deploy.platform.app.worker_counts import PUBLISH_SECONDS
from mosaic_deploy.platform.machine.ports import free_port
from mosaic_deploy.platform.postgres import health as database_health
from mosaic_deploy.platform.postgres.health import DatabaseHealth

pytestmark = pytest.mark.timeout(240)


def _is_running(services: Services, statement: str) -> bool:
    return bool(
        query(
            services.environment["MOSAIC_DATABASE_URL"],
            f"SELECT 1 FROM pg_stat_activity WHERE query LIKE '{statement}%' AND state = 'active'",
        )
    )


def _refuses_connections(served: Served) -> bool:
    try:
        socket.create_connection(("127.0.0.1", _port(served)), 5).close()
    except ConnectionRefusedError:
        return True
    return False


def _port(served: Served) -> int:
    return int(served.address.rpartition(":")[2])


def _lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_stopping_closes_the_listener_and_finishes_running_requests(services, key, workers) -> None:
    with serve(services, "--workers", workers) as served, served.client(key) as client:
        path = f"/v1/project/{create(client, 'Drained')}/sql"
        statement = f"SELECT pg_sleep(4) AS slept, {workers}"
        with ThreadPoolExecutor(1) as threads:
            running = threads.submit(client.post, path, json={"query": statement})
            wait_until(lambda: _is_running(services, statement))
            served.process.terminate()
            wait_until(lambda: _refuses_connections(served))
            assert not running.done()
            assert running.result().status_code == 200
        assert served.process.wait(30) == 0


def test_a_request_that_is_cut_off_gets_a_503_with_its_id(services, key, tmp_path) -> None:
    log = tmp_path / "log"
    with serve(services, "--workers", "2", "--stop-timeout", "1", log=log) as served:
        with served.client(key) as client, ThreadPoolExecutor(1) as threads:
            path = f"/v1/project/{create(client, 'Cut')}/sql"
            running = threads.submit(client.post, path, json={"query": "SELECT pg_sleep(100)"})
            wait_until(lambda: _is_running(services, "SELECT pg_sleep(100)"))
            served.process.terminate()
            response = running.result()
        assert (response.status_code, response.json()["error"]["code"]) == (503, "platform_stopping")
        assert response.headers["Retry-After"] == "1"
        request_id = response.headers["X-Request-Id"]
        assert response.json()["request_id"] == request_id
        assert served.process.wait(30) == 0
    (line,) = [one for one in _lines(log) if one.get("request_id") == request_id]
    assert line["status"] == 503
    assert not _is_running(services, "SELECT pg_sleep(100)")


def test_metrics_have_an_address_of_their_own_and_count_all_workers(services, key) -> None:
    port = free_port()
    with serve(services, "--workers", "2", "--metrics", f"127.0.0.1:{port}") as served:
        wait_until(lambda: _metric(port, "mosaic_workers") == 2)

        def listed() -> float:
            return _metric(
                port, 'mosaic_requests_total{route="/v1/project/projects",method="GET",status="200"}'
            )

        before = listed()
        for _ in range(30):
            with served.client(key) as client:
                assert client.get("/v1/project/projects").status_code == 200
        wait_until(lambda: listed() == before + 30)
        # The counts of a worker that is killed remain, but those of its last second.
        time.sleep(2 * PUBLISH_SECONDS)
        os.kill(children(served.process.pid)[0], signal.SIGKILL)
        wait_until(lambda: _metric(port, "mosaic_workers") == 1 or len(children(served.process.pid)) == 2)
        for _ in range(10):
            assert listed() == before + 30
        wait_until(lambda: _metric(port, "mosaic_workers") == 2)
        assert _metric(port, "mosaic_database_up") == 1
        assert _metric(port, "mosaic_store_owned") == 1
        for host in (f"api.{DOMAIN}", DOMAIN, f"some.{DOMAIN}", "evil.example", "127.0.0.1", ""):
            assert httpx.get(f"{served.address}/metrics", headers={"Host": host}).status_code in (404, 421), (
                host
            )
        for path in ("/v1/project", "/healthz", "/", "/open"):
            for host in (f"api.{DOMAIN}", "127.0.0.1"):
                refused = httpx.get(
                    f"http://127.0.0.1:{port}{path}", headers={"Host": host, "X-API-Key": key}
                )
                assert refused.status_code == 404, path


def _metric(port: int, name: str) -> float:
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize(
    ("trusted", "expected"),
    [("", "127.0.0.1"), ("127.0.0.0/8,10.0.0.7", "203.0.113.9"), ("192.0.2.1", "127.0.0.1")],
)
def test_the_log_has_clients_addresses_and_no_health_checks(services, tmp_path, trusted, expected) -> None:
    """From trusted proxies, the last address that isn't one of theirs."""
    log = tmp_path / "log"
    with serve(services, "--trusted-proxies", trusted, log=log) as served, served.client() as client:
        forwarded = {"X-Forwarded-For": "6.6.6.6, 203.0.113.9, 10.0.0.7"}
        request_id = client.get("/v1/project", headers=forwarded).headers["X-Request-Id"]
        for _ in range(3):
            assert client.get("/healthz").status_code == 200
        wait_until(lambda: any(one.get("request_id") == request_id for one in _lines(log)))
        (line,) = [one for one in _lines(log) if one.get("request_id") == request_id]
        assert line["client"] == expected
    assert "healthz" not in log.read_text()
    # As set by the test's server.
    assert "max_prepared_transactions isn't 0" in log.read_text()


@pytest.mark.parametrize(
    "option", [("--trusted-proxies", "nonsense"), ("--metrics", "9464"), ("--metrics", "x:y")]
)
def test_unusable_addresses_are_reported(services, option) -> None:
    result = run(services, "cluster", *services.arguments, "--port", str(free_port()), *option)
    assert (result["exit_code"], option[0] in result["error"]["message"]) == (1, True), result


@pytest.mark.parametrize("workers", ["1", "2"])
def test_metrics_need_a_port_of_their_own(services, workers) -> None:
    """On another address the same port is free, but the application would take all requests for metrics."""
    port, several = str(free_port()), ("--workers", workers)
    result = run(
        services, "cluster", *services.arguments, "--port", port, "--metrics", f"127.0.0.2:{port}", *several
    )
    assert result["error"]["code"] == "address_unusable", result


def test_a_missing_object_is_an_error_in_response_and_log(services, key, tmp_path) -> None:
    log = tmp_path / "log"
    with serve(services, log=log) as served, served.client(key) as client:
        project_id = create(client, "Damaged")
        assert upload(client, project_id, "a.bin", b"bytes").status_code == 200
        (lost,) = _store(services).keys(project_id)
        _store(services).delete(lost)
        response = read(client, project_id, "/storage/a.bin")
        assert (response.status_code, response.json()["error"]["code"]) == (500, "object_missing")
        assert read(client, project_id, "/storage/never.bin").status_code == 404
    assert any(one["level"] == "error" and lost in one.get("message", "") for one in _lines(log))


@pytest.fixture
def served_health(monkeypatch) -> Iterator[Any]:
    """Calls the endpoint of a worker whose database has been down for some seconds, or None."""
    now = [1000.0]
    monkeypatch.setattr(database_health.time, "monotonic", lambda: now[0])

    def ask(seconds: float | None) -> tuple[int, dict[str, Any]]:
        state = DatabaseHealth()
        state.down_since = None if seconds is None else now[0] - seconds
        platform: Any = SimpleNamespace(local=False, health=state)
        response = asyncio.run(show_health(platform, SimpleNamespace()))  # type: ignore[arg-type]
        return response.status_code, json.loads(bytes(response.body))

    return ask


def test_health_outlives_a_restart_of_the_database(served_health) -> None:
    for seconds, status, database in (
        (None, 200, "ok"),
        (30.0, 200, "unavailable"),
        (61.0, 503, "unavailable"),
    ):
        code, document = served_health(seconds)
        assert (code, document["database"]) == (status, database)
