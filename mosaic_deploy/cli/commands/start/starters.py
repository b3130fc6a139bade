"""The projects of `init --template`: the examples that ship with the program, inside the package in a wheel, beside it in a checkout."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import mosaic_deploy
from mosaic_deploy.cli.commands.start.first_manifest import yaml_string
from mosaic_deploy.cli.commands.start.project_files import make_folder
from mosaic_deploy.cli.commands.start.templates import SCHEMA_FILE
from mosaic_deploy.errors import FileExists, WriteFailed
from mosaic_deploy.source.manifest.find import MANIFEST_NAMES

TEMPLATES = ("todo", "guestbook", "spa", "semantic-search", "uploads", "vite-prisma")
_LEFT_BY_RUNS = frozenset({"__pycache__", "node_modules", "dist", "package-lock.json"})
_PACKAGE = Path(mosaic_deploy.__file__).parent
_FOLDERS = (_PACKAGE / "examples", _PACKAGE.parent / "examples")


def template_manifest(template: str, name: str) -> str:
    """The template's manifest with this project name."""
    text = (_folder(template) / MANIFEST_NAMES[0]).read_text("utf-8")
    text = re.sub(r"\$schema=\S+", f"$schema={SCHEMA_FILE}", text, count=1)
    return re.sub(r"(?m)^  name: .*$", lambda _: f"  name: {yaml_string(name)}", text, count=1)


def write_template(template: str, path: Path) -> Iterator[str]:
    """Yields each file's name once written, all but the manifest. Raises FileExists if one exists, WriteFailed."""
    source = _folder(template)
    names = [name for name in sorted(_names(source)) if name not in MANIFEST_NAMES]
    for name in names:
        if os.path.lexists(path / name):
            raise FileExists(f"{path / name} already exists", hint="use a template in a folder of its own")
    for name in names:
        make_folder((path / name).parent)
        try:
            (path / name).write_bytes((source / name).read_bytes())
        except OSError as error:
            raise WriteFailed(f"can't write {path / name}: {error.strerror}") from None
        yield name


def _folder(template: str) -> Path:
    for folder in _FOLDERS:
        if (folder / template / MANIFEST_NAMES[0]).is_file():
            return folder / template
    raise FileNotFoundError(f"this installation of mosaic-deploy lacks the template {template}")


def _names(source: Path) -> Iterator[str]:
    """The files that belong to the example; a checkout also has what running it has left there."""
    for folder, folders, files in os.walk(source):
        folders[:] = [name for name in folders if name not in _LEFT_BY_RUNS and not name.startswith(".")]
        for file in files:
            if not file.startswith(".") and file not in _LEFT_BY_RUNS:
                yield Path(folder, file).relative_to(source).as_posix()
