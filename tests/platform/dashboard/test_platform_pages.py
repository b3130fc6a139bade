"""The dashboard: access, content, and that nothing from a project becomes HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import psycopg
import pytest

from mosaic_deploy.platform.machine import state_folder

TABS = (
    "deploys", "deploys/1", "emails", "requests", "schema", "sign-ins", "sql", "sql/names.json",
    "tables", "tables/new", "tables/row", "tables/rows", "tables/structure",
)  # fmt: skip
PAGES = (
    "/",
    "/key",
    "/inbox",
    "/inbox/1",
    "/inbox/1/html",
    "/requests",
    "/projects/x",
    "/projects/x/deploys",
    "/tickets/1",
)


def dashboard_link(api) -> str:
    url: str = api.post(api.root + "/open").json()["url"]
    return url


@pytest.fixture
def browser(api) -> Iterator[httpx.Client]:
    """A client with a session."""
    with httpx.Client(base_url=api.root, timeout=30) as client:
        assert client.get(dashboard_link(api)).status_code == 200
        yield client


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_locked_without_a_session(api, platform, path) -> None:
    for headers in ({}, {"Cookie": "mosaic=1"}, {"X-API-Key": "mk_wrong"}):
        response = api.plain.get(api.root + path, headers=headers)
        assert response.status_code == 401
        assert "mosaic-deploy local open" in response.text
        assert platform.api_key not in response.text
        assert "Set-Cookie" not in response.headers


def test_a_link_works_once_in_one_browser(api) -> None:
    assert api.plain.post(api.root + "/open").status_code == 401
    link = dashboard_link(api)
    assert link.startswith(api.root + "/open?token=")
    # A link preview (HEAD) doesn't use it up, and gets no cookie.
    assert "Set-Cookie" not in api.plain.head(link).headers
    with httpx.Client() as first, httpx.Client() as second:
        entered = first.get(link)
        assert (entered.status_code, 'http-equiv="refresh"' in entered.text) == (200, True)
        cookie = entered.headers["Set-Cookie"]
        assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(cookie.split("; "))
        assert first.get(api.root + "/").status_code == 200
        assert second.get(link).status_code == 401
        assert second.get(api.root + "/").status_code == 401
        # Opening it again in the same browser still works.
        assert first.get(link).status_code == 200


def test_only_the_local_account_gets_a_link(api, platform) -> None:
    _in_control(
        platform,
        "WITH owner AS (INSERT INTO account (name) VALUES ('other') RETURNING id)"
        " INSERT INTO api_key (key_hash, account_id) SELECT sha256('mk_other'), id FROM owner",
    )
    refused = api.plain.post(api.root + "/open", headers={"X-API-Key": "mk_other"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "not_found")


def _in_control(platform, statement: str) -> None:
    state = state_folder.read_state(platform.home)
    assert state is not None
    where = f"host=127.0.0.1 port={state.postgres_port} dbname=mosaic_control user=mosaic"
    with psycopg.connect(where, password=state.postgres_password) as connection:
        connection.execute(statement.encode())


def test_expired_links_and_altered_cookies_are_refused(api, platform) -> None:
    link = dashboard_link(api)
    _in_control(platform, "UPDATE page_link SET expires_at = now()")
    assert api.plain.get(link).status_code == 401
    with httpx.Client() as client:
        name, value = client.get(dashboard_link(api)).headers["Set-Cookie"].split(";")[0].split("=")
    assert api.plain.get(api.root + "/", headers={"Cookie": f"{name}={value}"}).status_code == 200
    for altered in (value[:-1], value + "x", value.swapcase(), "", "1" * 5000, "%s"):
        response = api.plain.get(api.root + "/", headers={"Cookie": f"{name}={altered}"})
        assert response.status_code == 401, altered


def test_locking_the_dashboard_ends_the_session(api, platform) -> None:
    """Not only in the browser: a copy of its cookie is worth nothing either. Other browsers keep theirs."""
    with httpx.Client() as browser, httpx.Client() as other:
        other.get(dashboard_link(api))
        cookie = browser.get(dashboard_link(api)).headers["Set-Cookie"].split(";")[0]
        assert api.plain.get(api.root + "/", headers={"Cookie": cookie}).status_code == 200
        browser.post(api.root + "/leave", headers={"Origin": api.root})
        assert api.plain.get(api.root + "/", headers={"Cookie": cookie}).status_code == 401
        assert other.get(api.root + "/").status_code == 200
        _in_control(platform, "UPDATE page_session SET expires_at = now()")
        assert other.get(api.root + "/").status_code == 401


def test_other_hosts_are_refused(api, browser) -> None:
    port = api.root.rpartition(":")[2]
    for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}", ""):
        assert browser.get("/", headers={"Host": host}).status_code in (400, 421), host
    # A site's host never serves the dashboard.
    assert browser.get("/key", headers={"Host": f"no-such.localhost:{port}"}).status_code == 404


@pytest.mark.parametrize("site", ["same-site", "cross-site"])
def test_other_origins_may_only_link_here(browser, site) -> None:
    led = browser.get("/", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"})
    assert led.status_code == 200
    fetched = browser.get("/key", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"})
    assert fetched.json()["error"]["code"] == "origin_refused"
    for header in ("Content-Security-Policy", "Cross-Origin-Resource-Policy", "Cross-Origin-Opener-Policy"):
        assert led.headers[header]
    assert "frame-ancestors 'none'" in led.headers["Content-Security-Policy"]


def test_only_the_pages_own_elements_run_scripts(api, browser) -> None:
    """Not what the same origin serves: projects' sites are below it too. The nonce is another one each time."""
    nonces = []
    for _ in range(2):
        page = browser.get("/")
        found = re.findall(r'<(?:script|link rel="stylesheet")[^>]* nonce="([\w-]+)"', page.text)
        assert len(found) == 2
        assert f"script-src 'nonce-{found[0]}';" in page.headers["Content-Security-Policy"]
        nonces += found[:1]
    assert len(set(nonces)) == 2
    for url in re.findall(r'(?:href|src)="(/dashboard/[^"]+)"', page.text):
        asset = api.plain.get(api.root + url)
        assert asset.status_code == 200
        assert "immutable" in asset.headers["Cache-Control"]
        digest = url.split("/")[2]
        assert api.plain.get(api.root + url.replace(digest, "0" * 16)).status_code == 404
    for name in ("..", "%2e%2e%2faccess.py", "missing.js"):
        assert api.plain.get(f"{api.root}/dashboard/{digest}/{name}").status_code == 404


