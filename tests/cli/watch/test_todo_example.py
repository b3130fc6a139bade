"""examples/todo in a browser: the page, its backend, which `dev` runs, and the database."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import httpx
import pytest
from browser import find_chromium, opened_browser

from mosaic_deploy.platform.machine.ports import free_port
from tests.cli.watch.test_watch_loop import site, watching  # noqa: F401 - a fixture
from tests.docs_markdown import ROOT

needs_browser = pytest.mark.skipif(find_chromium() is None, reason="no Chromium: apt-get install chromium")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The example, with this Python's packages in place of those that it would install."""
    skip = shutil.ignore_patterns(".venv", "__pycache__")
    folder = Path(shutil.copytree(ROOT / "examples/todo", tmp_path / "todo", ignore=skip))
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def enter(page, form: str, value: str) -> None:
    page.value(f"document.querySelector('{form} input').value = {json.dumps(value)}")
    page.value(f"document.querySelector('{form}').requestSubmit()")


def says(page, text: str) -> None:
    page.wait_for(f"document.querySelector('#who').innerText.includes({json.dumps(text)})")


@needs_browser
def test_people_sign_in_and_keep_their_own_tasks(folder: Path, run, watching) -> None:  # noqa: F811
    port = free_port()
    script = folder / "public/backend.js"
    script.write_text(script.read_text().replace(":3001", f":{port}"))
    dev = watching(command="dev", env={"PORT": str(port)})
    dev.until("Watching public, assets, migrations")
    url = json.loads(run("status", "--local", "-o", "json", cwd=folder).stdout)["project"]["url"]
    with opened_browser() as page:
        page.go(f"{url}/")
        page.wait_for("document.querySelector('#who').innerText !== 'Loading…'")
        if "can't be reached" in page.text():  # the backend is still starting
            page.wait_for(
                f"fetch('http://' + location.hostname + ':{port}/todos').then(() => true, () => false)"
            )
            page.go(f"{url}/")
        says(page, "Sign in with a magic link.")
        enter(page, "#sign-in", "Grace@example.com")
        link = dev.until("email to grace@example.com").split()[-1]

        page.go(link, lands_on=f"{url}/signed-in")
        says(page, "The link is for grace@example.com.")
        page.go(link, lands_on=f"{url}/signed-in")  # opening it doesn't use it up
        page.value("document.querySelector('#confirm').click()")
        page.wait_for_load(f"{url}/")
        says(page, "Signed in as grace@example.com")
        assert page.value("document.cookie") == ""
        assert page.value("document.querySelectorAll('li').length") == 0  # Ada's tasks are hers

        enter(page, "#add", "<b>Sleep</b>")
        page.wait_for("document.querySelector('li')?.innerText === '<b>Sleep</b>'")
        page.value("document.querySelector('li input').click()")
        page.wait_for("!!document.querySelector('li.done')")
        query = "SELECT email, task, finished_at IS NOT NULL AS finished FROM todos JOIN people p ON p.id = owner_id WHERE done"
        rows = json.loads(run("sql", "--local", "-o", "json", query, cwd=folder).stdout)["rows"]
        assert rows == [{"email": "grace@example.com", "task": "<b>Sleep</b>", "finished": True}]
        page.go(f"{url}/")
        page.wait_for("!!document.querySelector('li.done')")

        page.go(link, lands_on=f"{url}/signed-in")
        page.value("document.querySelector('#confirm').click()")
        says(page, "Sign-in failed: this magic link was already used")
        page.go(f"{url}/")
        page.wait_for("!!document.querySelector('li.done')")
        page.value("document.querySelector('#sign-out').click()")
        page.wait_for("!document.querySelector('#sign-in').hidden && document.querySelector('#todos').hidden")

    backend = f"http://127.0.0.1:{port}"
    assert httpx.get(f"{backend}/todos").status_code == 401
    for headers in ({}, {"Origin": "http://other.localhost:8787"}):
        assert httpx.post(f"{backend}/auth/sign-out", headers=headers).status_code == 403
    assert httpx.post(f"{backend}/todos", headers={"Origin": url}, json={"task": "x"}).status_code == 401
    assert dev.end() == 130
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{backend}/todos")
