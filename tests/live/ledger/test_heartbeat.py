"""The heartbeat: a hung connection, and a machine that slept, don't go unnoticed or cost the lease."""

from __future__ import annotations

import json
import threading
import time

import httpx
import pytest

from mosaic_deploy.errors import LockLost
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.ledger import heartbeat as module
from mosaic_deploy.live.ledger import lease
from mosaic_deploy.live.ledger.heartbeat import Heartbeat
from mosaic_deploy.live.ledger.lease_sql import LEASE_TTL, LeaseRequest
from mosaic_deploy.model.snapshot import Object

CLAIM = LeaseRequest("pod-1", "h", "t", "d", "p", 1)


def renewing(answers: list[object], renewed: threading.Event) -> Api:
    """An API whose renewals get `answers` (exceptions are raised), and then always succeed."""

    def answer(request: httpx.Request) -> httpx.Response:
        given = answers.pop(0) if answers else 1
        if not answers:
            renewed.set()
        if isinstance(given, Exception):
            raise given
        return httpx.Response(200, json={"success": True, "data": [{"held": given}]})

    return Api("https://api.test", ApiKey("mk_test_key"), transport=httpx.MockTransport(answer))


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW_INTERVAL", 0.02)
    monkeypatch.setattr(module, "_RETRY_INTERVAL", 0.02)


def test_a_renewal_that_gets_no_response_is_tried_again_at_once(hurried) -> None:
    renewed = threading.Event()
    api = renewing([httpx.ReadTimeout("hung"), httpx.ReadTimeout("hung"), 1], renewed)
    began = lease.awake_time() - LEASE_TTL
    with Heartbeat(api, CLAIM, began) as heartbeat:
        assert renewed.wait(10)
        while heartbeat._renewed == began:
            time.sleep(0.01)
        heartbeat.check()


def test_a_renewal_counts_from_its_request_not_from_its_response(hurried, monkeypatch) -> None:
    """The database may have renewed the lease as soon as it was asked."""
    now = [1000.0]
    monkeypatch.setattr(module, "awake_time", lambda: now[0])
    asked_again, ended = threading.Event(), threading.Event()

    def answer(request: httpx.Request) -> httpx.Response:
        if now[0] == 1000:
            now[0] += 45
        else:
            asked_again.set()
            ended.wait(10)
        return httpx.Response(200, json={"success": True, "data": [{"held": 1}]})

    api = Api("https://api.test", ApiKey("mk_test_key"), transport=httpx.MockTransport(answer))
    with Heartbeat(api, CLAIM, 900) as heartbeat:
        assert asked_again.wait(10)
        heartbeat.check()
        now[0] = 1000 + LEASE_TTL + 1
        with pytest.raises(LockLost):
            heartbeat.check()
        ended.set()


def test_a_renewal_waits_only_for_a_part_of_the_leases_time() -> None:
    """Also if SQL may take ten minutes: else one hung connection would cost the lease."""
    limits: list[float] = []
    asked = threading.Event()

    def answer(request: httpx.Request) -> httpx.Response:
        limits.append(request.extensions["timeout"]["read"])
        asked.set()
        return httpx.Response(200, json={"data": [{"held": 1}]})

    api = Api(
        "https://api.test", ApiKey("mk_test_key"), sql_timeout=600, transport=httpx.MockTransport(answer)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "RENEW_INTERVAL", 0.01)
        with Heartbeat(api, CLAIM, lease.awake_time()):
            assert asked.wait(10)
    assert max(limits) <= LEASE_TTL / 4


def test_renewals_have_connections_of_their_own() -> None:
    api = Api("https://api.test", ApiKey("mk_test_key"))
    with api.with_timeout(5, own_connections=True) as other:
        assert other._transport is not api._transport
        assert other.traffic is api.traffic


def test_a_lease_that_was_taken_over_ends_the_deploy(hurried) -> None:
    asked = threading.Event()
    with Heartbeat(renewing([0], asked), CLAIM, lease.awake_time()) as heartbeat:
        assert asked.wait(10)
        heartbeat._thread.join(10)
        with pytest.raises(LockLost):
            heartbeat.check()


@pytest.mark.parametrize(("platform", "clock"), [("linux", "CLOCK_BOOTTIME"), ("darwin", "CLOCK_MONOTONIC")])
def test_the_clock_counts_the_time_that_the_machine_sleeps(monkeypatch, platform: str, clock: str) -> None:
    monkeypatch.setattr(lease.sys, "platform", platform)
    monkeypatch.setattr(lease.time, clock, clock, raising=False)
    monkeypatch.setattr(lease.time, "clock_gettime", {clock: 12.5}.get)
    assert lease.awake_time() == 12.5


def test_after_sleep_nothing_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine slept between the first attempt of an upload and its retry, and the lease has expired."""
    from mosaic_deploy.live.api.upload import upload_static_file, upload_storage_file

    sent: list[str] = []
    now = [1000.0]
    monkeypatch.setattr(module, "awake_time", lambda: now[0])

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.method)
        if request.url.path.endswith("/storage/upload"):
            return httpx.Response(200, json={"upload_url": "https://store.test/x"})
        now[0] += LEASE_TTL + 1
        raise httpx.ReadError("the network is gone", request=request)

    api = Api(
        "https://api.test", ApiKey("mk_test_key"), transport=httpx.MockTransport(answer), sleep=lambda _: None
    )
    heartbeat = Heartbeat(api, CLAIM, now[0])
    api.before_change = heartbeat.check
    with pytest.raises(LockLost):
        upload_static_file(api, "pod-1", "index.html", b"old")
    assert sent == ["POST"]
    now[0] = 1000.0
    with pytest.raises(LockLost):
        upload_storage_file(api, "pod-1", Object("x", "", 3), lambda: iter([b"old"]), lambda _: None)
    assert sent == ["POST", "POST", "PUT"]


def test_the_lease_runs_from_its_request_not_from_its_response(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [10.0]
    monkeypatch.setattr(lease, "awake_time", lambda: now[0])

    class Slow:
        def sql(self, project: str, query: str) -> list[dict[str, str]]:
            now[0] += 45
            return [{"answer": json.dumps({"taken": True, "stale": False, "other": None})}]

    events = lease.acquire_lease(Slow(), CLAIM, lease.WaitPolicy(0))  # type: ignore[arg-type]
    with pytest.raises(StopIteration) as ended:
        next(events)
    assert ended.value.value == 10.0
