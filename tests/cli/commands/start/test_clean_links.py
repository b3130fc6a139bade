"""When `init` writes `static.clean_urls`."""

from __future__ import annotations

from pathlib import Path

import pytest

from mosaic_deploy.cli.commands.start.choices import choose
from mosaic_deploy.cli.commands.start.first_manifest import manifest_text
from mosaic_deploy.source.detection.project import detect_project
from mosaic_deploy.source.manifest.read import read_manifest_text

CASES = [
    ({"index.html": '<a href="/about">', "about.html": ""}, True),
    ({"index.html": '<a href="about/?q#x">', "about.html": ""}, True),
    ({"index.html": "", "blog/a.html": '<a href="b">', "blog/b.html": ""}, True),
    ({"index.html": "", "blog/a.html": '<base href="/"><a href="b">', "b.html": ""}, True),
    ({"index.html": '<a href="about.html"><a href="/gone"><a href="/">', "about.html": ""}, False),
    ({"index.html": '<a href="/about">', "about/index.html": ""}, False),
    ({"index.html": '<a href="/about"><a href="/b">', "b.html": "", "b/index.html": ""}, False),
]


@pytest.mark.parametrize(("files", "written"), CASES)
def test_it_is_written_if_links_need_it(tmp_path: Path, files: dict[str, str], written: bool) -> None:
    for name, text in files.items():
        file = tmp_path / "public" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    text, _ = manifest_text(choose(detect_project(tmp_path), "site"))
    manifest = read_manifest_text(text, tmp_path)
    assert manifest.static
    assert manifest.static.clean_urls == written
