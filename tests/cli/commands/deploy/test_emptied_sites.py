"""Deleting all or most live files needs a person or the exact number, in every command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

PRUNE = "dir: public\n  prune: true\n  keep: 0"


@pytest.fixture
def site(run, folder: Path) -> Path:
    """Four live files, with prune."""
    manifest = folder / "mosaic.yaml"
    manifest.write_text(manifest.read_text().replace("dir: public", PRUNE))
    for name in ("about.html", "contact.html", "style.css"):
        (folder / "public" / name).write_text(name)
    assert run("apply", "--local", "--yes").returncode == 0
    return folder


def empty(site: Path) -> int:
    for file in (site / "public").iterdir():
        file.unlink()
    (site / "public/.gitkeep").write_text("")
    return 4


def include_nothing(site: Path) -> int:
    manifest = site / "mosaic.yaml"
    manifest.write_text(manifest.read_text().replace(PRUNE, f'{PRUNE}\n  include: [".well-known/"]'))
    return 4


def replace_folder(site: Path) -> int:
    (site / "dist").mkdir()
    (site / "dist/index.html").write_text("another site")
    (site / "dist/app.js").write_text("1")
    manifest = site / "mosaic.yaml"
    manifest.write_text(manifest.read_text().replace("dir: public", "dir: dist"))
    return 3


@pytest.mark.parametrize("loss", [empty, include_nothing, replace_folder])
def test_unattended_commands_refuse_and_take_the_exact_number(run, site: Path, loss) -> None:
    count = loss(site)
    assert f"needs --allow prune={count}" in run("plan", "--local").stdout
    saved = run("plan", "--local", "--out", "plan.json")
    assert saved.returncode == 0, saved.stderr
    for words in (
        ("apply", "--local", "--yes"),
        ("ci", "apply", "--local"),
        ("apply", "plan.json", "--yes"),
        ("ci", "apply", "plan.json"),
    ):
        refused = run(*words)
        assert refused.returncode == 1, refused.stdout
        assert "error[prune_unconfirmed]" in refused.stderr
        assert f"--allow prune={count}" in refused.stderr
        assert ("--yes doesn't cover this" in refused.stderr) == ("ci" not in words)
    another = run("apply", "plan.json", "--yes", "--allow", f"prune={count + 1}")
    assert f"error[prune_unconfirmed]: not approved by --allow prune={count + 1}: this " in another.stderr
    assert json.loads(run("status", "--local", "-o", "json").stdout)["static"]["files"] == 4
    done = run("ci", "apply", "--local", "--allow", f"prune={count}")
    assert done.returncode == 0, done.stderr


def test_one_of_four_needs_no_approval(run, site: Path) -> None:
    (site / "public/about.html").unlink()
    done = run("ci", "apply", "--local")
    assert done.returncode == 0, done.stderr


def test_a_storage_folder_counts_too(run, folder: Path) -> None:
    (folder / "pics").mkdir()
    for name in "abc":
        (folder / f"pics/{name}.bin").write_text(name)
    with (folder / "mosaic.yaml").open("a") as manifest:
        manifest.write("storage:\n  dir: pics\n  prune: true\n")
    assert run("apply", "--local", "--yes").returncode == 0
    for name in "abc":
        (folder / f"pics/{name}.bin").unlink()
    refused = run("apply", "--local", "--yes")
    assert "deletes 3 files: all storage files that were live" in refused.stderr
    assert "error[prune_unconfirmed]" in refused.stderr
