"""A site in the project folder itself: only what `include` names is published, read and watched."""

from __future__ import annotations

from pathlib import Path

import pytest

from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.source.incremental import index_files, reread_files
from mosaic_deploy.source.manifest.folders import published_tops
from mosaic_deploy.source.manifest.read import read_manifest
from mosaic_deploy.source.snapshot import read_desired
from mosaic_deploy.watch import watched_paths

MANIFEST = """version: 1
static:
  dir: .
  include: [/index.html, /src/, /mosaic.yaml, /.well-known/, /.env/, /sub/a*.txt]
database: {migrations: src/sql, seeds: [src/seeds]}
storage: {dir: src/files}
"""


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    monkeypatch.setenv("MOSAIC_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "project"
    for name, text in {
        "mosaic.yaml": MANIFEST,
        ".mosaicignore": "/src/drafts/\n*.tmp\n",
        ".env": "KEY=1",
        "index.html": "<a href=src/a.css><a href=gone>",
        "secret.txt": "",
        "src/a.css": "",
        "src/.hidden.css": "",
        "src/x.tmp": "",
        "src/drafts/d.html": "",
        "src/sql/1_t.sql": "create table t (id int);",
        "src/seeds/1_s.sql": "select 1;",
        "src/files/f.bin": "",
        "sub/a1.txt": "",
        "sub/b.txt": "",
        "node_modules/x.js": "",
        ".well-known/security.txt": "",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return read_manifest(root, environ={})


def test_only_what_is_named_is_published_and_never_what_is_deployed_otherwise(manifest: Manifest) -> None:
    desired = read_desired(manifest)
    assert sorted(desired.static) == [".well-known/security.txt", "index.html", "src/a.css", "sub/a1.txt"]
    assert list(desired.storage_files) == ["f.bin"]
    assert [note.message for note in desired.site.notes()] == ["index.html:1:27: no file answers gone"]


def test_it_is_watched_and_read_again(manifest: Manifest) -> None:
    paths = watched_paths(manifest)
    assert {"index.html", "mosaic.yaml", ".mosaicignore"} <= set(paths.files)
    assert set(paths.folders) == {"src", ".well-known", "sub"}
    desired = read_desired(manifest)
    (manifest.root / "src/a.css").write_text("b{}")
    again = reread_files(desired, index_files(desired), ["src/a.css"])
    assert again is not None
    assert again.snapshot.static == read_desired(manifest).snapshot.static
    assert again.static["src/a.css"].object.size == 3


@pytest.mark.parametrize(
    ("include", "tops"),
    [
        (["/a", "b/c/*.x", "!/d", "/e\\ f/"], ("a", "b", "e f")),
        (["/a", "*.html"], ()),
        (["/a*"], ()),
        (["/"], ()),
        (["/./a", "/../a"], ()),
        (["a"], ()),
        (["**/a"], ()),
        (["!/a"], ()),
        ([], ()),
    ],
)
def test_names_at_the_beginning_of_patterns(include: list[str], tops: tuple[str, ...]) -> None:
    assert published_tops(include) == tops
