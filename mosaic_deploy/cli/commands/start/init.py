"""`mosaic-deploy init`."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.commands.start import git_files, templates
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.errors import FileExists, SourceUnreadable, WriteFailed
from mosaic_deploy.git import repository_root
from mosaic_deploy.source.detect import DetectedFolders, detect_folders
from mosaic_deploy.source.manifest.find import MANIFEST_NAMES


@click.command()
@partial(options.path, path_type=Path)
@click.option("--name", metavar="TEXT", help="Project name. Default: the folder's name.")
@click.option(
    "--github", is_flag=True, help="Also create a GitHub workflow: plan on pull requests, apply on push."
)
@options.output
@click.pass_obj
def init(screen: Screen, path: Path, name: str | None, github: bool) -> None:
    """Create a mosaic.yaml for this folder. Detects migrations, a built site and storage files in PATH.

    In an empty folder it also creates a first page. It adds mosaic.schema.json for editors, a .mosaicignore and
    a section in AGENTS.md, and ignores .env in a git repository. Existing files are not overwritten. If there is
    a manifest, --github only adds the workflow.

    \b
    Examples:
      mosaic-deploy init
      mosaic-deploy init my-site --name "My site" --github
    """
    if github and name is None and _existing_manifests(path):
        _add_workflow(screen, path)
        return
    _refuse_existing_manifest(path)
    made = () if path.is_dir() else (str(path),)
    found = detect_folders(path) if path.is_dir() else None
    started: list[str] = []
    if found is None or not _found_anything(found):
        started = list(_write_starter_page(path, name))
        found = detect_folders(path)
    found = replace(found, name=_normalize_name(name or found.name))
    from mosaic_deploy.source.manifest.read import read_manifest_text

    manifest = templates.manifest_text(found)
    # Checks the generated manifest before anything is written.
    read_manifest_text(manifest, path)
    notes: list[str] = list(_notes(found))
    written = [*started, *_write_gitignore(path, notes)]
    if github:
        written += _write_workflow(path, notes)
    written += _write_project_files(path, manifest)
    _report(screen, path, made, written, (), notes)


def _add_workflow(screen: Screen, path: Path) -> None:
    """Adds the workflow to a project that has a manifest. Raises FileExists if it has a workflow."""
    notes: list[str] = []
    written = list(_write_workflow(path, notes))
    if not written:
        raise FileExists(
            f"{_workflow_file(path)} already exists", hint="edit it, or delete it and run this again"
        )
    others = (templates.SCHEMA_FILE, templates.IGNORE_FILE, templates.AGENTS_FILE)
    left = [*_existing_manifests(path), *(name for name in others if os.path.lexists(path / name))]
    _report(screen, path, (), written, left, notes)


def _report(
    screen: Screen,
    path: Path,
    made: Sequence[str],
    written: Sequence[str],
    left: Sequence[str],
    notes: Sequence[str],
) -> None:
    document = {
        "type": "init",
        "made": list(made),
        "written": list(written),
        "left": list(left),
        "notes": list(notes),
    }
    screen.result(document, _result_lines(path, made, written, left, notes))


def _found_anything(found: DetectedFolders) -> bool:
    return bool(found.static or found.migrations or found.storage or found.needs_build or found.has_root_page)


def _normalize_name(name: str) -> str:
    """`name` as a manifest accepts it: printable, single spaces, not empty."""
    return " ".join("".join(char if char.isprintable() else " " for char in name).split()) or "project"


def _existing_manifests(path: Path) -> list[str]:
    return [name for name in MANIFEST_NAMES if os.path.lexists(path / name)]


def _refuse_existing_manifest(path: Path) -> None:
    for name in _existing_manifests(path):
        raise FileExists(
            f"{path / name} already exists",
            hint="edit it; `mosaic-deploy schema` prints every field, `mosaic-deploy init --github` adds a workflow",
        )


def _write_starter_page(path: Path, name: str | None) -> Iterator[str]:
    """Creates public/index.html and yields its path, unless it exists."""
    page = path / "public" / "index.html"
    _make_folder(page.parent)
    title = _normalize_name(name or path.resolve().name)
    if not page.exists():
        _write_atomically(page, templates.PAGE.format(name=_escaped(title)))
        yield page.relative_to(path).as_posix()


def _write_gitignore(path: Path, notes: list[str]) -> Iterator[str]:
    """Adds `.env` to .gitignore in a git repository."""
    if repository_root(path) is None:
        return
    if git_files.is_tracked(path):
        notes.append(
            ".env is committed to git, so everyone with access to the repository has its keys. "
            "Run `git rm --cached .env` and rotate the keys"
        )
    if not git_files.is_ignored(path):
        file = path / git_files.IGNORE_FILE
        _write_atomically(file, git_files.add_dotenv(_read_text(file)))
        yield git_files.IGNORE_FILE


def _write_project_files(path: Path, manifest: str) -> Iterator[str]:
    """Yields each file's name once written. The manifest comes last, so that an interrupted run can be repeated."""
    from mosaic_deploy.schema_files import read_schema_text
    from mosaic_deploy.source.manifest.read import SCHEMA

    _write_atomically(path / templates.SCHEMA_FILE, read_schema_text(SCHEMA))
    yield templates.SCHEMA_FILE
    if not (path / templates.IGNORE_FILE).exists():
        _write_atomically(path / templates.IGNORE_FILE, templates.IGNORE)
        yield templates.IGNORE_FILE
    agents = path / templates.AGENTS_FILE
    _write_atomically(agents, templates.with_agents_section(_read_text(agents)))
    yield templates.AGENTS_FILE
    _write_new(path / MANIFEST_NAMES[0], manifest)
    yield MANIFEST_NAMES[0]


