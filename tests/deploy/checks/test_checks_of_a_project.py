"""The checks of a real project: SQL, magic links, and when an apply runs which."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from mosaic_deploy.deploy.applying import verify as apply_verify
from mosaic_deploy.deploy.checks import magic_link_check
from mosaic_deploy.deploy.checks.magic_link_check import check_magic_link
from mosaic_deploy.deploy.checks.sql_check import check_sql
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.operations import read_embedded_emails
from mosaic_deploy.live.ledger.deploys import read_deploys
from mosaic_deploy.model.event import ApplyDone, ApplyFailed, Event, Noted, Verified
from mosaic_deploy.model.manifest import SqlCheck
from mosaic_deploy.model.snapshot import Project


@pytest.fixture
def api(platform) -> Iterator[Api]:
    with Api(platform.url, ApiKey(platform.api_key)) as found:
        yield found


def value(query: str, expected: object) -> SqlCheck:
    return SqlCheck(query, value=expected, has_value=True)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def project_id(platform) -> str:
    from started_platform import create_project

    return create_project(platform.url, platform.api_key, "sql checks")


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        (SqlCheck("SELECT 1"), "passed: 1 row"),
        (SqlCheck("SELECT 1 WHERE false"), "failed: no rows, expected at least one"),
        (SqlCheck("SELECT 1 WHERE false", rows=0), "passed: 0 rows"),
        (SqlCheck("SELECT generate_series(1, 3)", rows=2), "failed: 3 rows, expected 2"),
        (
            SqlCheck("SELECT generate_series(1, 5000)", rows=1000),
            "failed: more than 1000 rows, expected 1000",
        ),
        (value("SELECT count(*), 9 FROM pg_class WHERE false", 0), "passed: 0"),
        (value("SELECT 1.50::numeric", 1.5), 'passed: "1.50"'),
        (value("SELECT 10000000000000000000000.5::numeric", 1), None),
        (value("SELECT true", True), "passed: true"),
        (value("SELECT true", 1), "failed: the value is true, expected 1"),
        (value("SELECT null", None), "passed: null"),
        (value("SELECT 'a'::text", "b"), 'failed: the value is "a", expected "b"'),
        (value("SELECT 1 WHERE false", None), "failed: no rows, expected at least one"),
        (value("SHOW server_encoding", "UTF8"), 'passed: "UTF8"'),
        (SqlCheck("EXPLAIN SELECT 1"), "passed: 1 row"),
        (SqlCheck("SELECT * FROM nothing"), 'failed: relation "nothing" does not exist'),
        (SqlCheck("SELECT nextval('s')"), None),
    ],
)
def test_what_a_query_says(api: Api, project_id: str, check: SqlCheck, expected: str | None) -> None:
    outcome = check_sql(api, project_id, check)
    said = f"{outcome.status}: {outcome.message}"
    assert expected in said if expected else said.startswith("failed: ")


# --- magic links ---


@pytest.fixture(scope="module")
def signed_in(platform, tmp_path_factory) -> Iterator[tuple[Api, Project]]:
    from tests.deploy.conftest import Site

    root = tmp_path_factory.mktemp("sign in")
    with Api(platform.url, ApiKey(platform.api_key)) as api:
        site = Site(root, api, f"sign in {root}")
        site.write("www/in/index.html", "welcome")
        site.manifest(static={"dir": "www"})
        done = site.apply()
        yield api, done.project


def said(api: Api, project: Project, page: str) -> str:
    outcome = check_magic_link(api, project, "check@example.com", page)
    return f"{outcome.status}: {outcome.message}"


def test_a_real_email_is_sent_read_followed_and_verified_once(signed_in) -> None:
    api, project = signed_in
    before = len(read_embedded_emails(api))
    assert said(api, project, "/in") == "passed: email received, page opened, token verified once"
    [email, *_] = read_embedded_emails(api)
    assert len(read_embedded_emails(api)) == before + 1
    assert (email["to"], email["project_id"]) == ("check@example.com", project.id)
    missing = said(api, project, "/out")
    assert missing == f"failed: the link in the email leads to {project.url}/out, which answers 404"


def test_an_email_that_never_comes_is_not_claimed(signed_in, monkeypatch) -> None:
    api, project = signed_in
    monkeypatch.setattr(magic_link_check, "send_magic_link", lambda *_: "")
    assert said(api, project, "/in").startswith("skipped: a magic link was sent to check@example.com, but")


@pytest.mark.parametrize(("status", "expected"), [(200, "skipped: "), (404, "failed: the page of the link")])
def test_elsewhere_only_the_page_is_requested(status: int, expected: str) -> None:
    """The hosted platform can't be reached from tests, and sends emails that can't be read."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(status)

    with Api("https://api.mosaic.site", ApiKey("mk_1"), transport=httpx.MockTransport(answer)) as api:
        project = Project("p", "p", "https://p.mosaic.site")
        found = said(api, project, "/in")
    assert found.startswith(expected)
    assert [(each.method, str(each.url)) for each in sent] == [("GET", "https://p.mosaic.site/in")]
    assert status != 200 or "no email was sent" in found


