"""`mosaic-deploy init`: what it writes is valid, and nothing is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mosaic_deploy.cli.starter import with_section
from mosaic_deploy.source.manifest import read_manifest
from mosaic_deploy.source.survey import survey


def _put(folder: Path, *names: str) -> None:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("create table t (id bigint);" if name.endswith(".sql") else "text")


def test_from_nothing_it_deploys(run, tmp_path: Path) -> None:
    assert run("init", "new", "--name", "<New & shiny>").returncode == 0
    assert "&lt;New &amp; shiny&gt;" in (tmp_path / "new/public/index.html").read_text()
    assert run("apply", "--local", "--yes", "new").returncode == 0
    assert run("apply", "--local", "--yes", "new").stdout.startswith("No changes.")


def test_what_is_there_is_found(run, tmp_path: Path) -> None:
    _put(tmp_path, "db/migrations/001_a.sql", "seeds/01_b.sql", "dist/index.html", "public/index.html")
    _put(tmp_path, "assets/film.mp4", "node_modules/x/migrations/1_x.sql", ".git/1_x.sql")
    ended = run("init", "-o", "json")
    assert json.loads(ended.stdout)["notes"] == [
        "database.migrations is db/migrations; these look like migrations, too: seeds"
    ]
    manifest = read_manifest(tmp_path)
    assert manifest.database and manifest.database.migrations == "db/migrations"
    assert manifest.static and manifest.static.dir == "dist"
    assert manifest.storage and manifest.storage.dir == "assets"
    assert not (tmp_path / "public/style.css").exists()


def test_a_site_that_is_not_built_yet(run, tmp_path: Path) -> None:
    _put(tmp_path, "package.json")
    assert "note: no built site was found: run your build" in run("init").stdout
    assert read_manifest(tmp_path).static is None


def test_nothing_is_overwritten(run, tmp_path: Path) -> None:
    (tmp_path / "mosaic.yml").write_text("mine")
    (tmp_path / "AGENTS.md").write_text("mine")
    refused = run("init")
    assert refused.returncode == 1
    assert "error[source_refused]: mosaic.yml is there already" in refused.stderr
    assert {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()} == {
        "mosaic.yml": "mine",
        "AGENTS.md": "mine",
    }


def test_agents_md_keeps_its_own_words(run, tmp_path: Path) -> None:
    (tmp_path / "AGENTS.md").write_text("# Ours\n\nBe kind.\n")
    (tmp_path / ".mosaicignore").write_text("ours")
    assert run("init").returncode == 0
    text = (tmp_path / "AGENTS.md").read_text()
    assert text.startswith("# Ours\n\nBe kind.\n\n<!-- mosaic-deploy -->\n")
    assert with_section(text) == text
    assert with_section(f"{text}More of ours.\n").endswith("More of ours.\n")
    assert (tmp_path / ".mosaicignore").read_text() == "ours"


@pytest.mark.parametrize("name", ["no", "1e3", "a: b", "quote \" and '", "Zoë 🎉", "# x", "~", " led", "-"])
def test_any_name_is_a_name(run, tmp_path: Path, name: str) -> None:
    ended = run("init", "--name", name)
    assert ended.returncode == 0, ended.stderr
    assert read_manifest(tmp_path).project.name == name.strip()


def test_a_folder_that_can_not_be_made_is_named(run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = run("init", "file/new")
    assert refused.returncode == 1
    assert "error[source_unreadable]" in refused.stderr


def test_a_survey_changes_nothing(tmp_path: Path) -> None:
    _put(tmp_path, "a/b/c/1_deep.sql", "a/b/1_sql.sql", "migrations/1_x.sql")
    found = survey(tmp_path)
    assert (found.migrations, found.other_migrations) == ("migrations", ("a/b", "a/b/c"))