def _write_workflow(path: Path, notes: list[str]) -> Iterator[str]:
    """Writes the workflow at the root of the repository, unless it exists."""
    from mosaic_deploy.cli.commands.start.git_files import PLACEHOLDER, workflow_text
    from mosaic_deploy.installed import github_reference

    root = repository_root(path) or path
    file = _workflow_file(path)
    if os.path.lexists(file):
        return
    source = github_reference()
    if source is None:
        notes.append(
            f"in {templates.WORKFLOW_FILE}, replace {PLACEHOLDER} with the repository and a commit of mosaic-deploy that you trust"
        )
    _make_folder(file.parent)
    _write_atomically(file, workflow_text(path.resolve().relative_to(root.resolve()).as_posix(), source))
    yield Path(os.path.relpath(file.resolve(), path.resolve())).as_posix()


def _workflow_file(path: Path) -> Path:
    return (repository_root(path) or path) / templates.WORKFLOW_FILE


def _notes(found: DetectedFolders) -> Iterator[str]:
    if found.other_migrations:
        others = ", ".join(found.other_migrations)
        yield f"database.migrations is {found.migrations}; these folders also look like migrations: {others}"
    if found.needs_build:
        yield "no built site found: run your build, then set static.dir to its output folder"
    if found.has_root_page and not found.static:
        yield (
            "index.html isn't deployed from the project folder, so other files are not published by accident. "
            "Move the site into public/ and uncomment `static` in mosaic.yaml"
        )


def _result_lines(
    path: Path, made: Sequence[str], written: Sequence[str], left: Sequence[str], notes: Sequence[str]
) -> Iterator[str]:
    yield from (f"created folder {folder}" for folder in made)
    yield from (f"created {os.path.normpath(path / name)}" for name in written)
    yield from (f"kept {os.path.normpath(path / name)}" for name in left)
    yield from (f"note: {note}" for note in notes)
    where = "" if str(path) == "." else f" {shlex.quote(str(path))}"
    yield f"Try it on this machine:  mosaic-deploy apply --local{where}"


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise SourceUnreadable(f"can't read {file}: {getattr(error, 'strerror', None) or error}") from None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteFailed(f"can't create {folder}: {error.strerror}") from None


def _write_atomically(file: Path, text: str) -> None:
    """Writes the file completely or not at all: AGENTS.md may hold more than our section."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        if file.exists():
            shutil.copymode(file, temporary)
        temporary.replace(file)
    except OSError as error:
        raise WriteFailed(f"can't write {file}: {error.strerror}") from None


def _write_new(file: Path, text: str) -> None:
    """Writes a new file. Raises FileExists if it has been created meanwhile."""
    try:
        with file.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
    except FileExistsError:
        _refuse_existing_manifest(file.parent)
    except OSError as error:
        raise WriteFailed(f"can't write {file}: {error.strerror}") from None


def _escaped(text: str) -> str:
    import html

    return html.escape(text)