def test_the_daily_limit_is_no_failure_of_the_site(signed_in) -> None:
    api, project = signed_in
    found = ""
    for _ in range(11):
        found = said(api, project, "/in")
    assert found.startswith("skipped: no email was sent: ")


# --- when an apply runs them ---


def verified(events: list[Event]) -> list[str]:
    return [event.kind for event in events if isinstance(event, Verified)]


def test_an_apply_runs_changed_checks_and_emails_only_then(site) -> None:
    site.write("www/index.html", "hello")
    sections = {
        "static": {"dir": "www"},
        "auth": {"magic_link": {"redirect_url": "/"}},
        "database": {},
    }
    verify = {"http": [{"path": "/"}], "sql": [{"query": "SELECT 1"}], "magic_link": {}}
    site.manifest(**sections, verify=verify)
    assert verified(site.run()) == ["http", "sql", "magic_link"]
    assert not site.plan().has_work
    site.write("www/index.html", "hello, again")
    assert verified(site.run()) == ["http", "sql"], "an email a day would soon be too many"
    verify["sql"][0]["query"] = "SELECT 2"
    site.manifest(**sections, verify=verify)
    planned = site.plan()
    assert (planned.plan.empty, planned.has_work) == (True, True)
    assert [note.code for note in planned.plan.notes] == ["checks_changed"]
    assert verified(site.run(planned)) == ["http", "sql", "magic_link"]
    assert not site.plan().has_work


def test_failed_checks_run_again_until_they_pass(site, monkeypatch) -> None:
    monkeypatch.setattr("mosaic_deploy.deploy.applying.verify._CHECK_TIMEOUT", 0.1)
    site.write("www/index.html", "hello")
    site.manifest(static={"dir": "www"}, verify={"sql": [{"query": "SELECT 1", "rows": 2}]})
    failed = site.run()[-1]
    assert isinstance(failed, ApplyFailed)
    assert failed.error.message == "SELECT 1: 1 row, expected 2"
    assert str(failed.error.location).endswith("/mosaic.yaml:7:12")
    assert site.plan().has_work
    site.manifest(static={"dir": "www"}, verify={"sql": [{"query": "SELECT 1"}]})
    events = site.run()
    assert isinstance(events[-1], ApplyDone)
    assert verified(events) == ["sql"]
    assert not [event for event in events if isinstance(event, Noted)]
    assert not site.plan().has_work


@pytest.mark.parametrize("content", ['"a\\u0000b\\ud800"', "\0"], ids=["escaped", "raw"])
def test_a_failure_whose_text_postgresql_cannot_store_is_recorded(site, monkeypatch, content) -> None:
    """Otherwise the lock would stay, and the history would say `interrupted`."""
    monkeypatch.setattr(apply_verify, "_CHECK_TIMEOUT", 0.0)
    site.write("www/index.html", "hello")
    site.write("www/a.json", f'{{"a": {content}}}')
    site.manifest(static={"dir": "www"}, verify={"http": [{"path": "/a.json", "json": {"a": "x"}}]})
    assert site.fails().error.code == "verify_failed"
    [newest] = read_deploys(site.api, site.project_id, 5)
    assert (newest.status, "a.json" in str(newest.error)) == ("failed", True)
    assert site.sql("select count(*)::int as n from mosaic_deploy.lease") == [{"n": 0}]
