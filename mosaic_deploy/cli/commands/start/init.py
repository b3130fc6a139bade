"""`mosaic-deploy init`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.commands.start import templates
from mosaic_deploy.cli.commands.start.choices import choice_notes, choose
from mosaic_deploy.cli.commands.start.first_manifest import Decision, manifest_text
from mosaic_deploy.cli.commands.start.project_files import (
    existing_manifests,
    refuse_existing_manifest,
    workflow_file,
    write_gitignore,
    write_project_files,
    write_starter_page,
    write_workflow,
)
from mosaic_deploy.cli.commands.start.starters import TEMPLATES, template_manifest, write_template
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.errors import FileExists, MosaicError
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.source.detection.project import Detected, detect_project
from mosaic_deploy.source.manifest.find import MANIFEST_NAMES

_MAX_PROBLEMS = 3


@dataclass(slots=True)
class _Result:
    """What was done. Files are relative to the project."""

    made: tuple[str, ...] = ()
    written: list[str] = field(default_factory=list)
    left: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    decisions: tuple[Decision, ...] = ()


@click.command()
@partial(options.path, path_type=Path)
@click.option("--name", metavar="TEXT", help="Project name. Default: the folder's name.")
@click.option(
    "--template",
    type=click.Choice(TEMPLATES),
    help="Start with a small working project.",
)
@click.option(
    "--github", is_flag=True, help="Also create a GitHub workflow: plan on pull requests, apply on push."
)
@options.output
@click.pass_obj
def init(screen: Screen, path: Path, name: str | None, template: str | None, github: bool) -> None:
    """Create a mosaic.yaml for this folder. Detects migrations, the site and how it is built, and storage files in PATH.

    At a terminal it asks if there are several sites or folders of migrations. In an empty folder it creates a first
    page. It adds mosaic.schema.json for editors, a .mosaicignore and a section in AGENTS.md, and ignores .env in a
    git repository. Existing files are not overwritten. If there is a manifest, --github only adds the workflow.

    \b
    Examples:
      mosaic-deploy init
      mosaic-deploy init my-site --name "My site" --github
      mosaic-deploy init guestbook --template guestbook
    """
    if github and name is None and template is None and existing_manifests(path):
        _add_workflow(screen, path)
        return
    refuse_existing_manifest(path)
    result = _Result(made=() if path.is_dir() else (str(path),))
    if template:
        text = template_manifest(template, _normalize_name(name or path.resolve().name))
        result.written += write_template(template, path)
    else:
        text = _detected_manifest(path, name, result)
    from mosaic_deploy.source.manifest.read import read_manifest_text

    # Checks the manifest before it is written.
    manifest = read_manifest_text(text, path)
    result.written += write_gitignore(path, result.notes)
    if github:
        result.written += write_workflow(path, manifest, result.notes)
    result.written += write_project_files(path, text)
    result.notes += _refusal_notes(path)
    _report(screen, path, result)


def _detected_manifest(path: Path, name: str | None, result: _Result) -> str:
    """The text for what is in the folder, with a first page if it is empty."""
    found = detect_project(path) if path.is_dir() else None
    if found is None or found.is_empty:
        result.written += write_starter_page(path, _normalize_name(name or path.resolve().name))
        found = detect_project(path)
    chosen = choose(found, _normalize_name(name or found.name))
    text, result.decisions = manifest_text(chosen)
    result.notes += [*choice_notes(found, chosen), *_dotenv_notes(found)]
    return text


def _dotenv_notes(found: Detected) -> Iterator[str]:
    """About a .env, whose variables the deployer reads."""
    text = found.tree.read(".env") if found.tree.has(".env") else ""
    names = {line.partition("=")[0].removeprefix("export ").strip() for line in text.splitlines()}
    if "DATABASE_URL" in names:
        yield (
            ".env has DATABASE_URL; `mosaic-deploy credentials --reveal` prints that of the project's database, "
            "with --local that of the one on this machine"
        )


def _refusal_notes(path: Path) -> Iterator[str]:
    """Why `validate` refuses the project, if it does."""
    from mosaic_deploy.cli.commands.deploy.validate import check_project

    try:
        check_project(str(path), None)
    except MosaicError as error:
        yield f"`mosaic-deploy validate` reports: {error.message}"
        yield from (str(problem) for problem in error.problems[:_MAX_PROBLEMS])
        if len(error.problems) > _MAX_PROBLEMS:
            yield f"and {len(error.problems) - _MAX_PROBLEMS} more"


def _add_workflow(screen: Screen, path: Path) -> None:
    """Adds the workflow to a project that has a manifest. Raises FileExists if it has a workflow."""
    result = _Result()
    result.written += write_workflow(path, _readable_manifest(path), result.notes)
    if not result.written:
        raise FileExists(
            f"{workflow_file(path)} already exists", hint="edit it, or delete it and run this again"
        )
    others = (templates.SCHEMA_FILE, templates.IGNORE_FILE, templates.AGENTS_FILE)
    result.left = (*existing_manifests(path), *(name for name in others if os.path.lexists(path / name)))
    _report(screen, path, result)


def _readable_manifest(path: Path) -> Manifest | None:
    from mosaic_deploy.source.manifest.read import read_manifest

    try:
        return read_manifest(path, missing_folders=True)
    except MosaicError:
        return None


def _report(screen: Screen, path: Path, result: _Result) -> None:
    document = {
        "type": "init",
        "made": list(result.made),
        "written": result.written,
        "left": list(result.left),
        "notes": result.notes,
        "decisions": [{"line": each.line, "message": each.message} for each in result.decisions],
    }
    screen.result(document, _result_lines(path, result))


def _normalize_name(name: str) -> str:
    """`name` as a manifest accepts it: printable, single spaces, not empty."""
    return " ".join("".join(char if char.isprintable() else " " for char in name).split()) or "project"


def _result_lines(path: Path, result: _Result) -> Iterator[str]:
    yield from (f"created folder {folder}" for folder in result.made)
    yield from (f"created {os.path.normpath(path / name)}" for name in result.written)
    yield from (f"kept {os.path.normpath(path / name)}" for name in result.left)
    yield from (f"note: {note}" for note in result.notes)
    manifest = os.path.normpath(path / MANIFEST_NAMES[0])
    yield from (f"decide: {manifest}:{each.line} {each.message}" for each in result.decisions)
    yield f"Try it on this machine:  {_command(path, 'apply --local')}"
    yield f"Deploy on every save:    {_command(path, 'dev')}"


def _command(path: Path, words: str) -> str:
    return f"mosaic-deploy {words}" + ("" if str(path) == "." else f" {shlex.quote(str(path))}")