def test_forms_are_accepted_from_the_dashboard_only(api, browser) -> None:
    number = api.post("/tickets", json={"subject": "form", "message": "x"}).json()["ticket_id"]
    for origin in (None, "null", "http://evil.example", f"{api.root}.evil.example", "http://127.0.0.1:1"):
        headers = {} if origin is None else {"Origin": origin}
        refused = browser.post(f"/tickets/{number}", data={"status": "closed"}, headers=headers)
        assert refused.json()["error"]["code"] == "origin_refused", origin
        assert browser.post("/leave", headers=headers).status_code == 403
    assert api.get(f"/tickets/{number}").json()["status"] == "open"
    own = {"Origin": api.root}
    for wanted in ("closed", "open", "closed"):
        done = browser.post(f"/tickets/{number}", data={"status": wanted}, headers=own)
        assert (done.status_code, done.headers["Location"]) == (303, f"/tickets/{number}")
        assert api.get(f"/tickets/{number}").json()["status"] == wanted
    large = browser.post(f"/tickets/{number}", data={"status": "x" * 20_000}, headers=own)
    assert (large.status_code, large.json()["error"]["code"]) == (413, "body_too_large")
    assert browser.post("/tickets/999999", data={"status": "closed"}, headers=own).status_code == 404
    assert browser.post("/leave", headers=own).status_code == 401
    assert browser.get("/").status_code == 401


