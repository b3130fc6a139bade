"""`mosaic-deploy init`: it writes valid files and overwrites none."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mosaic_deploy.cli.commands.start.starters import TEMPLATES
from mosaic_deploy.cli.commands.start.templates import with_agents_section
from mosaic_deploy.source.manifest.read import read_manifest
from tests.cli.pseudo_terminal import Terminal
from tests.docs_markdown import ROOT


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
    (tmp_path / ".env").write_text("DATABASE_URL=postgres://x")
    _put(tmp_path, "assets/film.mp4", "node_modules/x/migrations/1_x.sql", ".git/1_x.sql")
    ended = run("init", "-o", "json")
    assert json.loads(ended.stdout)["notes"] == [
        "the site is dist; others that aren't deployed: public",
        "database.migrations is db/migrations; these folders also look like migrations: seeds",
        ".env has DATABASE_URL; `mosaic-deploy credentials --reveal` prints that of the project's database, "
        "with --local that of the one on this machine",
    ]
    manifest = read_manifest(tmp_path)
    assert manifest.database and manifest.database.migrations == "db/migrations"
    assert manifest.static and manifest.static.dir == "dist"
    assert manifest.storage and manifest.storage.dir == "assets"
    assert not (tmp_path / "public/style.css").exists()


def _package(folder: Path, **fields: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text(json.dumps(fields))


def test_a_build_that_is_not_known_is_a_decision(run, tmp_path: Path) -> None:
    """Nothing is made up: no page, and no folder."""
    _package(tmp_path, scripts={"build": "node build.js"})
    ended = run("init")
    lines = (tmp_path / "mosaic.yaml").read_text().splitlines()
    (line,) = [number for number, text in enumerate(lines, 1) if text == "#   output: FOLDER"]
    assert f"decide: mosaic.yaml:{line} which folder `npm run build` fills\n" in ended.stdout
    assert read_manifest(tmp_path).static is None
    assert not (tmp_path / "public").exists()
    assert run("validate").returncode == 0
    # The lines are right once they are uncommented.
    changed = [
        text.removeprefix("# ") if line - 2 <= number <= line + 2 else text
        for number, text in enumerate(lines, 1)
    ]
    (tmp_path / "mosaic.yaml").write_text("\n".join(changed).replace("FOLDER", "dist"))
    manifest = read_manifest(tmp_path)
    assert manifest.build
    assert (manifest.build.command, manifest.build.output) == ("npm run build", "dist")


def test_several_sites_and_migrations_are_a_decision(run, tmp_path: Path) -> None:
    for app in ("shop", "admin"):
        _package(tmp_path / f"apps/{app}", devDependencies={"vite": "7"}, dependencies={"wouter": "3"})
        _put(tmp_path, f"apps/{app}/index.html", f"apps/{app}/migrations/1_a.sql")
    document = json.loads(run("init", "-o", "json").stdout)
    lines = (tmp_path / "mosaic.yaml").read_text().splitlines()
    assert [each["message"] for each in document["decisions"]] == [
        "which migrations to deploy: apps/admin/migrations, apps/shop/migrations",
        "which site to deploy: apps/admin (Vite), apps/shop (Vite)",
    ]
    assert [lines[each["line"] - 1] for each in document["decisions"]] == [
        "# database:",
        "# apps/admin (Vite):",
    ]
    manifest = read_manifest(tmp_path)
    assert (manifest.static, manifest.database) == (None, None)
    assert run("validate").returncode == 0
    # The sections of a site are complete.
    first = lines.index("# apps/shop (Vite):") + 1
    changed = [
        text.removeprefix("# ") if first <= number < first + 8 else text for number, text in enumerate(lines)
    ]
    (tmp_path / "mosaic.yaml").write_text("\n".join(changed))
    chosen = read_manifest(tmp_path).static
    assert chosen
    assert (chosen.dir, chosen.fallback, chosen.unsupported) == ("apps/shop/dist", "index.html", "storage")


def test_a_person_is_asked_which_of_several_to_deploy(environment, tmp_path: Path) -> None:
    _put(tmp_path, "a/migrations/1_a.sql", "b/migrations/1_a.sql")
    terminal = Terminal(environment, tmp_path, "init")
    try:
        terminal.until("Which folder of migrations? 0 for none now [1]: ")
        terminal.type("2\n")
        assert terminal.end() == 0
    finally:
        terminal.close()
    manifest = read_manifest(tmp_path)
    assert manifest.database
    assert manifest.database.migrations == "b/migrations"


def test_a_build_whose_packages_are_not_installed(run, environment, tmp_path: Path) -> None:
    _package(tmp_path, scripts={"build": "vite build"}, devDependencies={"vite": "7"}, packageManager="bun@1")
    _put(tmp_path, "index.html")
    tools = tmp_path / "bin"
    tools.mkdir()
    environment["PATH"] = f"{tools}:{Path(sys.executable).parent}"
    assert "bun isn't installed here, so the build fails" in run("init").stdout
    (tmp_path / "mosaic.yaml").unlink()
    (tools / "bun").touch(0o755)
    assert (
        "the packages of the build aren't installed here (`bun install`), so the build fails"
        in run("init").stdout
    )
    manifest = read_manifest(tmp_path)
    assert manifest.build
    assert (manifest.build.command, manifest.build.output) == ("bun run build", "dist")
    (tmp_path / "mosaic.yaml").unlink()
    _put(tmp_path, "dist/index.html")
    assert "so dist is deployed as it is; then uncomment `build`" in run("init").stdout
    manifest = read_manifest(tmp_path)
    assert manifest.static
    assert (manifest.build, manifest.static.dir) == (None, "dist")
    (tmp_path / "mosaic.yaml").unlink()
    (tmp_path / "node_modules").mkdir()
    assert "note:" not in run("init").stdout
    assert read_manifest(tmp_path).build


def test_a_build_is_deployed_as_it_is_detected(run, environment, tmp_path: Path) -> None:
    """From `init` to a live site with migrations and fonts, without an edit."""
    npm, app = tmp_path / "bin/npm", tmp_path / "app"
    npm.parent.mkdir()
    npm.write_text("#!/bin/sh\nmkdir -p dist && cp index.html dist && printf x > dist/a.woff2")
    npm.chmod(0o755)
    path = {"PATH": f"{npm.parent}:{environment['PATH']}"}
    _package(
        app, scripts={"build": "vite build"}, devDependencies={"vite": "7"}, dependencies={"wouter": "3"}
    )
    (app / "node_modules").mkdir()
    _put(app, "prisma/migrations/20240101000000_a/migration.sql", "public/CNAME")
    (app / "index.html").write_text('<link rel="preload" as="font" href="/a.woff2">')
    said = run("init", "app", env=path).stdout
    assert "note: static.exclude has CNAME" in said
    assert "decide:" not in said
    assert run("validate", "app").returncode == 0
    applied = run("apply", "--local", "--yes", "app", env=path)
    assert applied.returncode == 0, applied.stderr
    assert "No changes." in run("apply", "--local", "--yes", "app", env=path).stdout
    static = read_manifest(app).static
    assert static
    assert (static.fallback, static.unsupported) == ("index.html", "storage")


def test_what_validate_refuses_is_noted(run, tmp_path: Path) -> None:
    _put(tmp_path, "public/index.html")
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations/1_a.sql").write_text("create tabel t ();")
    said = run("init").stdout
    assert "note: `mosaic-deploy validate` reports: " in said
    assert "migrations/1_a.sql:1" in said


def test_migrations_elsewhere_in_the_repository_are_noted(run, tmp_path: Path) -> None:
    _git(tmp_path, "init", "-q")
    _put(tmp_path, "api/migrations/1_a.sql", "web/public/index.html")
    assert "which database.migrations may name: ../api/migrations" in run("init", "web").stdout


@pytest.mark.parametrize("template", TEMPLATES)
def test_templates_deploy_as_they_are(run, tmp_path: Path, template: str) -> None:
    name = f"my {template}"
    # In place of npm, which would download hundreds of packages: the pages as they are. Vite and Prisma aren't tested here.
    npm = tmp_path / "bin/npm"
    npm.parent.mkdir()
    npm.write_text("#!/bin/sh\nif [ $1 = run ]; then mkdir -p dist && cp -R index.html src dist/; fi\n")
    npm.chmod(0o755)
    path = {"PATH": f"{npm.parent}:{os.environ['PATH']}"}
    assert run("init", "--template", template, name).returncode == 0
    assert (tmp_path / name / "README.md").is_file()
    assert read_manifest(tmp_path / name).project.name == name
    applied = run("apply", "--local", "--yes", name, env=path)
    assert applied.returncode == 0, applied.stderr
    assert "No changes." in run("apply", "--local", "--yes", name, env=path).stdout
    refused = run("init", "--template", template, name)
    assert "error[file_exists]" in refused.stderr


def test_a_template_overwrites_nothing(run, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    refused = run("init", "--template", "spa")
    assert "error[file_exists]: README.md already exists" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_the_first_migration_after_init(run, tmp_path: Path) -> None:
    run("init")
    made = run("migrate", "new", "add orders")
    assert made.stdout == "migrations/0001_add_orders.sql\n"
    assert made.stderr == "added to mosaic.yaml: database.migrations: migrations\n"
    assert run("migrate", "new", "more").stderr == ""
    text = (tmp_path / "mosaic.yaml").read_text()
    assert "\ndatabase:\n  migrations: migrations\n\n" in text
    assert run("validate").stdout.startswith("mosaic.yaml is valid: 2 migrations")


def test_created_files_are_listed(run, tmp_path: Path) -> None:
    document = json.loads(run("init", "-o", "json", "new/sub").stdout)
    assert document["made"] == ["new/sub"]
    assert document["written"] == [
        "public/index.html", "mosaic.schema.json", ".mosaicignore", "AGENTS.md", "mosaic.yaml",
    ]  # fmt: skip
    assert all((tmp_path / "new/sub" / name).is_file() for name in document["written"])
    said = run("init", "it's new").stdout.splitlines()
    assert said[:2] == ["created folder it's new", "created it's new/public/index.html"]
    assert said[-2].endswith(shlex.join(["mosaic-deploy", "apply", "--local", "it's new"]))
    assert said[-1].endswith(shlex.join(["mosaic-deploy", "dev", "it's new"]))
    assert json.loads(run("init", "-o", "json").stdout)["made"] == []


def test_a_site_next_to_the_manifest_is_published_and_nothing_else(run, tmp_path: Path) -> None:
    _put(tmp_path, "style.css", "notes.txt", "package.json", "migrations/1_a.sql")
    (tmp_path / ".env").write_text("SECRET=1")
    (tmp_path / "index.html").write_text('<link rel="stylesheet" href="style.css">')
    said = run("init").stdout
    assert (
        "note: the site is the project folder itself: static.include names what index.html and its pages"
        in said
    )
    static = read_manifest(tmp_path).static
    assert static
    assert (static.dir, static.include) == (".", ("/index.html", "/style.css"))
    assert run("validate").returncode == 0
    applied = run("apply", "--local", "--yes", "-o", "json")
    assert applied.returncode == 0, applied.stderr
    changes = [each["address"] for each in json.loads(applied.stdout)["plan"]["changes"]]
    assert [each for each in changes if each.startswith("static:")] == [
        "static:style.css",
        "static:index.html",
    ]


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
    (tmp_path / "CLAUDE.md").write_text("# Ours\n\nBe kind.\n")
    (tmp_path / "AGENTS.md").symlink_to("CLAUDE.md")
    (tmp_path / ".mosaicignore").write_text("ours")
    assert run("init").returncode == 0
    text = (tmp_path / "AGENTS.md").read_text()
    assert text.startswith("# Ours\n\nBe kind.\n\n<!-- mosaic-deploy -->\n")
    assert with_agents_section(text) == text
    assert with_agents_section(f"{text}More of ours.\n").endswith("More of ours.\n")
    assert (tmp_path / "CLAUDE.md").read_text() == text, "a link stays one"
    assert (tmp_path / ".mosaicignore").read_text() == "ours"


@pytest.mark.parametrize(
    "name", ["no", "1e3", "a: b", "quote \" and '", "Zoë 🎉", "# x", "~", " led", "-", "- x", ".inf"]
)
def test_any_project_name_is_accepted(run, tmp_path: Path, name: str) -> None:
    ended = run("init", "--name", name)
    assert ended.returncode == 0, ended.stderr
    assert read_manifest(tmp_path).project.name == name.strip()


def test_a_folder_that_cannot_be_created_is_an_error(run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = run("init", "file/new")
    assert refused.returncode == 1
    assert "error[write_failed]: can't create file/new/public: Not a directory" in refused.stderr


def test_templates_are_the_examples() -> None:
    assert sorted(TEMPLATES) == sorted(each.parent.name for each in ROOT.glob("examples/*/mosaic.yaml"))
