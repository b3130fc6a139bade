"""A platform that rate-limits, lets upload URLs expire, or rejects files."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace

import httpx
import pytest

from mosaic_deploy.deploy import PlanOptions
from mosaic_deploy.diff.selection import Selection, parse_selector
from mosaic_deploy.errors import QuotaExceeded
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.model.event import ApplyDone, ApplyFailed, ChangeDone, ChangeStarted
from tests.deploy.faults import is_sql


def upload(request: httpx.Request) -> bool:
    return request.method == "PUT" or (request.method == "POST" and request.url.path.endswith("/files"))


class Busy(httpx.HTTPTransport):
    """Rejects an upload while more than `most` others are running."""

    def __init__(self, most: int, status: int) -> None:
        super().__init__()
        self._most = most
        self._status = status
        self._lock = threading.Lock()
        self._under_way = 0
        self.refused = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not upload(request):
            return super().handle_request(request)
        with self._lock:
            self._under_way += 1
            over = self._under_way > self._most
            self.refused += over
        try:
            if over:
                time.sleep(0.005)  # a rejection takes time, too, so uploads overlap
                body, headers = {"error": "slow down"}, {"Retry-After": "1"}
                return httpx.Response(self._status, json=body, headers=headers, request=request)
            return super().handle_request(request)
        finally:
            with self._lock:
                self._under_way -= 1


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("kind", ["static", "storage"])
def test_a_rate_limiting_platform_gets_every_file(site, api_over, status, kind):
    for number in range(60):
        site.write(f"files/{number}.txt", f"file {number}")
    site.manifest(**{kind: {"dir": "files"}})
    busy = Busy(2, status)
    api = api_over(busy)
    last = site.run(api=api, parallelism=16)[-1]
    assert isinstance(last, ApplyDone), last
    assert busy.refused > 0
    assert api.rate_limiter.limit < 16
    assert site.plan().plan.changes == ()
    below = "/storage" if kind == "storage" else ""
    assert site.get(f"{below}/59.txt").text == "file 59"


class Expiring(httpx.HTTPTransport):
    """Lets the first URL of each file expire before it is used."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self._times = times
        self.asked: dict[str, int] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        name = request.url.path.rpartition("/")[2]
        if request.method == "PUT" and self.asked.setdefault(name, 0) < self._times:
            self.asked[name] += 1
            content = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
            return httpx.Response(403, text=content, request=request)
        return super().handle_request(request)


def test_an_expired_upload_url_is_renewed(site, api_over):
    for number in range(5):
        site.write(f"pics/{number}.bin", f"asset {number}")
    site.manifest(storage={"dir": "pics"})
    expiring = Expiring(1)
    assert isinstance(site.run(api=api_over(expiring))[-1], ApplyDone)
    assert expiring.asked == dict.fromkeys([f"{n}.bin" for n in range(5)], 1)
    assert site.get("/storage/4.bin").text == "asset 4"
    assert site.plan().plan.changes == ()


def test_a_rejected_new_url_is_an_error(site, api_over):
    site.write("pics/one.bin", "storage")
    site.manifest(storage={"dir": "pics"})
    failed = site.run(api=api_over(Expiring(99)))[-1]
    assert isinstance(failed, ApplyFailed)
    assert failed.error.code == "forbidden"
    site.apply()


class Refusing(httpx.HTTPTransport):
    """Rejects the named files."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self._names = names

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if upload(request) and any(f'"{name}"'.encode() in request.content for name in self._names):
            return httpx.Response(413, json={"error": "too large"}, request=request)
        return super().handle_request(request)


def test_all_failures_are_reported_and_pages_are_not_sent_before_their_files(site, api_over):
    for number in range(30):
        site.write(f"www/{number}.css", f"/* {number} */")
    site.write("www/index.html", "<p>home")
    site.manifest(static={"dir": "www"})
    failed = site.run(api=api_over(Refusing("3.css", "17.css")), parallelism=4)[-1]
    assert isinstance(failed, ApplyFailed)
    assert failed.error.code == "transfers_failed"
    assert sorted(problem.location.file for problem in failed.error.problems) == ["17.css", "3.css"]
    assert all("too large" in problem.message for problem in failed.error.problems)
    assert len([address for address in failed.done if address.startswith("static:")]) == 28
    assert site.get("/").status_code == 404, "a page that may refer to what failed isn't sent"
    assert site.get("/29.css").status_code == 200
    rest = [event.change.address for event in site.run() if isinstance(event, ChangeDone)]
    assert sorted(rest) == ["static:17.css", "static:3.css", "static:index.html"]
    assert site.plan().plan.changes == ()


class Shrinking(httpx.HTTPTransport):
    """Storage that lists one file with another size than was sent."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        if request.method == "GET" and request.url.path.endswith("/storage"):
            response.read()
            listed = response.json()
            for file in listed["files"]:
                file["size"] -= file["filename"] == "two.bin"
            return httpx.Response(200, json=listed, request=request)
        return response


def test_a_storage_file_of_the_wrong_size_is_found(site, platform):
    site.write("pics/one.bin", "asset one")
    site.write("pics/two.bin", "asset two")
    site.manifest(storage={"dir": "pics"})
    with Api(platform.url, ApiKey(platform.api_key), transport=Shrinking(), sleep=lambda _: None) as api:
        failed = site.run(api=api)[-1]
    assert isinstance(failed, ApplyFailed)
    assert [p.message for p in failed.error.problems] == ["storage lists 8 bytes, but 9 were sent"]
    assert (failed.failed, "storage:one.bin" in failed.done) == ("storage:two.bin", True)
    assert "storage:two.bin" not in failed.done
    assert [str(change.address) for change in site.plan().plan.changes] == ["storage:two.bin"]
    site.apply()