def test_values_from_projects_are_escaped(api, project, browser) -> None:
    evil = "<script>alert(1)</script>"
    project_id = project(evil)
    api.post(f"/{project_id}/auth/magic-link", json={"email": "page@example.com"})
    api.post("/tickets", json={"subject": evil, "message": evil, "project_id": project_id})
    api.site(project_id, "/%3Cscript%3Ealert(1)%3C/script%3E")
    _write_ledger(api, project_id, evil)
    overview = browser.get("/")
    email = re.findall(r'href="(/inbox/\d+)"', overview.text)[0]
    ticket = re.findall(r'href="(/tickets/\d+)"', overview.text)[0]
    pages = [
        overview,
        *(browser.get(path) for path in (email, ticket, "/requests", f"/projects/{project_id}")),
    ]
    for response in [*pages, browser.get(email + "/html")]:
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "<script>" not in response.text
    assert f'href="http://{project_id}.localhost:' in overview.text
    assert "&lt;script&gt;" in pages[4].text
    assert f'<a href="http://{project_id}.localhost:' in pages[1].text
    assert "sandbox" in browser.get(email + "/html").headers["Content-Security-Policy"]
    assert browser.get("/inbox/999999").json()["error"]["code"] == "email_not_found"
    assert browser.get("/inbox/x").json()["error"]["code"] == "email_not_found"


def _write_ledger(api, project_id: str, evil: str) -> None:
    """A project's role can write anything into its tracking tables."""
    api.sql(
        project_id,
        "CREATE SCHEMA mosaic_deploy; CREATE TABLE mosaic_deploy.deploys (id text, serial bigint, status text,"
        " holder text, environment text, plan text, report jsonb, started_at timestamptz, finished_at timestamptz);",
    )
    report = '{"done": ["static:index.html", "EVIL"], "error": {"message": "EVIL"}}'.replace("EVIL", evil)
    api.sql(
        project_id,
        f"INSERT INTO mosaic_deploy.deploys VALUES ('1', 1, '{evil}', '{evil}', '{evil}', '', '{report}', now(), now()),"
        " ('2', 2, 'done', 'ada', NULL, '', '[1]', now(), NULL), ('3', 3, 'done', 'ada', NULL, '', NULL, now(), NULL)",
    )


def test_a_crashed_deploy_is_shown_as_interrupted(api, project, browser) -> None:
    project_id = project("Died")
    api.sql(
        project_id,
        "CREATE SCHEMA mosaic_deploy; CREATE TABLE mosaic_deploy.deploys (id text, serial bigint, status text,"
        " holder text, environment text, plan text, report jsonb, started_at timestamptz, finished_at timestamptz);"
        " CREATE TABLE mosaic_deploy.lease (holder text, acquired_at timestamptz, expires_at timestamptz);"
        " INSERT INTO mosaic_deploy.deploys VALUES ('1', 1, 'running', 'ada', NULL, '', NULL, now(), NULL);"
        " INSERT INTO mosaic_deploy.lease VALUES ('ada', now() - interval '1 s', now() + interval '1 minute')",
    )
    assert ">running</span>" in browser.get(f"/projects/{project_id}").text
    for change in (
        "holder = 'bob'",
        "holder = 'ada', acquired_at = now()",
        "acquired_at = '-infinity', expires_at = now()",
    ):
        api.sql(project_id, f"UPDATE mosaic_deploy.lease SET {change}")
        assert ">interrupted</span>" in browser.get(f"/projects/{project_id}").text


