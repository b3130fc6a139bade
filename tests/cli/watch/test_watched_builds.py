"""`watch` with a build, as a process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.watch.test_watch_loop import get, site, watching  # noqa: F401 - a fixture

BUILD = "set -e; echo x >>count.log; mkdir -p dist; cat src/* more/* >dist/index.html 2>/dev/null || [ -e dist/index.html ]\n"


@pytest.fixture
def builds(folder: Path):
    """The number of builds so far of the test's project, which is built from now on."""
    manifest = (folder / "mosaic.yaml").read_text()
    assert "static:\n  dir: public\n" in manifest
    built = "build: {command: sh build.sh, output: dist}\nstatic: {}\n"
    (folder / "mosaic.yaml").write_text(manifest.replace("static:\n  dir: public\n", built))
    (folder / "public").rename(folder / "src")
    (folder / "src/index.html").unlink()
    (folder / "src/a").write_text("<h1>one")
    (folder / "build.sh").write_text(BUILD)
    (folder / ".gitignore").write_text("*.log\n/cache/\n")
    return lambda: len((folder / "count.log").read_text().split())


def test_each_settled_edit_builds_once(folder: Path, run, watching, builds) -> None:  # noqa: F811
    watch = watching("--local", "--yes", "-o", "ndjson")
    watching_line = json.loads(watch.until('"type":"watching"'))
    assert watching_line["folders"] == ["sql", "src"]
    assert builds() == 1
    url = site(run)
    assert get(url + "/") == "<h1>one"

    (folder / "src/a").write_text("<h1>two")
    assert json.loads(watch.until('"type":"build"'))["reason"] == "src/a changed"
    watch.until('"type":"live"')
    assert get(url + "/") == "<h1>two"
    assert builds() == 2

    (folder / "build.sh").write_text("echo broken; exit 1")
    failed = json.loads(watch.until('"type":"error"'))["error"]
    assert (failed["code"], failed["message"].splitlines()[-1]) == ("build_failed", "  broken")
    (folder / "sql/2_more.sql").write_text("create table more (id int);")
    watch.until('"type":"still_failing"')
    assert get(url + "/") == "<h1>two"

    (folder / "build.sh").write_text(f"{BUILD}# fixed\n")
    watch.until('"type":"build"')
    watch.until('"type":"resolved"')
    assert builds() == 3

    (folder / "more").mkdir()
    (folder / "more/b").write_text(" and more")
    watch.until('"type":"live"')
    (folder / "more/b").write_text(" and most")
    watch.until('"type":"live"')
    assert get(url + "/") == "<h1>two and most"
    count = builds()
    (folder / "dist/index.html").write_text("by hand")
    (folder / "sql/3_last.sql").write_text("create table last (id int);")
    watch.until('"path":"sql/3_last.sql"')
    assert (folder / "dist/index.html").read_text() == "<h1>two and most"
    assert builds() == count + 1
    assert watch.end() == 130
