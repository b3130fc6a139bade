"""`mosaic-deploy init`: it writes valid files and overwrites none."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from mosaic_deploy.source.detect import detect_folders

from mosaic_deploy.cli.commands.start.templates import with_agents_section
from mosaic_deploy.source.manifest.read import read_manifest


def _put(folder: Path, *names: str) -> None:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("create table t (id bigint);" if name.endswith(".sql") else "text")


def test_an_empty_folder_becomes_a_deployable_project(run, tmp_path: Path) -> None:
    assert run("init", "new", "--name", "<New & shiny>").returncode == 0
    assert "&lt;New &amp; shiny&gt;" in (tmp_path / "new/public/index.html").read_text()
    assert run("apply", "--local", "--yes", "new").returncode == 0
    assert run("apply", "--local", "--yes", "new").stdout.startswith("No changes.")


def test_existing_folders_are_detected(run, tmp_path: Path) -> None:
    _put(tmp_path, "db/migrations/001_a.sql", "seeds/01_b.sql", "dist/index.html", "public/index.html")
    _put(tmp_path, "assets/film.mp4", "node_modules/x/migrations/1_x.sql", ".git/1_x.sql")
    ended = run("init", "-o", "json")
    assert json.loads(ended.stdout)["notes"] == [
        "database.migrations is db/migrations; these folders also look like migrations: seeds"
    ]
    manifest = read_manifest(tmp_path)
    assert manifest.database and manifest.database.migrations == "db/migrations"
    assert manifest.static and manifest.static.dir == "dist"
    assert manifest.storage and manifest.storage.dir == "assets"
    assert not (tmp_path / "public/style.css").exists()


def test_a_site_that_is_not_built_yet(run, tmp_path: Path) -> None:
    _put(tmp_path, "package.json")
    assert "note: no built site found: run your build" in run("init").stdout
    assert read_manifest(tmp_path).static is None


def test_created_files_are_listed(run, tmp_path: Path) -> None:
    document = json.loads(run("init", "-o", "json", "new/sub").stdout)
    assert document["made"] == ["new/sub"]
    assert document["written"] == [
        "public/index.html", "mosaic.schema.json", ".mosaicignore", "AGENTS.md", "mosaic.yaml",
    ]  # fmt: skip
    assert all((tmp_path / "new/sub" / name).is_file() for name in document["written"])
    said = run("init", "it's new").stdout.splitlines()
    assert said[:2] == ["created folder it's new", "created it's new/public/index.html"]
    assert said[-1].endswith(shlex.join(["mosaic-deploy", "apply", "--local", "it's new"]))
    assert json.loads(run("init", "-o", "json").stdout)["made"] == []


def test_a_page_next_to_the_manifest_is_noted(run, tmp_path: Path) -> None:
    _put(tmp_path, "index.html", "style.css")
    said = run("init").stdout
    assert "note: index.html isn't deployed from the project folder" in said
    assert not (tmp_path / "public").exists()
    assert read_manifest(tmp_path).static is None
    # The way it tells is one.
    (tmp_path / "public").mkdir()
    for name in ("index.html", "style.css"):
        (tmp_path / name).rename(tmp_path / "public" / name)
    manifest = tmp_path / "mosaic.yaml"
    manifest.write_text(manifest.read_text().replace("# static:\n#   dir:", "static:\n  dir:"))
    static = read_manifest(tmp_path).static
    assert static
    assert static.dir == "public"


def _git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("ignored", ["", "dist", "*.env\n", ".env", "/.env\n"])
def test_the_env_file_is_ignored_by_git(run, tmp_path: Path, ignored: str) -> None:
    _git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text(ignored)
    written = json.loads(run("init", "-o", "json", "app").stdout)["written"]
    assert (".gitignore" in written) == (ignored not in ("*.env\n", ".env"))
    (tmp_path / "app/.env").write_text("MOSAIC_API_KEY=mk_x")
    _git(tmp_path, "check-ignore", "app/.env")


@pytest.mark.parametrize("before", ["dist", "dist\n", ""])
def test_the_env_file_is_added_to_gitignore(run, tmp_path: Path, before: str) -> None:
    _git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text(before)
    assert run("init").returncode == 0
    assert (tmp_path / ".gitignore").read_text().split() == [*before.split(), ".env"]


def test_a_committed_env_file_is_noted(run, tmp_path: Path) -> None:
    _git(tmp_path, "init", "-q")
    (tmp_path / ".env").write_text("MOSAIC_API_KEY=mk_x")
    _git(tmp_path, "add", ".env")
    assert "note: .env is committed to git" in run("init").stdout


def test_without_git_there_is_no_gitignore(run, tmp_path: Path) -> None:
    run("init")
    assert not (tmp_path / ".gitignore").exists()


def test_a_workflow_for_a_subfolder_of_a_repository(run, tmp_path: Path) -> None:
    _git(tmp_path, "init", "-q")
    document = json.loads(run("init", "--github", "-o", "json", "apps/my site").stdout)
    assert "../../.github/workflows/mosaic.yml" in document["written"]
    text = (tmp_path / ".github/workflows/mosaic.yml").read_text()
    assert 'path: "apps/my site"' in text
    assert ("@COMMIT" in text) == any("with the repository and a commit" in n for n in document["notes"])
    assert "pip install" not in text
    (tmp_path / ".github/workflows/mosaic.yml").write_text("ours")
    assert run("init", "--github", "other").returncode == 0
    assert (tmp_path / ".github/workflows/mosaic.yml").read_text() == "ours"


def test_a_workflow_for_an_existing_project(run, tmp_path: Path) -> None:
    (tmp_path / "mosaic.yml").write_text("mine")
    (tmp_path / "AGENTS.md").write_text("mine")
    document = json.loads(run("init", "--github", "-o", "json").stdout)
    assert document["written"] == [".github/workflows/mosaic.yml"]
    assert document["left"] == ["mosaic.yml", "AGENTS.md"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".github", "AGENTS.md", "mosaic.yml"]
    assert (tmp_path / "mosaic.yml").read_text() == "mine"
    workflow = tmp_path / ".github/workflows/mosaic.yml"
    workflow.write_text("ours")
    again = run("init", "--github")
    assert again.returncode == 1
    assert "error[file_exists]: .github/workflows/mosaic.yml already exists" in again.stderr
    assert workflow.read_text() == "ours"
    workflow.unlink()
    assert "kept mosaic.yml" in run("init", "--github").stdout
    assert run("init", "--github", "--name", "other").returncode == 1


@pytest.mark.parametrize("name", ["mosaic.yaml", "mosaic.yml"])
def test_a_dangling_manifest_link_counts_as_a_manifest(run, tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to("nowhere/yet.yaml")
    assert run("init").returncode == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).is_symlink()


def test_nothing_is_overwritten(run, tmp_path: Path) -> None:
    (tmp_path / "mosaic.yml").write_text("mine")
    (tmp_path / "AGENTS.md").write_text("mine")
    refused = run("init")
    assert refused.returncode == 1
    assert "error[file_exists]: mosaic.yml already exists" in refused.stderr
    assert {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()} == {
        "mosaic.yml": "mine",
        "AGENTS.md": "mine",
    }


def test_agents_md_keeps_its_other_text(run, tmp_path: Path) -> None:
    (tmp_path / "AGENTS.md").write_text("# Ours\n\nBe kind.\n")
    (tmp_path / ".mosaicignore").write_text("ours")
    assert run("init").returncode == 0
    text = (tmp_path / "AGENTS.md").read_text()
    assert text.startswith("# Ours\n\nBe kind.\n\n<!-- mosaic-deploy -->\n")
    assert with_agents_section(text) == text
    assert with_agents_section(f"{text}More of ours.\n").endswith("More of ours.\n")
    assert (tmp_path / ".mosaicignore").read_text() == "ours"


@pytest.mark.parametrize("name", ["no", "1e3", "a: b", "quote \" and '", "Zoë 🎉", "# x", "~", " led", "-"])
def test_any_project_name_is_accepted(run, tmp_path: Path, name: str) -> None:
    ended = run("init", "--name", name)
    assert ended.returncode == 0, ended.stderr
    assert read_manifest(tmp_path).project.name == name.strip()


def test_a_folder_that_cannot_be_created_is_an_error(run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = run("init", "file/new")
    assert refused.returncode == 1
    assert "error[write_failed]: can't create file/new/public: Not a directory" in refused.stderr


def test_detecting_folders(tmp_path: Path) -> None:
    _put(tmp_path, "a/b/c/1_deep.sql", "a/b/1_sql.sql", "migrations/1_x.sql")
    found = detect_folders(tmp_path)
    assert (found.migrations, found.other_migrations) == ("migrations", ("a/b", "a/b/c"))
