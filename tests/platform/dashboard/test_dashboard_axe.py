"""Every page of the dashboard in Chromium: axe finds nothing, a phone's width is enough, and uploads work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Page, find_chromium, opened_browser

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium: apt-get install chromium")

AXE = Path(__file__).parents[2] / "vendor" / "axe.min.js"
PROJECT_PAGES = (
    "", "/tables", "/tables/rows?schema=public&table=todos", "/sql", "/schema", "/site", "/storage", "/storage/file?name=a.txt", "/storage/file?name=b.pdf", "/emails",
    "/sign-ins", "/deploys", "/deploys/d1", "/requests", "/connect", "/connect?reveal=1", "/settings",
)  # fmt: skip
_RUN = """axe.run(document, {iframes: false, ONLY resultTypes: ['violations']}).then(found => found.violations.map(
  one => one.id + ': ' + one.help + ': ' + one.nodes.slice(0, 3).map(node => node.html.slice(0, 200)).join(' | ')))"""


@pytest.fixture
def dashboard(api) -> Iterator[Page]:
    with opened_browser() as page:
        page.go(api.post(api.root + "/open").json()["url"], lands_on=api.root + "/")
        yield page


def fill(api, project_id: str) -> None:
    long_name = "folder/" + "a-long-name-" * 12 + ".html"
    for name in ("index.html", long_name):
        api.put_file(project_id, name, "x")
    for name in ("a.txt", "b.pdf", long_name, *(f"c{number}.png" for number in range(3))):
        api.upload(project_id, name, b"x")
    api.post(f"/{project_id}/auth/magic-link", json={"email": f"{'ada' * 15}@example.com"})
    api.post("/tickets", json={"subject": "s" * 100, "message": "m" * 300, "project_id": project_id})
    report = json.dumps(
        {"done": ["static:index.html"], "commit": "abc", "dirty": False, "error": {"message": "e" * 200}}
    )
    api.sql(
        project_id,
        "CREATE TABLE todos (id int PRIMARY KEY, title text); INSERT INTO todos VALUES (1, 'a'); CREATE SCHEMA mosaic_deploy;"
        " CREATE TABLE mosaic_deploy.deploys (id text, status text, holder text, environment text, report jsonb,"
        " started_at timestamptz, finished_at timestamptz);"
        f" INSERT INTO mosaic_deploy.deploys VALUES ('d1', 'done', 'ada', 'staging', '{report}', now(), now()),"
        f" ('d2', 'failed', 'ada', NULL, '{report}', now(), now()), ('d3', 'running', 'ada', NULL, NULL, now(), NULL)",
    )


def test_axe_finds_nothing_and_a_phone_is_wide_enough(api, project, dashboard) -> None:
    project_id = project(
        "A project whose name is rather long, as names may have up to a hundred characters, all of them"
    )
    fill(api, project_id)
    email = api.get(f"{api.root}/inbox.json").json()["emails"][0]["id"]
    ticket = api.get("/tickets").json()["tickets"][0]["ticket_id"]
    pages = ["/", "/inbox", f"/inbox/{email}", "/requests", f"/tickets/{ticket}", "/key", "/nowhere"]
    pages += [f"/projects/{project_id}{path}" for path in PROJECT_PAGES]
    dashboard.call("Page.addScriptToEvaluateOnNewDocument", source=AXE.read_text("utf-8"), worldName="axe")
    size = {"width": 360, "height": 700, "deviceScaleFactor": 1, "mobile": True}
    dashboard.call("Emulation.setDeviceMetricsOverride", **size)
    found: dict[str, object] = {}
    for number, path in enumerate(pages):
        scheme = "dark" if number % 2 else "light"
        emulate(dashboard, scheme)
        dashboard.go(api.root + path)
        width = dashboard.value("document.documentElement.scrollWidth")
        problems = run_axe(dashboard)
        emulate(dashboard, "light" if number % 2 else "dark")
        # The colours are what a scheme changes.
        problems += run_axe(dashboard, "color-contrast")
        if width > 360:
            problems.append(f"{width} pixels wide")
        if problems:
            found[path] = problems
    assert found == {}, json.dumps(found, indent=1)


def emulate(page: Page, scheme: str) -> None:
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])


def run_axe(page: Page, rule: str = "") -> list[str]:
    """What axe finds, with one rule or all. It runs in a world of its own, where the page's policy doesn't hold."""
    frame = page.call("Page.getFrameTree")["frameTree"]["frame"]["id"]
    world = page.call("Page.createIsolatedWorld", frameId=frame, worldName="axe")["executionContextId"]
    only = f"runOnly: [{rule!r}]," if rule else ""
    script = {
        "expression": _RUN.replace("ONLY", only),
        "contextId": world,
        "awaitPromise": True,
        "returnByValue": True,
    }
    answer = page.call("Runtime.evaluate", **script)
    assert "exceptionDetails" not in answer, answer
    problems: list[str] = answer["result"]["value"]
    return problems


def test_files_are_uploaded_and_deleted_in_a_browser(api, project, dashboard, tmp_path) -> None:
    project_id = project("Uploading")
    base = f"{api.root}/projects/{project_id}/storage"
    file = tmp_path / "ö #1.txt"
    file.write_text("hello")
    for content, asked in (("hello", 0), ("again", 1)):
        file.write_text(content)
        dashboard.go(base)
        dashboard.value("window.confirm = question => { window.name += '?'; return true; }; window.name = ''")
        choose_file(dashboard, file)
        dashboard.value("document.querySelector('#into').value = '/in/'")
        dashboard.value("document.querySelector('[data-upload] button').click()")
        dashboard.wait_for_load(f"{base}?folder=in%2F")
        assert dashboard.value("window.name.length") == asked
        assert api.site(project_id, "/storage/in/%C3%B6%20%231.txt").text == content
    dashboard.value("document.querySelector('th a').click()")
    dashboard.wait_for("location.pathname.endsWith('/file') && document.readyState === 'complete'")
    assert "again" in dashboard.text()
    dashboard.value("document.querySelector('#delete summary').click()")
    dashboard.value("document.querySelector('#delete button').click()")
    dashboard.wait_for_load(f"{base}?folder=in%2F")
    assert api.get(f"/{project_id}/storage").json()["files"] == []
    assert dashboard.console_errors() == []


def choose_file(page: Page, file: Path) -> None:
    root = page.call("DOM.getDocument")["root"]["nodeId"]
    field = page.call("DOM.querySelector", nodeId=root, selector="#files")["nodeId"]
    page.call("DOM.setFileInputFiles", nodeId=field, files=[str(file)])
