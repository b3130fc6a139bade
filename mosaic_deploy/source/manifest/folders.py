"""The folders that a manifest names: inside the project, there, and safe to publish."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mosaic_deploy.errors import ManifestInvalid, Problem
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.source.manifest.text import SourceText
from mosaic_deploy.source.manifest.yaml_tree import Node, quoted

_FOLDERS = (("static", "dir"), ("storage", "dir"), ("database", "migrations"))
_PUBLISHED = ("static", "storage")


def folder_problems(root: Path, tree: Node, source: SourceText) -> Iterator[Problem]:
    """Every folder of the tree that can't be used. Follows symlinks; reads only names."""
    project = os.path.realpath(root)
    for section, name in _FOLDERS:
        node = _node_at(tree, section, name)
        if node is None or not isinstance(node.value, str) or "\0" in node.value:
            continue  # what isn't there, or isn't a name at all, is the schema's business
        if found := _folder_mistake(project, section, node):
            message, hint = found
            where = source.location(node.line, node.column)
            yield Problem(message, where, field=node.field, hint=hint)
    yield from _seed_problems(project, tree, source)


def _seed_problems(project: str, tree: Node, source: SourceText) -> Iterator[Problem]:
    """Seeds are files as well as folders; each must be inside the project, and there."""
    seeds = _node_at(tree, "database", "seeds")
    for node in seeds.value if seeds is not None and isinstance(seeds.value, list) else ():
        if not isinstance(node.value, str) or "\0" in node.value:
            continue
        path = os.path.realpath(os.path.join(project, node.value))  # noqa: PTH118
        name = quoted(node.value) if node.variable is None else f"the value of {node.variable}"
        where = source.location(node.line, node.column)
        if not path.startswith(project.rstrip(os.sep) + os.sep):
            hint = "use a file or folder below the manifest; a link out of it counts too"
            yield Problem(f"{name} leaves the project folder", where, field=node.field, hint=hint)
        elif not os.path.exists(path):  # noqa: PTH110
            yield Problem(f"no such file or folder: {name}", where, field=node.field, hint="correct the name")


def migrations_folder(manifest: Manifest) -> str:
    """The folder `database.migrations` names. Raises ManifestInvalid where it names none."""
    if manifest.database and manifest.database.migrations:
        return manifest.database.migrations
    where = manifest.locate("database")
    hint = "create a folder, and name it: database: {migrations: migrations}"
    problem = Problem("no migrations folder is named", where, "database.migrations", hint)
    raise ManifestInvalid("this manifest has no migrations", problems=[problem])


def _node_at(tree: Node, section: str, name: str) -> Node | None:
    fields = tree.value.get(section) if isinstance(tree.value, dict) else None
    return fields.value.get(name) if fields is not None and isinstance(fields.value, dict) else None


def _folder_mistake(project: str, section: str, node: Node) -> tuple[str, str] | None:
    written = str(node.value)
    name = quoted(written) if node.variable is None else f"the value of {node.variable}"
    # os.path rather than Path: a loop of links or a name too long is just not there, and doesn't raise.
    folder = os.path.realpath(os.path.join(project, written))  # noqa: PTH118
    if folder == project:
        if section in _PUBLISHED:
            hint = "put what is to be published in a folder of its own, such as public"
            return (
                f"{name} is the manifest's own folder: mosaic.yaml, .env and migrations would be published",
                hint,
            )
    elif not folder.startswith(project.rstrip(os.sep) + os.sep):
        return (
            f"{name} leaves the project folder",
            "use a folder below the manifest; a link out of it counts too",
        )
    if os.path.isdir(folder):  # noqa: PTH112
        return None
    if os.path.exists(folder):  # noqa: PTH110
        return f"{name} is not a folder", "name the folder that holds it"
    return f"no such folder: {name}", _suggestion(project, written) if node.variable is None else "create it"


def _suggestion(project: str, written: str) -> str:
    """A folder that may have been meant: the closest name beside the one that isn't there."""
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