def test_ledger_rows_are_written_in_batches(site, api_over):
    for number in range(450):
        site.write(f"www/{number}.txt", f"file {number}")
    site.manifest(static={"dir": "www"})

    class Counting(httpx.HTTPTransport):
        marks = 0

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            Counting.marks += is_sql(request, "INSERT INTO mosaic_deploy.objects")
            return super().handle_request(request)

    assert isinstance(site.run(api=api_over(Counting()))[-1], ApplyDone)
    assert Counting.marks == 1 + 3


class Full(httpx.HTTPTransport):
    """Storage with a limit in bytes."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room
        self.writes = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.writes += request.method != "GET" and not is_sql(request)
        response = super().handle_request(request)
        if request.method == "GET" and request.url.path.endswith("/storage"):
            response.read()
            listed = response.json()
            used = sum(file["size"] for file in listed["files"])
            listed["usage"] = {"used_bytes": used, "limit_bytes": self._room}
            return httpx.Response(200, json=listed, request=request)
        return response


def test_too_many_bytes_are_refused_before_the_first_upload(site, api_over):
    site.write("pics/one.bin", "x" * 60)
    site.manifest(storage={"dir": "pics"})
    site.apply()
    full = Full(100)
    api = api_over(full)
    site.write("pics/one.bin", "y" * 90)
    [note] = site.plan(api).plan.notes
    assert note.message == "storage: 60 B of 100 B used; this apply adds 30 B"
    site.write("pics/two.bin", "z" * 11)
    with pytest.raises(QuotaExceeded, match=r"60 B of 100 B used, and this apply would add 41 B"):
        site.plan(api)
    assert full.writes == 0
    site.write("pics/two.bin", "z" * 10)
    assert isinstance(site.run(api=api)[-1], ApplyDone)


def test_too_many_bytes_are_refused_before_hashing(site, api_over):
    heard: list[int] = []
    large = 300 * 1024 * 1024
    options = PlanOptions(on_hashed=lambda done, _: heard.append(done))
    site.write("www/index.html", "<p>home")
    site.write("pics/one.bin", "x" * 60)
    site.manifest(storage={"dir": "pics"}, static={"dir": "www"})
    site.apply()
    api = api_over(Full(large))
    os.truncate(site.write("pics/two.bin", ""), large)
    with pytest.raises(QuotaExceeded, match=r"used, and this apply would add 314\.6 MB") as caught:
        site.plan(api, options)
    assert [str(problem) for problem in caught.value.problems] == ["two.bin: 314.6 MB, new"]
    assert heard[-1:] in ([], [len("<p>home")]), "only what is small was read"
    left_out = replace(options, selection=Selection(excluded=(parse_selector("storage:two.bin"),)))
    assert site.plan(api, left_out).plan.changes == ()
    assert heard[-1] > large, "what is left out of the plan may be of any size"
    (site.root / "pics/one.bin").unlink()
    os.truncate(site.root / "pics/two.bin", large - 60)
    assert len(site.plan(api).plan.changes) == 1


class Untold(httpx.HTTPTransport):
    """Names no limits, and takes small static files only."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if upload(request) and len(request.content) > 2_000_000:
            return httpx.Response(413, json={"error": "body too large"}, request=request)
        response = super().handle_request(request)
        if request.method == "GET" and request.url.path.endswith("/v1/project"):
            response.read()
            answer = response.json()
            answer.pop("limits", None)
            return httpx.Response(response.status_code, json=answer, request=request)
        return response


def test_without_a_known_limit_the_error_names_the_file_and_a_fix(site, api_over):
    site.write("www/big.txt", "x" * 2_000_001)
    site.write("www/small.txt", "x" * 1_200_000)
    site.manifest(static={"dir": "www"})
    failed = site.run(api=api_over(Untold()))[-1]
    assert isinstance(failed, ApplyFailed)
    assert failed.error.code == "request_refused"
    assert failed.error.message.startswith("big.txt: too large for a static file (2.0 MB): ")
    assert "storage folder" in failed.error.hint
    assert site.get("/small.txt").status_code == 200
    site.apply()


class Throttled(httpx.HTTPTransport):
    """Tells every upload to wait half a minute."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if upload(request):
            return httpx.Response(429, headers={"Retry-After": "30"}, json={}, request=request)
        return super().handle_request(request)


def test_an_interrupted_run_does_not_wait_for_the_rate_limiter(site, platform):
    for number in range(20):
        site.write(f"www/{number}.txt", str(number))
    site.manifest(static={"dir": "www"})
    with Api(platform.url, ApiKey(platform.api_key), transport=Throttled()) as api:
        events = site.events(api=api)
        for event in events:
            if isinstance(event, ChangeStarted):
                break
        began = time.monotonic()
        last = events.throw(KeyboardInterrupt())
        rest = [last, *events]
    assert time.monotonic() - began < 25, "less than one of the waits that it was headers"
    assert isinstance(rest[-1], ApplyFailed)
    assert rest[-1].error.code == "interrupted"
    site.apply()
