"""Makes docs/dashboard.png, docs/dashboard-phone.png and docs/inbox.png with an embedded platform and Chromium.

Run `.venv/bin/python docs/screenshots.py`. With a folder as its argument, it puts pictures of all the dashboard's pages there
instead, 1280 and 390 pixels wide, light and dark.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

DOCS = Path(__file__).resolve().parent
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="80" height="80"><circle cx="40" cy="40" r="36" fill="teal"/></svg>'
sys.path.insert(0, str(DOCS.parent / "tests"))

from browser import Page, opened_browser  # noqa: E402
from started_platform import run_platform  # noqa: E402

PHONE, DESKTOP = 390, 1280
PROJECT_PAGES = (
    "", "sql", "schema", "site", "storage", "storage/file?name=guide.txt", "emails", "sign-ins", "deploys", "requests",
    "connect", "settings",
)  # fmt: skip


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        try:
            _shoot(home, Path(sys.argv[1]) if len(sys.argv) > 1 else None)
        finally:
            run_platform(home, "reset")


def _shoot(home: Path, all_pages: Path | None) -> None:
    program = Path(sys.executable).with_name("mosaic-deploy")
    environment = {**os.environ, "MOSAIC_HOME": str(home)}
    apply = [str(program), "apply", "--local", "--yes", str(DOCS.parent / "examples" / "todo")]
    subprocess.run(apply, env=environment, check=True, stdout=subprocess.DEVNULL)
    platform = run_platform(home, "start")
    root = platform["url"]
    with httpx.Client(base_url=f"{root}/v1/project", headers={"X-API-Key": platform["api_key"]}) as api:
        project_id = api.get("/projects").json()["projects"][0]["project_id"]
        _fill(api, project_id)
        email = f"{root}/inbox/{api.get(f'{root}/inbox.json').json()['emails'][0]['id']}"
        with opened_browser() as page:
            page.go(run_platform(home, "open")["url"], lands_on=root + "/")
            project = f"{root}/projects/{project_id}"
            if all_pages:
                urls = {f"project-{path.partition('?')[0].replace('/', '-') or 'overview'}": f"{project}/{path}".rstrip("/")
                        for path in PROJECT_PAGES}  # fmt: skip
                others = {
                    "overview": f"{root}/",
                    "inbox": f"{root}/inbox",
                    "key": f"{root}/key",
                    "error": f"{root}/none",
                }
                _shoot_all(page, {**others, **urls}, all_pages)
                return
            _shoot_for_docs(page, root, f"{project}/storage/file?name=guide.txt", email)


def _fill(api: httpx.Client, project_id: str) -> None:
    for who in ("grace@example.com", "ada@example.com"):
        body = {"email": who, "redirect_url": "/signed-in"}
        api.post(f"/{project_id}/auth/magic-link", json=body).raise_for_status()
    ticket = {"subject": "A longer name for my project", "message": "Please.", "project_id": project_id}
    api.post("/tickets", json=ticket).raise_for_status()
    for name, content in (
        ("guide.txt", b"Getting started\n\n1. Write a todo.\n2. Do it.\n"),
        ("images/a.svg", SVG),
    ):
        body = {"filename": name, "size": len(content)}
        url = api.post(f"/{project_id}/storage/upload", json=body).raise_for_status().json()["upload_url"]
        httpx.put(url, content=content).raise_for_status()


def _shoot_for_docs(page: Page, root: str, file: str, email: str) -> None:
    """Few pictures: the repository keeps them."""
    _emulate(page, DESKTOP, "light")
    page.go(f"{root}/")
    page.value("document.querySelector('details').open = true")
    page.screenshot(DOCS / "dashboard.png", height=1250, width=DESKTOP)
    page.go(email)
    page.screenshot(DOCS / "inbox.png", height=900, width=DESKTOP)
    _emulate(page, PHONE, "dark")
    page.go(file)
    page.screenshot(DOCS / "dashboard-phone.png", height=844, width=PHONE)


def _shoot_all(page: Page, urls: dict[str, str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for width in (PHONE, DESKTOP):
        for scheme in ("light", "dark"):
            _emulate(page, width, scheme)
            for name, url in urls.items():
                page.go(url)
                height = min(4000, int(page.value("document.documentElement.scrollHeight")))
                page.screenshot(folder / f"{name}-{width}-{scheme}.png", height=height, width=width)


def _emulate(page: Page, width: int, scheme: str) -> None:
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width == PHONE}
    page.call("Emulation.setDeviceMetricsOverride", **size)
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])


if __name__ == "__main__":
    main()
