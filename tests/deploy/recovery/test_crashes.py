"""Crashes between any two requests: completed changes are kept, and the next run finishes the deploy."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import httpx
import pytest

from mosaic_deploy.errors import LockHeld, PlanStale, ProjectAmbiguous, Unauthorized
from mosaic_deploy.live.api import endpoints
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.projects import wait_until_running
from mosaic_deploy.model.event import ApplyDone, ApplyFailed, ChangeDone
from tests.deploy.faults import Dying, LosingAnswers, is_sql, is_write
from tests.sampling import sampled


def small(site, word: str) -> None:
    site.write("sql/1_t.sql", "create table t (id int primary key);")
    site.write("sql/2_i.sql", "insert into t values (1);")
    site.write("www/index.html", f"<p>{word}")
    site.write("www/style.css", f"/* {word} */")
    site.write("pics/one.bin", f"asset {word}")
    site.manifest(
        database={"migrations": "sql"},
        static={"dir": "www"},
        storage={"dir": "pics"},
        auth={"magic_link": {"redirect_url": "/"}},
    )


def free_lease(site) -> None:
    """Expires the lease, like a minute of waiting."""
    project = site.plan().plan.project
    if project.id:
        for _ in wait_until_running(site.api, project, timeout=20):
            pass
        if site.sql("select to_regclass('mosaic_deploy.lease') as t")[0]["t"]:
            site.sql("update mosaic_deploy.lease set expires_at = now() - interval '1 second'")


@pytest.mark.parametrize(("point", "after"), sampled(product(range(14), [False, True]), 3))
def test_a_crash_at_any_write_and_a_second_run(site, api_over, point, after):
    small(site, "first")
    dying = Dying(point, is_write, after=after)
    site.run(api=api_over(dying))
    free_lease(site)
    site.apply()
    assert site.get("/").text == "<p>first"
    assert site.sql("select id from t") == [{"id": 1}]


@pytest.mark.parametrize(("point", "after"), sampled(product(range(9), [False, True]), 3))
def test_a_crash_during_an_upload_then_a_revert(site, api_over, point, after):
    """Upload v2, crash, revert to v1: v1 must not count as live."""
    small(site, "v1")
    site.apply()
    small(site, "v2")
    site.run(api=api_over(Dying(point, is_write, after=after)))
    free_lease(site)
    small(site, "v1")
    if site.plan().plan.changes:
        site.apply()
    assert site.get("/").text == "<p>v1"
    assert site.get("/style.css").text == "/* v1 */"
    url = site.plan().live.storage_files["one.bin"][1]
    assert site.get("/" + url.split("/", 3)[3]).text == "asset v1"


def test_a_failed_file_does_not_undo_the_others(site, api_over):
    for number in range(6):
        site.write(f"www/{number}.txt", str(number))
    site.manifest(static={"dir": "www"})

    class Refusing(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/files") and b'"3.txt"' in request.content:
                return httpx.Response(413, json={"error": "too large"}, request=request)
            return super().handle_request(request)

    events = site.run(api=api_over(Refusing()), parallelism=6)
    failed = events[-1]
    assert isinstance(failed, ApplyFailed)
    assert failed.failed == "static:3.txt"
    assert "too large" in failed.error.message
    again = [e.change.address for e in site.run() if isinstance(e, ChangeDone)]
    assert set(again).isdisjoint(failed.done)


def test_a_second_deploy_waits_and_names_the_holder(site):
    small(site, "first")
    site.apply()
    site.sql(
        "insert into mosaic_deploy.lease (holder, token, acquired_at, expires_at) "
        "values ('someone else', 't', now(), now() + interval '1 minute')"
    )
    small(site, "second")
    failed = site.fails()
    assert isinstance(failed.error, LockHeld)
    assert "someone else" in failed.error.message
    assert site.get("/").text == "<p>first"
    free_lease(site)
    site.apply()
    assert site.get("/").text == "<p>second"


def test_a_plan_is_stale_after_another_deploy(site):
    small(site, "first")
    site.apply()
    small(site, "second")
    stale = site.plan()
    site.apply()
    failed = site.run(stale)[-1]
    assert isinstance(failed, ApplyFailed)
    assert isinstance(failed.error, PlanStale)


def test_a_deploy_that_lost_its_lease_stops_writing(site, api_over):
    small(site, "first")
    site.apply()
    small(site, "second")

    class TakenOver(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if is_sql(request, "pending"):
                site.sql("update mosaic_deploy.lease set token = 'other', holder = 'other'")
            return super().handle_request(request)

    failed = site.run(api=api_over(TakenOver()))[-1]
    assert isinstance(failed, ApplyFailed)
    assert failed.error.code == "lock_lost"
    assert site.get("/").text == "<p>first"
    assert site.sql("select holder from mosaic_deploy.lease") == [{"holder": "other"}]


def test_a_lost_response_creates_no_second_project(site, api_over):
    small(site, "first")
    losing = LosingAnswers(lambda r: r.method == "POST" and r.url.path.endswith("/projects"))
    assert isinstance(site.run(api=api_over(losing))[-1], ApplyDone)
    assert losing.lost == 1
    named = [p for p in site.api.call(endpoints.LIST_PROJECTS)["projects"] if p["name"] == site.name]
    assert len(named) == 1


def test_two_projects_of_one_name_are_an_error_with_both_ids(site):
    small(site, "first")
    ids = [site.api.call(endpoints.CREATE_PROJECT, body={"name": site.name})["project_id"] for _ in range(2)]
    with pytest.raises(ProjectAmbiguous) as caught:
        site.plan()
    assert all(one in caught.value.message for one in ids)


def test_a_key_that_rotated_during_a_deploy(site, platform):
    small(site, "first")
    planned = site.plan()

    class Rotating(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/files") and request.method == "POST":
                request.headers["x-api-key"] = "mk_old"
            return super().handle_request(request)

    with Api(platform.url, ApiKey(platform.api_key), transport=Rotating()) as api:
        failed = site.run(planned, api=api)[-1]
    assert isinstance(failed, ApplyFailed)
    assert isinstance(failed.error, Unauthorized)
    assert "with the current key or set MOSAIC_API_KEY" in str(failed.error.hint)
    assert platform.api_key not in repr(failed)
    assert "migration:2_i.sql" in failed.done
    site.apply()


class Cutting(httpx.BaseTransport):
    """Sends every batch of migrations, and fails instead of returning the response."""

    def __init__(self, failure: Callable[[httpx.Request], BaseException]) -> None:
        self._inner = httpx.HTTPTransport()
        self._failure = failure

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._inner.handle_request(request)
        if is_sql(request, "mosaic_batch"):
            answer.read()
            answer.close()
            raise self._failure(request)
        return answer

    def close(self) -> None:
        self._inner.close()


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (lambda request: httpx.ReadError("reset", request=request), "response_lost"),
        (lambda request: KeyboardInterrupt(), "interrupted"),
    ],
    ids=["lost", "interrupted"],
)
def test_changes_committed_without_a_response_are_done(site, api_over, failure, code):
    small(site, "first")
    failed = site.run(api=api_over(Cutting(failure)))[-1]
    assert isinstance(failed, ApplyFailed)
    assert (failed.error.code, failed.error.mutation_state, failed.failed) == (code, "partial", None)
    assert {"migration:1_t.sql", "migration:2_i.sql"} <= set(failed.done)
    assert "migration:1_t.sql" not in failed.remaining
    assert "static:index.html" in failed.remaining
    last = site.sql("select report->'done' as done from mosaic_deploy.deploys order by serial desc limit 1")
    assert last[0]["done"] == list(failed.done)[1:]
    site.apply()


def test_a_migration_that_may_still_run_is_not_reported_done(site, api_over):
    """The batch is cut off before it arrives, which looks like one that still runs."""
    small(site, "first")

    class Cut(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if is_sql(request, "mosaic_batch"):
                raise KeyboardInterrupt
            return super().handle_request(request)

    failed = site.run(api=api_over(Cut()))[-1]
    assert isinstance(failed, ApplyFailed)
    assert (failed.failed, failed.error.mutation_state) == ("migration:1_t.sql", "unknown")
    assert "migration:2_i.sql" in failed.remaining
    site.apply()


def test_nothing_is_reported_done_if_the_ledger_cant_be_read(site, api_over):
    small(site, "first")
    dying = Dying(0, lambda request: is_sql(request, "mosaic_batch"), after=True)
    failed = site.run(api=api_over(dying))[-1]
    assert isinstance(failed, ApplyFailed)
    assert failed.error.mutation_state == "unknown"
    assert not any(address.startswith("migration:") for address in failed.done)
    free_lease(site)
    site.apply()
