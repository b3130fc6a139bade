"""Writes the files of a new project, without overwriting any."""

from __future__ import annotations

import html
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from mosaic_deploy.cli.commands.start import git_files, templates
from mosaic_deploy.cli.commands.start.workflow import (
    PLACEHOLDER,
    Workflow,
    build_steps,
    workflow_targets,
    workflow_text,
)
from mosaic_deploy.errors import FileExists, SourceUnreadable, WriteFailed
from mosaic_deploy.git import default_branch, repository_root
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.source.manifest.find import MANIFEST_NAMES


def existing_manifests(path: Path) -> list[str]:
    """The names of the manifests in the folder."""
    return [name for name in MANIFEST_NAMES if os.path.lexists(path / name)]


def refuse_existing_manifest(path: Path) -> None:
    """Raises FileExists if the folder has a manifest."""
    for name in existing_manifests(path):
        raise FileExists(
            f"{path / name} already exists",
            hint="edit it; `mosaic-deploy schema` prints every field, `mosaic-deploy init --github` adds a workflow",
        )


def write_starter_page(path: Path, title: str) -> Iterator[str]:
    """Creates public/index.html and yields its path, unless it exists."""
    page = path / "public" / "index.html"
    make_folder(page.parent)
    if not page.exists():
        write_atomically(page, templates.PAGE.format(name=html.escape(title)))
        yield page.relative_to(path).as_posix()


def write_gitignore(path: Path, notes: list[str]) -> Iterator[str]:
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
        write_atomically(file, git_files.add_dotenv(_read_text(file)))
        yield git_files.IGNORE_FILE


def write_project_files(path: Path, manifest: str) -> Iterator[str]:
    """Yields each file's name once written. The manifest comes last, so that an interrupted run can be repeated."""
    from mosaic_deploy.schema_files import read_schema_text
    from mosaic_deploy.source.manifest.read import SCHEMA

    write_atomically(path / templates.SCHEMA_FILE, read_schema_text(SCHEMA))
    yield templates.SCHEMA_FILE
    if not (path / templates.IGNORE_FILE).exists():
        write_atomically(path / templates.IGNORE_FILE, templates.IGNORE)
        yield templates.IGNORE_FILE
    agents = path / templates.AGENTS_FILE
    write_atomically(agents, templates.with_agents_section(_read_text(agents)))
    yield templates.AGENTS_FILE
    _write_new(path / MANIFEST_NAMES[0], manifest)
    yield MANIFEST_NAMES[0]


def write_workflow(path: Path, manifest: Manifest | None, notes: list[str]) -> Iterator[str]:
    """Writes the workflow at the root of the repository, unless it exists. Without a valid manifest, one that only deploys."""
    from mosaic_deploy.installed import github_reference

    root = repository_root(path) or path
    file = workflow_file(path)
    if os.path.lexists(file):
        return
    source = github_reference()
    if source is None:
        notes.append(
            f"in {templates.WORKFLOW_FILE}, replace {PLACEHOLDER} with the repository and a commit of mosaic-deploy that you trust"
        )
    steps, missing = build_steps(manifest) if manifest else ([], "")
    if missing:
        notes.append(
            f"in {templates.WORKFLOW_FILE}, add a step that installs {missing}, which the build needs"
        )
    targets = workflow_targets(manifest) if manifest else [""]
    if targets != [""]:
        shown = ", then ".join(name or "the manifest without an environment" for name in targets)
        notes.append(f"{templates.WORKFLOW_FILE} deploys {shown}; remove the jobs that you don't want")
    place = path.resolve().relative_to(root.resolve()).as_posix()
    make_folder(file.parent)
    workflow = Workflow(place, source, targets, steps, default_branch(root))
    write_atomically(file, workflow_text(workflow))
    yield Path(os.path.relpath(file.resolve(), path.resolve())).as_posix()


def workflow_file(path: Path) -> Path:
    """Where the workflow belongs."""
    return (repository_root(path) or path) / templates.WORKFLOW_FILE


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise SourceUnreadable(f"can't read {file}: {getattr(error, 'strerror', None) or error}") from None


def make_folder(folder: Path) -> None:
    """Raises WriteFailed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteFailed(f"can't create {folder}: {error.strerror}") from None


def write_atomically(file: Path, text: str) -> None:
    """Writes the file completely or not at all: AGENTS.md may hold more than our section. Raises WriteFailed."""
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
        refuse_existing_manifest(file.parent)
    except OSError as error:
        raise WriteFailed(f"can't write {file}: {error.strerror}") from None
