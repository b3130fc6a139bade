"""Checks the folders named in a manifest: they exist, are inside the project, and are safe to publish."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mosaic_deploy.errors import MigrationsNotConfigured, Problem
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.source.manifest.text import SourceText
from mosaic_deploy.source.manifest.yaml_tree import Node, quoted

_FOLDERS = (("static", "dir"), ("storage", "dir"), ("database", "migrations"))
_PUBLISHED = ("static", "storage")


def folder_problems(
    root: Path, tree: Node, source: SourceText, *, missing: bool = False
) -> Iterator[Problem]:
    """A Problem for every folder or seed of the tree that can't be used. Follows symlinks; opens no file.

    `missing`: one that doesn't exist yet is none.
    """
    project = os.path.realpath(root)
    for section, name in _FOLDERS:
        node = _node_at(tree, section, name)
        if node is None or not isinstance(node.value, str) or "\0" in node.value:
            continue  # reported by the schema check
        if found := _folder_mistake(project, section, node, missing=missing):
            message, hint = found
            location = source.location(node.line, node.column)
            yield Problem(message, location, field=node.field, hint=hint)
    yield from _sql_problems(project, tree, source, missing=missing)


def _sql_problems(project: str, tree: Node, source: SourceText, *, missing: bool) -> Iterator[Problem]:
    """Problems of seeds and repeatable files, which are files or folders."""
    seeds = _node_at(tree, "database", "seeds")
    repeatable = _node_at(tree, "database", "repeatable")
    listed = seeds.value if seeds is not None and isinstance(seeds.value, list) else []
    for node in (*listed, *([repeatable] if repeatable else [])):
        if not isinstance(node.value, str) or "\0" in node.value:
            continue
        path = os.path.realpath(os.path.join(project, node.value))  # noqa: PTH118
        name = quoted(node.value) if node.variable is None else f"the value of {node.variable}"
        location = source.location(node.line, node.column)
        if not path.startswith(project.rstrip(os.sep) + os.sep):
            hint = "use a file or folder below the manifest; links are followed"
            yield Problem(f"{name} is outside the project folder", location, field=node.field, hint=hint)
        elif not missing and not os.path.exists(path):  # noqa: PTH110
            yield Problem(
                f"no such file or folder: {name}",
                location,
                field=node.field,
                hint="create it, or correct the name",
            )


def migrations_layout(manifest: Manifest) -> str | None:
    """`database.layout`; None for the one that the folder shows."""
    return manifest.database.layout if manifest.database else None


def migrations_folder(manifest: Manifest) -> str:
    """The folder in `database.migrations`. Raises MigrationsNotConfigured if it isn't set."""
    if manifest.database and manifest.database.migrations:
        return manifest.database.migrations
    raise MigrationsNotConfigured(
        f"{manifest.file.name} has no migrations folder",
        hint="name one in it: database: {migrations: migrations}; `mosaic-deploy migrate new NAME` then creates the folder",
        location=manifest.locate("database"),
    )


def _node_at(tree: Node, section: str, name: str) -> Node | None:
    fields = tree.value.get(section) if isinstance(tree.value, dict) else None
    return fields.value.get(name) if fields is not None and isinstance(fields.value, dict) else None


def _folder_mistake(project: str, section: str, node: Node, *, missing: bool) -> tuple[str, str] | None:
    written = str(node.value)
    name = quoted(written) if node.variable is None else f"the value of {node.variable}"
    # os.path, because Path raises for symlink loops and for names that are too long.
    folder = os.path.realpath(os.path.join(project, written))  # noqa: PTH118
    if folder == project:
        if section in _PUBLISHED:
            hint = "move the files to publish into their own folder, such as public"
            return (
                f"{name} is the manifest's own folder: mosaic.yaml, .env and migrations would be published",
                hint,
            )
    elif not folder.startswith(project.rstrip(os.sep) + os.sep):
        return (
            f"{name} is outside the project folder",
            "use a folder below the manifest; links are followed",
        )
    if os.path.isdir(folder):  # noqa: PTH112
        return None
    if os.path.exists(folder):  # noqa: PTH110
        return f"{name} is not a folder", "specify the folder that contains it"
    if missing:
        return None
    return f"no such folder: {name}", _suggestion(project, written) if node.variable is None else "create it"


def _suggestion(project: str, written: str) -> str:
    """A hint with the most similar folder name beside the missing one."""
    from difflib import get_close_matches

    path = Path(project, written)
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.is_dir()]
    except OSError:
        names = []
    close = get_close_matches(path.name, names, 1)
    return (
        f"did you mean {quoted(str(Path(written).with_name(close[0])))}?"
        if close
        else "create it, or correct the name"
    )
