"""`dev` with a real browser: pages reload on edits and show errors."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from browser import find_chromium, opened_browser

from mosaic_deploy.live.api.transport import loopback_target
from tests.cli.watch.test_watch_loop import get, site, watching  # noqa: F401 - a fixture

needs_browser = pytest.mark.skipif(find_chromium() is None, reason="no Chromium: apt-get install chromium")
OVERLAY = "(document.querySelector('#mosaic-dev-overlay') || {shadowRoot: {textContent: ''}}).shadowRoot.textContent"


INSIDE = "document.querySelector('#mosaic-dev-overlay').shadowRoot"


@pytest.fixture
def page_folder(folder: Path) -> Path:
    (folder / "public/style.css").write_text("h1 { color: rgb(1, 2, 3) }")
    (folder / "public/index.html").write_text(
        "<!doctype html><link rel=stylesheet href=/style.css><h1>one</h1>"
    )
    return folder


@needs_browser
def test_pages_reload_on_edits_and_show_errors(page_folder: Path, run, watching) -> None:  # noqa: F811
    dev = watching(command="dev", env={"MOSAIC_EDITOR": "code"})
    dev.until("Watching public, sql")
    url = site(run)
    with opened_browser() as page:
        page.go(url + "/")
        page.wait_for("window.__mosaicDev === true")
        page.value("window.sameAsBefore = true")

        (page_folder / "public/style.css").write_text("h1 { color: rgb(4, 5, 6) }")
        page.wait_for("getComputedStyle(document.querySelector('h1')).color === 'rgb(4, 5, 6)'")
        page.wait_for("document.querySelectorAll('link').length === 1")
        assert page.value("window.sameAsBefore") is True

        (page_folder / "public/index.html").write_text("<!doctype html><h1>two</h1>")
        page.wait_for("document.querySelector('h1').innerText === 'two'")
        assert page.value("window.sameAsBefore === undefined") is True

        manifest = (page_folder / "mosaic.yaml").read_text()
        (page_folder / "mosaic.yaml").write_text(manifest + "static: [")
        page.wait_for(f"{OVERLAY}.includes('mosaic.yaml:')")
        (page_folder / "mosaic.yaml").write_text(manifest)
        page.wait_for(f"{OVERLAY} === ''")

        (page_folder / "sql/2_bad.sql").write_text("create table u (id nonsense);")
        page.wait_for(f"{OVERLAY}.includes('sql/2_bad.sql:1:')")
        assert page.value(f"{INSIDE}.querySelector('h1').textContent") == "This can't be deployed"
        link = page.value(f"{INSIDE}.querySelector('a').href")
        assert link.startswith(f"vscode://file{page_folder}/sql/2_bad.sql:1:")
        assert page.value(f"getComputedStyle({INSIDE}.querySelector('.caret')).color") == "rgb(255, 128, 128)"
        for kind in ("keyDown", "keyUp"):
            page.call("Input.dispatchKeyEvent", type=kind, key="Escape", code="Escape")
        page.wait_for(f"{OVERLAY} === ''")
        (page_folder / "sql/2_bad.sql").unlink()
        dev.until("fixed; everything is deployed")

        # A draft's error leaves the page usable.
        (page_folder / "sql/draft.sql").write_text("create table u (id nonsense);")
        page.wait_for(f"{OVERLAY}.includes('The draft')")
        assert page.value(f"{INSIDE}.querySelector('.frame')") is None
        assert page.value(f"{INSIDE}.querySelector('.notice').offsetHeight < innerHeight / 2") is True
        page.value(f"{INSIDE}.querySelector('button').click()")
        page.wait_for(f"{OVERLAY}.includes('sql/draft.sql:1:')")
        assert page.value(f"{INSIDE}.querySelector('.frame') !== null") is True
        (page_folder / "sql/draft.sql").unlink()
        page.wait_for(f"{OVERLAY} === ''")
        assert [each for each in page.console_errors() if "favicon.ico" not in each] == []
    assert dev.end() == 130
    assert "__mosaic" not in get(url + "/")


def test_an_email_is_a_line_with_its_link(page_folder: Path, run, platform, watching) -> None:  # noqa: F811
    dev = watching("-o", "ndjson", command="dev")
    project = json.loads(dev.until('"type":"watching"'))["project"]
    (page_folder / "public/index.html").write_text("<h1>a page")
    dev.until('"type":"live"')
    # The session has begun once pages get the script.
    target, headers = loopback_target(
        f"{platform.url.replace('127.0.0.1', f'{project}.localhost')}/__mosaic_dev/client.js"
    )
    deadline = time.monotonic() + 30
    while httpx.get(target, headers=headers).status_code != 200:
        assert time.monotonic() < deadline
    asked = f"{platform.url}/v1/project/{project}/auth/magic-link"
    key = {"X-API-Key": platform.api_key}
    assert httpx.post(asked, headers=key, json={"email": "ada@example.com"}).status_code == 200
    mail = json.loads(dev.until('"type":"email"'))
    assert mail["to"] == "ada@example.com"
    assert mail["link"].startswith("http")


def test_a_failed_first_plan_is_shown_and_the_next_save_deploys(page_folder: Path, run, watching) -> None:  # noqa: F811
    (page_folder / "sql/1_t.sql").write_text("create table t (id int")
    dev = watching(command="dev")
    dev.until_all("error[migration_invalid]", "Watching")
    (page_folder / "sql/1_t.sql").write_text("create table t (id int);")
    dev.until("public/index.html → live in")
    dev.until("fixed; everything is deployed")
    assert "<h1>one" in get(site(run) + "/")


def test_the_site_opens_once_and_has_the_script(
    page_folder: Path,
    run,
    tmp_path,
    watching,  # noqa: F811
) -> None:
    """The browser is a script that fetches the page and keeps it."""
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(
        f"#!{sys.executable}\n"
        "import sys, httpx\n"
        "from mosaic_deploy.live.api.transport import loopback_target\n"
        "target, headers = loopback_target(sys.argv[1])\n"
        "page = httpx.get(target, headers={**headers, 'Accept': 'text/html'}).text\n"
        f"with open({str(opened)!r}, 'a') as file:\n"
        "    file.write(sys.argv[1] + ' ' + page.replace('\\n', ' ') + '\\n')\n"
    )
    browser.chmod(0o755)
    # click prefers xdg-open, so PATH has none.
    env = {"BROWSER": f"{browser} %s", "PATH": str(tmp_path)}
    dev = watching("--open", command="dev", env=env)
    dev.until("Watching")
    (page_folder / "public/style.css").write_text("h1 { color: red }")
    dev.until("public/style.css → live in")
    wait_until(lambda: opened.is_file() and opened.read_text().endswith("\n"))
    assert dev.end() == 130
    [line] = opened.read_text().splitlines()
    address, _, page = line.partition(" ")
    assert address == site(run)
    assert "__mosaic_dev/client.js" in page


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
