"""Folders beside the manifest, in the same git repository: what is deployed of them, and what isn't followed or ignored."""

from __future__ import annotations

from pathlib import Path

import pytest

from mosaic_deploy.cli.target.commit import uncommitted_files
from mosaic_deploy.errors import IgnoreFileInvalid, SourceRefused
from mosaic_deploy.git import run_git
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.source.incremental import index_files, reread_files
from mosaic_deploy.source.manifest.read import read_manifest
from mosaic_deploy.source.snapshot import Desired, read_desired


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name, text in {
        ".mosaicignore": "*.tmp\n",
        "web/.mosaicignore": "drafts/\n",
        "web/dist/.mosaicignore": "/old.html\n",
        "web/dist/index.html": "<h1>hello",
        "web/dist/old.html": "",
        "web/dist/a.tmp": "",
        "web/dist/drafts/b.html": "",
        "web/dist/deep/c.html": "",
        "db/1_t.sql": "create table t (id int);",
        "db/seeds/s.sql": "select 1;",
        "secret/key": "",
        "deploy/.mosaicignore": "*\n!/public\n",
        "deploy/mosaic.yaml": "version: 1\nproject: {name: x}\nstatic: {dir: ../web/dist}\n"
        "database: {migrations: ../db, seeds: [../db/seeds]}\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "web/dist/again.html").symlink_to("index.html")
    run_git(tmp_path, "init", "-q")
    return tmp_path


@pytest.fixture
def manifest(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    monkeypatch.setenv("MOSAIC_CACHE", str(repository / "cache"))
    assert run_git(repository, "init", "-q") is not None
    return read_manifest(repository / "deploy", environ={})


def names(desired: Desired) -> list[str]:
    return sorted(desired.static)


def test_they_are_deployed(repository: Path, manifest: Manifest) -> None:
    desired = read_desired(manifest)
    assert names(desired) == ["again.html", "deep/c.html", "index.html"]
    assert desired.static["index.html"].source.resolve() == repository / "web/dist/index.html"
    assert [file.relative_path for file in (*desired.migrations, *desired.seeds)] == [
        "../db/1_t.sql", "../db/seeds/s.sql"
    ]  # fmt: skip


def test_an_edit_is_read_alone(repository: Path, manifest: Manifest) -> None:
    (repository / "web/dist/again.html").unlink()
    desired = read_desired(manifest)
    (repository / "web/dist/index.html").write_text("edited")
    again = reread_files(desired, index_files(desired), ["../web/dist/index.html"])
    assert again is not None
    assert again.static["index.html"].object.size == 6


def test_what_differs_from_the_commit_is_found(repository: Path, manifest: Manifest) -> None:
    assert set(uncommitted_files(manifest)) >= {"web/dist/", "deploy/mosaic.yaml"}


def test_links_out_of_them_arent_followed(repository: Path, manifest: Manifest) -> None:
    (repository / "web/dist/x.html").symlink_to("../../secret/key")
    with pytest.raises(SourceRefused) as raised:
        read_desired(manifest)
    assert [str(problem) for problem in raised.value.problems] == [
        "../web/dist/x.html: links out of the project folder; copy the file, or exclude it"
    ]


def test_an_ignore_file_above_both_can_exclude_all(repository: Path, manifest: Manifest) -> None:
    (repository / ".mosaicignore").write_text("dist/\n")
    with pytest.raises(IgnoreFileInvalid):
        read_desired(manifest)
