"""examples/uploads: visitors' files go through its backend into storage."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

import httpx
import pytest

from mosaic_deploy.live.api.transport import loopback_target
from mosaic_deploy.platform.machine.ports import free_port
from tests.cli.watch.test_watch_loop import watching  # noqa: F401 - a fixture
from tests.docs_markdown import ROOT

_PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 100


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    skip = shutil.ignore_patterns(".venv", "__pycache__")
    folder = Path(shutil.copytree(ROOT / "examples/uploads", tmp_path / "uploads", ignore=skip))
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def test_visitors_upload_pictures(folder: Path, run, watching) -> None:  # noqa: F811
    port = free_port()
    dev = watching("-o", "ndjson", command="dev", env={"PORT": str(port)})
    site = json.loads(dev.until('"type":"watching"'))["url"]
    pictures = f"http://127.0.0.1:{port}/pictures"
    deadline = time.monotonic() + 60
    while not answers(pictures):
        assert time.monotonic() < deadline, dev.output
        time.sleep(0.05)

    def upload(content: bytes, title: str = "A cat", origin: str = site) -> int:
        headers = {"Origin": origin}
        return httpx.post(pictures, params={"title": title}, content=content, headers=headers).status_code

    assert upload(_PNG) == 201
    assert upload(_PNG, origin="http://other.localhost:8787") == 403
    assert upload(b"<script>alert(1)</script>") == 415
    assert upload(_PNG, title="") == 400
    assert upload(_PNG + b"x" * 5_000_000) == 413
    [picture] = httpx.get(pictures, headers={"Origin": site}).json()
    assert picture["title"] == "A cat"
    target, headers = loopback_target(f"{site}/storage/{picture['filename']}")
    stored = httpx.get(target, headers=headers)
    assert (stored.content, stored.headers["Content-Type"]) == (_PNG, "image/png")
    listed = json.loads(run("storage", "ls", "--local", "-o", "json", "visitors/", cwd=folder).stdout)
    assert picture["filename"] in json.dumps(listed)
    # Deploys leave it alone.
    assert "No changes." in run("apply", "--local", "--yes", cwd=folder).stdout
    assert dev.end() == 130


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False
