"""Makes docs/pull-request.png: the comment that `ci plan` writes, rendered as on GitHub.

Run `python docs/pull_request.py`; it needs chromium and uses an embedded platform.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from markdown_it import MarkdownIt

HERE = Path(__file__).parent
_STYLE = """
body { font: 14px/1.5 system-ui, sans-serif; margin: 16px; width: 830px; color: #1f2328; background: #fff }
pre { background: #f6f8fa; padding: 12px 16px; border-radius: 6px; overflow: hidden; font-size: 12px }
h3 { margin: 0 0 12px } summary { cursor: pointer } sub { color: #59636e }
.add { background: #dafbe1 } .del { background: #ffebe9 } .mod { background: #fff8c5 }
"""
_MARKS = {"+": "add", "-": "del", "!": "mod"}


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        page = Path(scratch) / "page.html"
        page.write_text(_page(_comment(Path(scratch))), encoding="utf-8")
        _shoot(page, HERE / "pull-request.png")


def _comment(scratch: Path) -> str:
    """The comment on three edits of the todo app."""
    project = scratch / "todo"
    shutil.copytree(HERE.parent / "examples" / "todo", project)
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("MOSAIC_", "GITHUB_"))},
        "MOSAIC_HOME": str(scratch / "home"),
    }
    run = [sys.executable, "-m", "mosaic_deploy"]
    subprocess.run([*run, "apply", "--local", "--yes", str(project)], env=environ, check=True)
    try:
        (project / "public/style.css").write_text("body { color: navy }\n")
        (project / "public/about.html").write_text("<h1>About</h1>\n")
        (project / "migrations/0004_due.sql").write_text(
            "ALTER TABLE todos ADD COLUMN due_on date;\n"
            "CREATE INDEX todos_due_on ON todos (due_on);\n"
            "ALTER TABLE people DROP COLUMN joined_at;\n"
        )
        page = scratch / "summary"
        github = {"GITHUB_STEP_SUMMARY": str(page), "GITHUB_SHA": "3f1c2d9a7b5e4860"}
        subprocess.run([*run, "ci", "plan", "--local", str(project)], env={**environ, **github}, check=True)
        return page.read_text(encoding="utf-8")
    finally:
        subprocess.run([*run, "local", "stop"], env=environ, check=True)


def _page(markdown: str) -> str:
    body = MarkdownIt("commonmark", {"html": True}).render(markdown)
    marked = "\n".join(
        f'<span class="{_MARKS[line[0]]}">{line}</span>' if line[:1] in _MARKS else line
        for line in body.replace("<details>", "<details open>").splitlines()
    )
    return f"<!doctype html><meta charset=utf-8><style>{_STYLE}</style>{marked}"


def _shoot(page: Path, picture: Path) -> None:
    command = [
        "chromium",
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *(f"--user-data-dir={page.parent / 'browser'}", "--hide-scrollbars"),
        *("--window-size=880,600", f"--screenshot={picture}", page.as_uri()),
    ]
    subprocess.run(command, check=True, timeout=120, capture_output=True)


if __name__ == "__main__":
    main()