def test_hostile_tracking_tables_are_contained(api, project, browser) -> None:
    """They are read as the project's role, with a timeout."""
    project_id = project("Hostile")
    api.sql(
        project_id,
        "CREATE SCHEMA mosaic_deploy; CREATE TABLE kept (who text);"
        " CREATE FUNCTION mosaic_deploy.slow() RETURNS text LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(30); RETURN current_user; END $$;"
        " CREATE VIEW mosaic_deploy.deploys AS SELECT '1' AS id, 1 AS serial, mosaic_deploy.slow() AS status,"
        " '' AS holder, '' AS environment, '' AS plan, '{}'::jsonb AS report, now() AS started_at, now() AS finished_at",
    )
    response = browser.get(f"/projects/{project_id}", timeout=15)
    assert (response.status_code, "No deploys yet" in response.text) == (200, True)
    api.sql(
        project_id,
        "CREATE OR REPLACE FUNCTION mosaic_deploy.slow() RETURNS text LANGUAGE sql AS $$ SELECT current_user $$",
    )
    role = "tenant_" + project_id.replace("-", "_")
    assert f">{role}</span>" in browser.get(f"/projects/{project_id}").text


def test_the_overview_shows_storage_and_requests_but_not_the_key(api, project, browser, platform) -> None:
    project_id = project("Filled")
    assert api.upload(project_id, "a.bin", b"x" * 1000).status_code == 200
    marked = api.get(f"/{project_id}/storage")
    overview = browser.get("/").text
    assert re.search(r'<meter[^>]*max="20000000000"[^>]*value="1000"', overview)
    assert "1 kB of 20 GB" in overview
    assert marked.headers["X-Request-Id"] in browser.get("/requests").text
    assert platform.api_key not in overview
    assert platform.api_key in browser.get("/key").text


def test_a_deploys_page(api, project, browser) -> None:
    """With what was agreed to, rows, and the way back; values of other types are left out."""
    project_id = project("Deployed")
    _write_ledger(api, project_id, "<i>")
    report = (
        '{"done": ["static:index.html", "migration:0001_a.sql"], "commit": "abc123", "dirty": false,'
        ' "approval": {"approved": [{"value": "destructive", "by": "ada"}, 3], "confirmed": null},'
        ' "counts": {"0001_a.sql": {"deleted": 3, "x": "y"}, "b": 1}}'
    )
    api.sql(
        project_id,
        f"INSERT INTO mosaic_deploy.deploys VALUES ('b \"c', 9, 'done', 'ada', 'staging', '', '{report}', now(), now()),"
        """ ('odd', 8, 'done', '', NULL, '', '{"approval": 1, "counts": [], "done": "x", "error": 2, "commit": []}', now(), now())""",
    )
    listed = browser.get(f"/projects/{project_id}/deploys").text
    assert f'href="/projects/{project_id}/deploys/b%20%22c"' in listed
    shown = browser.get(f"/projects/{project_id}/deploys/b%20%22c")
    for text in ("abc123", "destructive", "by ada", "3 deleted", "git checkout abc123", "plan --env staging"):
        assert text in shown.text, text
    odd = browser.get(f"/projects/{project_id}/deploys/odd")
    assert odd.status_code == 200
    assert "The way back" not in odd.text
    evil = browser.get(f"/projects/{project_id}/deploys/1").text
    assert "&lt;i&gt;" in evil
    assert browser.get(f"/projects/{project_id}/deploys/none").status_code == 404


def test_a_projects_emails_sign_ins_and_requests(api, project, browser) -> None:
    project_id, other = project("Signed"), project("Other")
    api.post(f"/{project_id}/auth/magic-link", json={"email": "ada@example.com"})
    api.post(f"/{other}/auth/magic-link", json={"email": "bob@example.com"})
    api.post(f"/{project_id}/sql", json={"query": "SELECT nope"})
    emails = browser.get(f"/projects/{project_id}/emails").text
    assert "ada@example.com" in emails
    assert "bob@example.com" not in emails
    sign_ins = browser.get(f"/projects/{project_id}/sign-ins").text
    assert ">waiting</span>" in sign_ins
    assert "bob@example.com" not in sign_ins
    requests = browser.get(f"/projects/{project_id}/requests").text
    assert "column &#34;nope&#34; does not exist" in requests.replace("\\&#34;", "&#34;")
    assert other not in requests
