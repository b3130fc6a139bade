"""The dashboard's tabs Site, Storage, Connect and Settings, the overview's warnings, and errors for browsers."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import psycopg
import pytest

from mosaic_deploy.platform.dashboard.projects.connect import snippets
from mosaic_deploy.platform.dashboard.queries.policy import parse_policy
from mosaic_deploy.platform.machine import state_folder

ODD_NAME = "ö dir/a b'\"&<i>%?#.txt"


@pytest.fixture(scope="module")
def browser(api) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=api.root, timeout=30, headers={"Origin": api.root}) as client:
        assert client.get(api.post(api.root + "/open").json()["url"]).status_code == 200
        yield client


def record_files(api, project_id: str, *rows: str) -> None:
    """Tracking tables with these rows of deployed files: `'static', 'index.html', 'live'`."""
    values = ", ".join(f"({row}, '<m>', 'd1', now())" for row in rows)
    api.sql(
        project_id,
        "CREATE SCHEMA mosaic_deploy; CREATE TABLE mosaic_deploy.objects"
        " (kind text, path text, state text, manifest text, deploy_id text, updated_at timestamptz);"
        " CREATE TABLE mosaic_deploy.deploys (id text, status text, holder text, environment text, report jsonb,"
        " started_at timestamptz, finished_at timestamptz);"
        " INSERT INTO mosaic_deploy.deploys VALUES ('d1', 'failed', '<ada>', 'staging', NULL, now(), now());"
        f" INSERT INTO mosaic_deploy.objects VALUES {values}",
    )


def record_policy(api, project_id: str, policy: str) -> None:
    api.sql(
        project_id,
        "CREATE SCHEMA IF NOT EXISTS mosaic_deploy; CREATE TABLE IF NOT EXISTS mosaic_deploy.settings"
        " (name text PRIMARY KEY, value jsonb); DELETE FROM mosaic_deploy.settings;"
        f" INSERT INTO mosaic_deploy.settings VALUES ('policy', '{{\"m\": {policy}}}')",
    )


def in_control(platform, statement: str) -> None:
    state = state_folder.read_state(platform.home)
    assert state is not None
    where = f"host=127.0.0.1 port={state.postgres_port} dbname=mosaic_control user=mosaic"
    with psycopg.connect(where, password=state.postgres_password) as connection:
        connection.execute(statement.encode())


def many_files(platform, project_id: str, table: str, number: int, folder: str = "f/") -> None:
    """Records of files, without contents."""
    in_control(
        platform,
        f"INSERT INTO {table} (project_id, filename, size, content_type, etag, object)"
        f" SELECT '{project_id}', '{folder}' || lpad(i::text, 5, '0') || '.txt', i, 'text/plain', 'e', 'none/' || i"
        f" FROM generate_series(1, {number}) i",
    )


def test_the_site_tab_says_who_deployed_which_file(api, project, browser, platform) -> None:
    project_id = project("Site")
    assert "No static files yet" in browser.get(f"/projects/{project_id}/site").text
    for name in ("index.html", ODD_NAME):
        assert api.put_file(project_id, name, "x").status_code == 201
    record_files(api, project_id, "'static', 'index.html', 'live'", "'storage', 'other.txt', 'live'")
    page = browser.get(f"/projects/{project_id}/site").text
    assert "&lt;ada&gt; (staging)" in page
    assert "&lt;m&gt;" in page
    assert f'href="/projects/{project_id}/deploys/d1"' in page
    assert page.count("not by a deploy") == 1
    site = api.get("/projects").json()["projects"]
    base = next(one["url"] for one in site if one["project_id"] == project_id)
    links = [
        html.unescape(link) for link in re.findall(r'<th scope="row" class="name"><a href="([^"]*)"', page)
    ]
    assert links[0] == f"{base}/index.html"
    assert api.site(project_id, links[1].removeprefix(base)).text == "x"

    many_files(platform, project_id, "static_file", 10_000)
    first = browser.get(f"/projects/{project_id}/site", params={"q": "F/0"}).text
    assert "Page 1 of 100, 9,999 files" in first
    assert 'href="?q=F%2F0&amp;page=2"' in first
    last = browser.get(f"/projects/{project_id}/site", params={"q": "F/0", "page": "100"}).text
    assert "f/09999.txt" in last
    assert 'rel="next"' not in last
    for page_number in ("0", "-1", "101", "x", "9" * 30):
        answer = browser.get(f"/projects/{project_id}/site", params={"q": "f/0", "page": page_number})
        assert (answer.status_code, "Page 1 of 100" in answer.text) == (200, True)
    assert "No file has this" in browser.get(f"/projects/{project_id}/site", params={"q": "%\0_"}).text


def test_hostile_tracking_tables_dont_break_the_tabs(api, project, browser) -> None:
    project_id = project("Hostile files")
    api.put_file(project_id, "index.html", "x")
    api.upload(project_id, "a.txt", b"x")
    api.sql(project_id, "CREATE SCHEMA mosaic_deploy; CREATE TABLE mosaic_deploy.objects (kind int)")
    site = browser.get(f"/projects/{project_id}/site")
    assert (site.status_code, "tracking tables can't be read" in site.text) == (200, True)
    file = browser.get(f"/projects/{project_id}/storage/file", params={"name": "a.txt"})
    assert "unknown whether a manifest deploys it" in file.text
    etag = re.findall(r"<dt>ETag</dt><dd><code>(\w+)", file.text)[0]
    refused = browser.post(f"/projects/{project_id}/storage/delete", data={"name": "a.txt", "etag": etag})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "storage_file_managed")


def test_storage_has_folders_previews_and_quota(api, project, browser, platform) -> None:
    project_id = project("Storage")
    base = f"/projects/{project_id}/storage"
    empty = browser.get(base).text
    assert "No files here yet." in empty
    for name, content in {
        ODD_NAME: b"<script>alert(1)</script>\0\xff", "images/a.png": b"png", "images/deep/b.svg": b"<svg/>",
        "c.pdf": b"%PDF", "d.bin": b"\0", "empty.txt": b"", "long.txt": b"x" * 70_000,
    }.items():  # fmt: skip
        assert api.upload(project_id, name, content).status_code == 200
    top = browser.get(base).text
    assert 'href="' + base + '?folder=images/"' in html.unescape(top).replace("%2F", "/")
    assert "a.png" not in top
    assert "of 20 GB" in top
    images = browser.get(base, params={"folder": "images"}).text
    assert ">a.png</a>" in images
    assert ">deep/</a>" in images
    assert "b.svg" not in images
    found = browser.get(base, params={"q": "B.SVG"}).text
    assert ">images/deep/b.svg</a>" in found

    def file_page(name: str) -> str:
        page = browser.get(f"{base}/file", params={"name": name})
        assert page.status_code == 200, name
        return page.text

    odd = file_page(ODD_NAME)
    assert "<script>alert" not in odd
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}" in odd
    url = html.unescape(re.findall(r'<dt>URL</dt><dd>\s*<a href="([^"]*)"', odd)[0])
    assert api.site(project_id, url[url.index("/storage/") :]).status_code == 200
    image = re.findall(r'<img class="preview" src="([^"]*)"', file_page("images/a.png"))[0]
    assert browser.get(image).content == b"png"
    pdf = browser.get(f"{base}/file", params={"name": "c.pdf"})
    assert "<iframe" in pdf.text
    assert f"frame-src 'self' http://{project_id}.localhost:" in pdf.headers["Content-Security-Policy"]
    assert f"{project_id}.localhost" not in browser.get(base).headers["Content-Security-Policy"]
    assert "Preview" not in file_page("d.bin")
    assert "The file is empty." in file_page("empty.txt")
    assert "The first 65,536 bytes" in file_page("long.txt")
    for name in ("none", "", "x\0", "../a"):
        assert browser.get(f"{base}/file", params={"name": name}).status_code == 404
    many_files(platform, project_id, "stored_file", 250, "many/")
    assert "Page 3 of 3, 250 files" in browser.get(base, params={"folder": "many/", "page": "3"}).text


def test_uploads_and_deletions_have_the_commands_rules(api, project, browser) -> None:
    """Managed files are refused, replacing and secrets are asked about, and a deletion is of what was shown."""
    project_id = project("Uploads")
    base = f"/projects/{project_id}/storage"

    def ask(name: object, size: object = 3, *confirmed: str) -> httpx.Response:
        body = {"filename": name, "size": size, "confirmed": list(confirmed)}
        return browser.post(f"{base}/upload", json=body)

    def send(name: str, content: bytes, *confirmed: str) -> None:
        asked = ask(name, len(content), *confirmed)
        assert browser.put(asked.json()["upload_url"], content=content).status_code == 200

    def etag(name: str) -> str:
        page = browser.get(f"{base}/file", params={"name": name}).text
        return re.findall(r"<dt>ETag</dt><dd><code>(\w+)", page)[0]

    send(ODD_NAME, b"one")
    assert api.site(project_id, f"/storage/{quote(ODD_NAME)}").text == "one"
    [question] = ask(ODD_NAME).json()["confirm"]
    assert (question["answer"], "exists (3 B)" in question["question"]) == (etag(ODD_NAME), True)
    assert "confirm" in ask(ODD_NAME, 3, "secret", "x").json()
    send(ODD_NAME, b"two", question["answer"])
    assert api.site(project_id, f"/storage/{quote(ODD_NAME)}").text == "two"
    # The answer was for the file of then.
    assert "confirm" in ask(ODD_NAME, 3, question["answer"]).json()
    for name in (".env", "a/.env.production", "prod.ENV", "keys/server.P12", "id_rsa"):
        assert [one["answer"] for one in ask(name).json()["confirm"]] == ["secret"], name
        assert "upload_url" in ask(name, 3, "secret").json()
    for name in (".env.example", "environment.txt", "id_rsa.pub"):
        assert "upload_url" in ask(name).json(), name
    for name, size in (("", 3), ("/a", 3), ("a/../b", 3), ("a\\b", 3), ("a", -1), ("a", "3"), (None, 3)):
        assert ask(name, size).status_code == 400, (name, size)
    assert ask("big", 30 * 10**9).json()["error"]["code"] == "storage_quota_exceeded"

    def delete(name: str, of: str, origin: str = api.root) -> httpx.Response:
        return browser.post(f"{base}/delete", data={"name": name, "etag": of}, headers={"Origin": origin})

    assert delete(ODD_NAME, etag(ODD_NAME), "http://evil.example").status_code == 403
    assert browser.post(f"{base}/upload", json={}, headers={"Origin": "null"}).status_code == 403
    assert (
        api.plain.post(f"{api.root}{base}/upload", json={}, headers={"Origin": api.root}).status_code == 401
    )
    assert delete(ODD_NAME, question["answer"]).json()["error"]["code"] == "file_changed"
    record_files(api, project_id, "'storage', 'managed.txt', 'live'", "'storage', 'kept.txt', 'kept'")
    for name in ("managed.txt", "kept.txt"):
        assert api.upload(project_id, name, b"x").status_code == 200
        assert delete(name, etag(name)).json()["error"]["code"] == "storage_file_managed"
        assert ask(name).json()["error"]["code"] == "storage_file_managed"
        page = browser.get(f"{base}/file", params={"name": name}).text
        assert f"storage rm {name} --managed" in page
        assert '<button class="danger">' not in page
    record_policy(api, project_id, '{"destructive": "confirm", "max_deletes": 0}')
    assert delete(ODD_NAME, etag(ODD_NAME)).json()["error"]["code"] == "policy_denied"
    record_policy(api, project_id, '{"destructive": "confirm", "max_deletes": 1}')
    deleted = delete(ODD_NAME, etag(ODD_NAME))
    assert (deleted.status_code, deleted.headers["Location"]) == (303, f"{base}?folder=%C3%B6+dir%2F")
    assert api.site(project_id, f"/storage/{quote(ODD_NAME)}").status_code == 404
    assert delete(ODD_NAME, "").status_code == 404


def test_connect_hides_the_password_until_asked(api, project, browser) -> None:
    project_id = project("Connect")
    found = api.get(f"/{project_id}/credentials").json()
    hidden = browser.get(f"/projects/{project_id}/connect").text
    assert found["password"] not in hidden
    shown = html.unescape(browser.get(f"/projects/{project_id}/connect", params={"reveal": "1"}).text)
    assert f"DATABASE_URL={found['database_url']}" in shown
    jdbc = re.findall(r"<code>(jdbc:[^<]*)", shown)[0]
    host, port, name, user, password = (
        found[one] for one in ("host", "port", "database", "user", "password")
    )
    assert jdbc == f"jdbc:postgresql://{host}:{port}/{name}?user={user}&password={password}"
    with psycopg.connect(found["database_url"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_connection_lines_keep_options_and_several_hosts() -> None:
    url = "postgresql://u:p@a:1,b:2/db?sslmode=require&target_session_attrs=read-write"
    lines = {one.id: one.text for one in snippets(url, "https://x")}
    assert lines["psql"].startswith("PGPASSWORD=p psql 'postgresql://u@a:1,b:2/db?sslmode=require&")
    assert lines["jdbc"] == (
        "jdbc:postgresql://a:1,b:2/db?user=u&password=p&sslmode=require&targetServerType=primary"
    )


def test_a_project_is_deleted_after_its_name_was_typed(api, project, browser) -> None:
    name = 'Del "<b>'
    project_id = project(name)
    api.put(f"/{project_id}/auth/settings", json={"note": "<i>"})
    page = browser.get(f"/projects/{project_id}/settings")
    assert "&lt;i&gt;" in page.text
    assert "of 20 GB" in page.text
    target = f"/projects/{project_id}/settings/delete"
    for typed in ("", "Del", name.lower()):
        refused = browser.post(target, data={"name": typed})
        assert (refused.status_code, "Nothing was deleted" in refused.text) == (400, True)
    assert browser.post(target, data={"name": name}, headers={"Origin": "null"}).status_code == 403
    for policy in ('{"destructive": "deny"}', '{"destructive": "allow", "protected_tables": ["t"]}'):
        record_policy(api, project_id, policy)
        assert browser.post(target, data={"name": name}).json()["error"]["code"] == "policy_denied"
    record_policy(api, project_id, '{"destructive": "confirm"}')
    assert browser.post(target, data={"name": f" {name} "}).headers["Location"] == "/"
    assert browser.get(f"/projects/{project_id}").status_code == 404


def test_the_smallest_recorded_limit_of_deletions_holds() -> None:
    policy = '{"destructive": "allow", "max_deletes": %s}'
    for values, most in ((("5", "2"), 2), (("null", "2"), 2), (("true", '"1"'), None)):
        record = ", ".join(f'"{number}": {policy % value}' for number, value in enumerate(values))
        assert parse_policy(f"{{{record}}}").max_deletes == most, values


def test_the_overview_names_projects_and_warns(api, project, browser, platform) -> None:
    project_id = project("Warned <i>")
    record_files(api, project_id, "'static', 'index.html', 'live'")
    api.post(f"/{project_id}/auth/magic-link", json={"email": "ada@example.com"})
    api.post("/tickets", json={"subject": "s", "message": "m", "project_id": project_id})
    api.upload(project_id, "a.bin", b"x" * 95)
    reason = "it held <locks>"
    in_control(
        platform,
        f"UPDATE project SET storage_limit = 100, suspended_for = '{reason}' WHERE id = '{project_id}'",
    )
    page = browser.get("/").text
    for text in ("last deploy failed", "storage: 95 B of 100 B used"):
        assert text in page, text
    assert page.count("Warned &lt;i&gt;</a>") >= 4
    in_control(
        platform, f"UPDATE project SET suspended_until = now() + interval '1 h' WHERE id = '{project_id}'"
    )
    assert "database suspended: it held &lt;locks&gt;" in browser.get("/").text
    assert "Warned &lt;i&gt;</a>" in browser.get("/inbox").text
    assert "Warned &lt;i&gt;</a>" in browser.get("/requests").text


def test_errors_are_pages_for_browsers_and_json_for_programs(api, project, browser) -> None:
    navigation = {"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Mode": "navigate"}
    for path, status in (
        ("/nowhere", 404),
        ("/projects/none-xyz", 404),
        ("/inbox/x", 404),
        ("/upload/a/b", 405),
    ):
        page = browser.get(path, headers=navigation)
        assert (page.status_code, page.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
        assert page.headers["X-Request-Id"] in page.text
        assert "<h1>" in page.text
        assert browser.get(path).json()["error"]["code"]
        fetched = browser.get(path, headers={**navigation, "Sec-Fetch-Mode": "cors"})
        assert fetched.json()["success"] is False
    assert "&lt;b&gt;" in browser.get("/projects/<b>", headers=navigation).text
    assert page.headers["Allow"] == "PUT"
    for path in ("/v1/project/projects", "/v1/project/none"):
        assert api.plain.get(api.root + path, headers=navigation).json()["success"] is False
    other = browser.get("/", headers={**navigation, "Host": "evil.example"})
    assert other.json()["error"]["code"] == "host_not_served"
    missing = api.site(project("No page"), "/none", headers=navigation)
    assert (missing.status_code, "<style>" in missing.text) == (404, True)
    icon = api.plain.get(api.root + "/favicon.ico")
    assert (icon.status_code, icon.headers["Content-Type"]) == (200, "image/svg+xml")
