"""When a build's output is up to date, and why it isn't otherwise."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.source.builds.record import BuildRecord, record_file, write_record
from mosaic_deploy.source.builds.state import (
    MAX_OWN_CHANGES,
    BuildState,
    build_environment,
    own_changes_notice,
    read_state,
    record_of,
    without_output,
)
from mosaic_deploy.source.manifest.read import read_manifest

MANIFEST = "version: 1\nproject: {name: x}\nbuild: {command: make, output: dist}\nstatic: {}\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOSAIC_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "project"
    for name in ("src/a", "src/b", "dist/index.html"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "mosaic.yaml").write_text(MANIFEST)
    return root


def read(root: Path, environment: str | None = None) -> Manifest:
    return read_manifest(root, environ={}, environment=environment)


def state(root: Path, environment: str | None = None) -> BuildState:
    manifest = read(root, environment)
    assert manifest.build is not None
    return read_state(manifest, manifest.build)


def built(root: Path, during: Callable[[], object] = lambda: None) -> str:
    """Records a build, during which something happens; returns the notice about it."""
    manifest, before = read(root), state(root)
    assert manifest.build is not None
    during()
    record = record_of(before, manifest, manifest.build)
    write_record(os.path.realpath(root / "dist"), record)
    return own_changes_notice(record)


def edit(path: Path, text: str | None) -> None:
    path.unlink() if text is None else path.write_text(text)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("src/a", "other", "src/a changed"),
        ("src/a", None, "src/a changed"),
        ("src/new", "", "src/new changed"),
        ("dist/index.html", "edited", "dist was changed since it was built"),
        ("dist/more.html", "", "dist was changed since it was built"),
        ("dist/index.html", None, "dist has no files"),
        ("mosaic.yaml", MANIFEST.replace("make", "make all"), "build.command changed since the last build"),
        (
            "mosaic.yaml",
            MANIFEST.replace("dist}", "dist, dir: src}"),
            "build.dir changed since the last build",
        ),
        ("mosaic.yaml", MANIFEST + "# a comment", ""),
        ("src/a", "src/a", ""),
        (".env", "A=1", ".env changed"),
    ],
)
def test_what_makes_a_build_necessary(root: Path, name: str, text: str | None, reason: str) -> None:
    assert state(root).reason == "no build of dist is recorded here"
    built(root)
    assert state(root).reason == ""
    edit(root / name, text)
    assert state(root).reason == reason


def test_several_changes_are_counted(root: Path) -> None:
    built(root)
    for name in ("src/a", "src/b", "src/c"):
        edit(root / name, "new")
    assert state(root).reason == "src/a and 2 more files changed"


def test_variables_and_the_environment_of_the_manifest_count(root: Path, monkeypatch) -> None:
    built(root)
    monkeypatch.setenv("WINDOWID", "4711")
    monkeypatch.setenv("ITERM_SESSION_ID", "w0t1p0")
    monkeypatch.setenv("MOSAIC_API_KEY", "another")
    assert state(root).reason == ""
    monkeypatch.setenv("VITE_API", "https://staging")
    assert state(root).reason == "the environment changed since the last build"
    monkeypatch.delenv("VITE_API")
    edit(root / "mosaic.yaml", MANIFEST + "environments: {staging: {}}\n")
    assert state(root).reason == ""
    assert state(root, "staging").reason == "the environment changed since the last build"


def test_the_build_gets_no_credentials_of_this_program(root: Path) -> None:
    environ = {
        "PATH": "/bin", "NPM_TOKEN": "kept", "MOSAIC_API_KEY": "k", "MOSAIC_MCP_TOKEN": "t", "MOSAIC_DATABASE_URL": "u",
        "MOSAIC_SMTP_URL": "s", "MOSAIC_ENV": "other", "MOSAIC_HOME": "/h",
    }  # fmt: skip
    kept = {"PATH": "/bin", "NPM_TOKEN": "kept", "MOSAIC_HOME": "/h"}
    assert build_environment(read(root), environ) == kept
    edit(root / "mosaic.yaml", MANIFEST + "environments: {staging: {}}\n")
    assert build_environment(read(root, "staging"), environ) == {**kept, "MOSAIC_ENV": "staging"}


def test_an_edit_during_a_build_makes_another_one_necessary(root: Path) -> None:
    built(root, lambda: edit(root / "src/a", "edited meanwhile"))
    assert state(root).reason == "src/a changed"
    built(root)
    assert state(root).reason == ""


def test_a_build_that_writes_to_its_inputs_isnt_repeated_for_ever(root: Path) -> None:
    notices = [
        built(root, lambda number=number: edit(root / "src/stamp", str(number)))
        for number in range(MAX_OWN_CHANGES + 1)
    ]
    assert notices[:-1] == [""] * MAX_OWN_CHANGES
    assert notices[-1].startswith("the build changes its own inputs: src/stamp;")
    assert state(root).reason == ""
    edit(root / "src/a", "edited")
    assert state(root).reason == "src/a and 1 more file changed"


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"format": 1}', json.dumps({"format": 2})])
def test_a_record_that_cant_be_used_is_none(root: Path, content: str) -> None:
    built(root)
    record_file(os.path.realpath(root / "dist")).write_text(content)
    assert state(root).reason == "no build of dist is recorded here"


def test_old_records_are_deleted_but_no_locks(root: Path) -> None:
    record, lock = record_file("/old"), record_file("/old").with_suffix(".lock")
    write_record("/old", BuildRecord({}, {}, {}, ""))
    lock.touch()
    for path in (record, lock):
        os.utime(path, (0, 0))
    write_record("/new", BuildRecord({}, {}, {}, ""))
    assert (record.exists(), lock.exists()) == (False, True)


def test_linked_folders_are_part_of_the_output(root: Path) -> None:
    (root / "fonts").mkdir()
    (root / "fonts/a.woff2").write_text("a")
    (root / "dist/fonts").symlink_to("../fonts")
    (root / "dist/itself").symlink_to(".")
    edit(root / "mosaic.yaml", MANIFEST.replace("dist}", "dist, inputs: [src]}"))
    built(root)
    assert state(root).reason == ""
    edit(root / "fonts/a.woff2", "b")
    assert state(root).reason == "dist was changed since it was built"


def test_sections_of_a_missing_output_are_left_out(root: Path) -> None:
    (root / "assets").mkdir()
    edit(root / "mosaic.yaml", MANIFEST + "storage: {dir: assets}\n")
    assert without_output(read(root)) == read(root)
    edit(root / "dist/index.html", None)
    left = without_output(read(root))
    assert left.static is None
    assert left.storage is not None
