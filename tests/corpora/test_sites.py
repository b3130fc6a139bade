"""Real sites through `mosaic-deploy apply`: what comes back over HTTP is what is on disk, a second plan is empty.

The sites are looked for in `$MOSAIC_TEST_SITES`, else in `sites/` beside the corpora, a folder each; what isn't
there is skipped. They come from the registries: PyPI `streamlit` (its `static`; `.ci/run` gets this one), npm
`gentelella`, npm `cesium` (its `Build`), PyPI `home-assistant-frontend` (its `hass_frontend`), Debian
`postgresql-doc-15`.
"""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from mosaic_deploy.live.api.transport import loopback_target
from tests.cli.conftest import Run, environment, run, warm_program  # noqa: F401 - fixtures
from tests.corpora.conftest import FOLDER

SITES = Path(os.environ.get("MOSAIC_TEST_SITES") or FOLDER / "sites")
pytestmark = pytest.mark.timeout(1800)

SERVED = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".ico": "image/x-icon",
    ".webp": "image/webp",
}
STORED = {
    ".map": "application/json; charset=utf-8",
    ".webmanifest": "application/manifest+json; charset=utf-8",
    ".xml": "application/xml; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".cjs": "text/javascript; charset=utf-8",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
    ".gz": "application/gzip",
}
MANIFEST = """\
version: 1
project: {{name: {name}}}
static:
  dir: site
  include: {served}
storage:
  dir: site
  exclude: {served}
"""


@pytest.mark.parametrize("name", ["streamlit", "gentelella", "cesium", "postgresql-doc", "home-assistant"])
def test_a_real_site(name: str, run: Run, tmp_path: Path, record_property) -> None:  # noqa: F811
    if not (SITES / name).is_dir():
        pytest.skip(f"{SITES / name} isn't there")
    shutil.copytree(SITES / name, tmp_path / "site")
    served = json.dumps([pattern for suffix in SERVED for pattern in (f"*{suffix}", f"*{suffix.upper()}")])
    (tmp_path / "mosaic.yaml").write_text(MANIFEST.format(name=f"real {name}", served=served))
    applied = run("apply", "--local", "--yes", "--output", "json", timeout=1500)
    assert applied.returncode == 0, applied.stdout + applied.stderr
    document = json.loads(applied.stdout)
    again = run("plan", "--local", "--detailed-exitcode")
    assert again.returncode == 0, again.stdout
    files = [path for path in (tmp_path / "site").rglob("*") if path.is_file()]
    for key in ("seconds", "requests", "bytes_sent"):
        record_property(key, document[key])
    record_property("files", len(files))
    assert len(document["done"]) >= len(files)
    with httpx.Client(timeout=60) as client, ThreadPoolExecutor(4) as pool:
        url = document["project"]["url"]
        wrong = [
            found for found in pool.map(lambda path: mistake(client, url, tmp_path, path), files) if found
        ]
    assert wrong == []


def mistake(client: httpx.Client, site: str, root: Path, path: Path) -> str | None:
    """What is wrong with a file as a reader gets it."""
    name, suffix = path.relative_to(root / "site").as_posix(), path.suffix.lower()
    served = suffix in SERVED
    url, headers = loopback_target(f"{site}{'' if served else '/storage'}/{quote(name)}")
    answer = client.get(url, headers={**headers, "Accept-Encoding": "identity"})
    wanted = SERVED[suffix] if served else STORED.get(suffix, "application/octet-stream")
    if answer.status_code != 200 or answer.headers["content-type"] != wanted:
        return f"{name}: {answer.status_code} {answer.headers.get('content-type')}"
    return None if answer.content == path.read_bytes() else f"{name}: other bytes"
