"""`mutation_state` after an error: what this run changed, also if it was about to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from mosaic_deploy.live.ledger.deploys import read_deploys
from mosaic_deploy.live.snapshot import read_storage_sizes
from mosaic_deploy.model.event import ApplyDone, ApplyFailed
from tests.deploy.faults import is_sql
from tests.deploy.recovery.test_crashes import small


class Failing(httpx.HTTPTransport):
    """Sends requests; raises for those that `fail` selects, after they took effect."""

    def __init__(self, fail: Callable[[httpx.Request], bool], error: BaseException) -> None:
        super().__init__()
        self._fail = fail
        self._error = error

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        if self._fail(request):
            response.read()
            raise self._error
        return response


def posts(path: str) -> Callable[[httpx.Request], bool]:
    return lambda request: request.method == "POST" and request.url.path.endswith(path)


def test_ctrl_c_while_the_project_starts(site, api_over):
    """The project was created, though nothing of it is done."""
    small(site, "first")
    seen: list[str] = []

    def second_listing(request: httpx.Request) -> bool:
        seen.append(request.method)
        return request.method == "GET" and "POST" in seen

    last = site.run(site.plan(), api=api_over(Failing(second_listing, KeyboardInterrupt())))[-1]
    assert isinstance(last, ApplyFailed)
    assert last.error.mutation_state != "none"


def test_the_key_is_rotated_after_the_project_was_created(site, api_over):
    small(site, "first")
    created: list[str] = []

    class Rotated(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if created:
                return httpx.Response(401, json={"error": {"code": "unauthorized", "message": "old key"}})
            response = super().handle_request(request)
            created.extend(["yes"] * posts("/projects")(request))
            return response

    last = site.run(site.plan(), api=api_over(Rotated()))[-1]
    assert isinstance(last, ApplyFailed)
    assert (last.error.code, last.error.mutation_state) == ("unauthorized", "partial")


@pytest.mark.parametrize("folder", ["www", "assets"])
def test_ctrl_c_while_an_event_is_shown(site, folder):
    """An upload that began and ended meanwhile is reported as done, and isn't sent again."""
    site.manifest(**({"static": {"dir": folder}} if folder == "www" else {"storage": {"dir": folder}}))
    site.write(f"{folder}/index.html", "one")
    site.apply()
    site.write(f"{folder}/index.html", "second")
    events = site.events(site.plan())
    while type(next(events)).__name__ != "ChangeStarted":
        pass
    assert eventually(lambda: size_of(site, folder) == 6)
    left = [events.throw(KeyboardInterrupt), *events]
    assert "ChangeDone" in [type(event).__name__ for event in left]
    assert isinstance(left[-1], ApplyFailed)
    assert left[-1].error.mutation_state == "committed"
    assert site.plan().plan.changes == ()


def test_ctrl_c_after_the_last_byte_of_an_upload(site, api_over):
    """The platform stores the file, so its response decides."""
    site.write("assets/a.bin", "all of it")
    site.manifest(storage={"dir": "assets"})

    class Interrupting(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if request.method == "PUT":
                request.stream = Chunks(request.stream)
            return super().handle_request(request)

    class Chunks(httpx.SyncByteStream):
        def __init__(self, chunks: httpx.SyncByteStream) -> None:
            self._chunks = chunks

        def __iter__(self) -> Iterator[bytes]:
            for chunk in self._chunks:
                yield chunk
                api.rate_limiter.cancel()  # as Ctrl-C does

    api = api_over(Interrupting())
    assert isinstance(site.run(api=api)[-1], ApplyDone)
    assert read_storage_sizes(site.api, site.project_id) == {"a.bin": 9}


def size_of(site, folder: str) -> int | None:
    if folder == "www":
        return len(site.get("/").text)
    return read_storage_sizes(site.api, site.project_id)["index.html"]


def eventually(condition: Callable[[], bool]) -> bool:
    return any(condition() or time.sleep(0.02) for _ in range(500))


@pytest.mark.parametrize("answer", [None, {"success": True}, {"success": True, "data": [{"x": 1}]}])
def test_only_the_release_failed(site, api_over, answer):
    """Everything is deployed. The next run finds nothing to do, and records that."""
    small(site, "first")

    class Refusing(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if not is_sql(request, "SET status = 'done'"):
                return super().handle_request(request)
            if answer is None:
                raise httpx.ReadError("reset")
            return httpx.Response(200, json=answer, request=request)

    last = site.run(api=api_over(Refusing()))[-1]
    assert isinstance(last, ApplyFailed)
    assert (last.error.mutation_state, last.remaining, last.failed) == ("committed", (), None)
    assert "everything is deployed" in str(last.error.hint)
    site.sql("update mosaic_deploy.lease set expires_at = now()")
    planned = site.plan()
    assert planned.plan.changes == ()
    assert planned.has_work
    assert isinstance(site.run(planned)[-1], ApplyDone)
    assert not site.plan().has_work
    newest, before = read_deploys(site.api, site.project_id, 5)
    assert (newest.status, before.status) == ("done", "interrupted")


@pytest.mark.parametrize("path", ["/files", "/storage/upload"])
def test_uploads_without_a_response(site, api_over, path):
    small(site, "first")
    last = site.run(api=api_over(Failing(posts(path), httpx.ReadError("reset"))))[-1]
    assert isinstance(last, ApplyFailed)
    assert last.error.mutation_state in ("partial", "unknown")
    site.apply()


def test_a_migration_on_a_full_disk_is_not_to_be_corrected(site):
    """PostgreSQL's own error can't be produced here; one with its SQLSTATE can."""
    site.write("sql/1_a.sql", "do $$ begin raise 'could not extend file' using errcode = '53100'; end $$;")
    site.manifest(database={"migrations": "sql"})
    error = site.fails().error
    assert error.sqlstate == "53100"
    assert "disk is full" in str(error.hint)
    site.write("sql/1_a.sql", "select 1;")
    site.apply()
