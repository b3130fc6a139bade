"""`mosaic-deploy init`: a first manifest, for what is in the folder or from nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from mosaic_deploy.cli import options, starter
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.errors import SourceRefused, SourceUnreadable
from mosaic_deploy.source.manifest_file import NAMES
from mosaic_deploy.source.survey import Survey, survey


@click.command()
@click.argument("path", default=".", type=click.Path(path_type=Path), metavar="[PATH]")
@click.option("--name", metavar="TEXT", help="The project's name. By default the folder's.")
@click.option(
    "--github", is_flag=True, help="Also write a GitHub workflow: plan on pull requests, apply on push."
)
@options.output
@click.pass_obj
def init(screen: Screen, path: Path, name: str | None, github: bool) -> None:
    """Write a commented mosaic.yaml for what is in the folder PATH: migrations, a built site, assets.

    From nothing it makes a page to begin with. It also writes the schema that editors complete by,
    a .mosaicignore, and a section in AGENTS.md. Nothing that is there is overwritten.
    """
    _refuse_second(path)
    found = survey(path) if path.is_dir() else None
    if found is None or not (found.static or found.migrations or found.storage or found.unbuilt):
        found = _started(path, name)
    found = replace(found, name=_one_line(name or found.name))
    from mosaic_deploy.source.manifest import read_manifest_text

    manifest = starter.manifest_text(found)
    # Nothing is written that would not be taken.
    read_manifest_text(manifest, path)
    written = [*(_write_workflow(path) if github else ()), *_write(path, manifest)]
    document = {"type": "init", "written": written, "notes": list(_notes(found))}
    screen.answer(document, _lines(path, written, found))


def _one_line(name: str) -> str:
    """A name that a manifest may have."""
    return " ".join("".join(char if char.isprintable() else " " for char in name).split()) or "project"


def _refuse_second(path: Path) -> None:
    for name in NAMES:
        if (path / name).exists():
            raise SourceRefused(
                f"{path / name} is there already", hint="edit it; `mosaic-deploy schema` shows every field"
            )


def _started(path: Path, name: str | None) -> Survey:
    """A folder with one page."""
    _make(path / "public")
    title = _one_line(name or path.resolve().name)
    page = path / "public" / "index.html"
    if not page.exists():
        _put(page, starter.PAGE.format(name=_escaped(title)))
    return survey(path)


def _write(path: Path, manifest: str) -> Iterator[str]:
    """The files, by name, each as it is written; the manifest last, so that a broken run can be repeated."""
    from mosaic_deploy.schema_files import read_schema_text
    from mosaic_deploy.source.manifest import SCHEMA

    _put(path / starter.SCHEMA_FILE, read_schema_text(SCHEMA))
    yield starter.SCHEMA_FILE
    if not (path / starter.IGNORE_FILE).exists():
        _put(path / starter.IGNORE_FILE, starter.IGNORE)
        yield starter.IGNORE_FILE
    agents = path / starter.AGENTS_FILE
    _put(agents, starter.with_section(_text_of(agents)))
    yield starter.AGENTS_FILE
    _put(path / NAMES[0], manifest)
    yield NAMES[0]


def _write_workflow(path: Path) -> Iterator[str]:
    """At the repository's root, wherever in it the project lies. One that is there is left alone."""
    from mosaic_deploy.cli.workflow import workflow_text

    root = next(
        (each for each in (path.resolve(), *path.resolve().parents) if (each / ".git").exists()), path
    )
    file = root / starter.WORKFLOW_FILE
    if file.exists():
        return
    _make(file.parent)
    _put(file, workflow_text(path.resolve().relative_to(root.resolve()).as_posix()))
    yield starter.WORKFLOW_FILE


def _notes(found: Survey) -> Iterator[str]:
    if found.other_migrations:
        others = ", ".join(found.other_migrations)
        yield f"database.migrations is {found.migrations}; these look like migrations, too: {others}"
    if found.unbuilt:
        yield "no built site was found: run your build, and set static.dir to where it puts the pages"
    if found.loose_page and not found.static:
        yield "index.html lies beside the manifest: move the site into a folder, such as public, and name that in static.dir"


def _lines(path: Path, written: list[str], found: Survey) -> Iterator[str]:
    for name in written:
        yield f"wrote {path / name}"
    yield from (f"note: {note}" for note in _notes(found))
    where = "" if str(path) == "." else f" {path}"
    yield f"Try it on this machine:  mosaic-deploy apply --local{where}"


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise SourceUnreadable(f"{file} can't be read: {getattr(error, 'strerror', None) or error}") from None


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SourceUnreadable(f"{folder} can't be made: {error.strerror}") from None


def _put(file: Path, text: str) -> None:
    """Writes a file whole or not at all: AGENTS.md may hold more than our section."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8", newline="\n")
        if file.exists():
            shutil.copymode(file, beside)
        beside.replace(file)
    except OSError as error:
        raise SourceUnreadable(f"{file} can't be written: {error.strerror}") from None


def _escaped(text: str) -> str:
    import html

    return html.escape(text)
