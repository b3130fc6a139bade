"""Makes docs/dashboard.png and docs/inbox.png with an embedded platform and Chromium.

Run `.venv/bin/python docs/screenshots.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "tests"))

from browser import opened_browser  # noqa: E402
from started_platform import run_platform  # noqa: E402


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        try:
            _shoot(home)
        finally:
            run_platform(home, "reset")


def _shoot(home: Path) -> None:
    program = Path(sys.executable).with_name("mosaic-deploy")
    environment = {**os.environ, "MOSAIC_HOME": str(home)}
    apply = [str(program), "apply", "--local", "--yes", str(DOCS.parent / "examples" / "todo")]
    subprocess.run(apply, env=environment, check=True, stdout=subprocess.DEVNULL)
    platform = run_platform(home, "start")
    root = platform["url"]
    with httpx.Client(base_url=f"{root}/v1/project", headers={"X-API-Key": platform["api_key"]}) as api:
        project_id = api.get("/projects").json()["projects"][0]["project_id"]
        for who in ("grace@example.com", "ada@example.com"):
            body = {"email": who, "redirect_url": "/signed-in"}
            api.post(f"/{project_id}/auth/magic-link", json=body).raise_for_status()
        ticket = {"subject": "A longer name for my project", "message": "Please.", "project_id": project_id}
        api.post("/tickets", json=ticket).raise_for_status()
        with opened_browser() as page:
            page.go(run_platform(home, "open")["url"], lands_on=root + "/")
            page.wait_for("document.querySelector('details') !== null")
            page.value("document.querySelector('details').open = true")
            page.screenshot(DOCS / "dashboard.png", height=1250)
            email_id = api.get(f"{root}/inbox.json").json()["emails"][0]["id"]
            page.go(f"{root}/inbox/{email_id}")
            page.screenshot(DOCS / "inbox.png", height=900)


if __name__ == "__main__":
    main()
