"""Makes docs/todo.png: the todo example, its backend and its database under `mosaic-deploy dev`, after a sign-in.

Run `.venv/bin/python docs/todo_picture.py`; it uses its own embedded platform, and port 3001.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "tests"))

from browser import Page, opened_browser  # noqa: E402
from started_platform import run_platform  # noqa: E402


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home, project = Path(folder) / "home", Path(folder) / "todo"
        shutil.copytree(DOCS.parent / "examples/todo", project, ignore=shutil.ignore_patterns(".venv"))
        # This Python has the packages that the example would install.
        (project / ".venv").symlink_to(sys.prefix)
        command = [sys.executable, "-m", "mosaic_deploy", "dev", str(project)]
        environment = {**os.environ, "MOSAIC_HOME": str(home), "PYTHONUNBUFFERED": "1"}
        dev = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            assert dev.stdout
            with opened_browser() as page:
                _shoot(page, dev.stdout)
        finally:
            dev.terminate()
            dev.wait(30)
            run_platform(home, "reset")


def _shoot(page: Page, lines: Iterator[str]) -> None:
    url = next(line.strip() for line in lines if line.startswith("http"))
    next(line for line in lines if line.startswith("Watching"))
    page.go(f"{url}/")
    page.wait_for("fetch('http://' + location.hostname + ':3001/todos').then(() => true, () => false)")
    page.go(f"{url}/")
    page.wait_for("!document.querySelector('#sign-in').hidden")
    page.value("document.querySelector('#sign-in input').value = 'ada@example.com'")
    page.value("document.querySelector('#sign-in').requestSubmit()")
    link = next(line.split()[-1] for line in lines if "email to" in line)
    page.go(link, lands_on=f"{url}/signed-in")
    page.wait_for("!document.querySelector('#confirm').hidden")
    page.value("document.querySelector('#confirm').click()")
    page.wait_for("document.querySelectorAll('li').length === 2")
    page.value("document.querySelector('li input').click()")
    page.wait_for("document.querySelectorAll('li.done').length === 1")
    page.screenshot(DOCS / "todo.png", height=640)


if __name__ == "__main__":
    main()
