"""Checks the folders named in a manifest: they exist, are inside the repository, and are safe to publish."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from mosaic_deploy.errors import MigrationsNotConfigured, Problem
from mosaic_deploy.git import repository_root
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.source.manifest.text import SourceText
from mosaic_deploy.source.manifest.yaml_tree import Node, node_at, quoted

_FOLDERS = (
    ("build", "output"),
    ("build", "dir"),
    ("dev", "dir"),
    ("static", "dir"),
    ("storage", "dir"),
    ("database", "migrations"),
)
_PUBLISHED = ("output", "static", "storage")
_WILDCARDS = frozenset("*?[")
_ESCAPED = re.compile(r"\\(.)")
_OUTSIDE_HINT = "use a folder below the manifest, or beside it in the same git repository; links are followed"


@dataclass(frozen=True, slots=True)
class FolderRules:
    """What needn't exist yet: with `missing`, all folders and seeds; unless `built`, what is inside the build's output."""

    missing: bool = False
    built: bool = False


def boundary_of(root: Path) -> str:
    """The folder that everything a manifest in `root` names must be inside: its git repository, else `root`. Without links."""
    return os.path.realpath(repository_root(root) or root)


def is_inside(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or below it. Both are without links."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def named_paths(manifest: Manifest) -> Iterator[str]:
    """Everything on disk that the manifest names: what is deployed, what its build runs in, reads and fills, and where its backend is."""
    yield from manifest.deployed_folders
    if build := manifest.build:
        yield from (build.output, build.dir, *(literal_part(name) for name in build.inputs))
    if dev := manifest.dev:
        yield from (dev.dir, *dev.watch)


def literal_part(pattern: str) -> str:
    """The folders at the beginning of a pattern that have no wildcard; all of a name without one."""
    parts = pattern.split("/")
    first = next((i for i, part in enumerate(parts) if not _WILDCARDS.isdisjoint(part)), len(parts))
    return "/".join(parts[:first]) or "."


def published_tops(include: Sequence[str]) -> tuple[str, ...]:
    """The names at the top of a folder that patterns begin with (`/index.html`, `/css/*.css`); none if one begins otherwise."""
    tops: dict[str, None] = {}
    for line in include:
        if line.startswith("!"):
            continue
        pattern = line.strip().rstrip("/")
        top = pattern.removeprefix("/").partition("/")[0]
        if "/" not in pattern or not top.strip(".") or not _WILDCARDS.isdisjoint(_ESCAPED.sub("", top)):
            return ()
        tops[_ESCAPED.sub(r"\1", top)] = None
    return tuple(tops)


def is_project_folder(folder: str) -> bool:
    """Whether a folder of the manifest, as written, is the one that the manifest is in."""
    return os.path.normpath(folder) == "."


def folder_problems(root: Path, tree: Node, source: SourceText, rules: FolderRules) -> Iterator[Problem]:
    """A Problem for every folder or file named in the tree that can't be used. Follows symlinks; opens no file."""
    yield from _Checker(root, tree, source, rules).problems()


class _Checker:
    def __init__(self, root: Path, tree: Node, source: SourceText, rules: FolderRules) -> None:
        self.project = os.path.realpath(root)
        self.boundary = boundary_of(root)
        self.tree = tree
        self.source = source
        self.missing = rules.missing
        output = node_at(tree, "build", "output")
        self.output = self.real_path(output) if _is_path(output) else None
        """The folder that the build makes, without links."""
        self.unbuilt = None if rules.built else self.output

    def problems(self) -> Iterator[Problem]:
        reported: Node | None = None
        for section, name in _FOLDERS:
            node = node_at(self.tree, section, name)
            # The default of static.dir is the node of build.output.
            if not _is_path(node) or node is reported:
                continue
            if found := self.folder_mistake(name if name == "output" else section, node):
                yield self.problem(node, *found)
                reported = node
        static = node_at(self.tree, "static")
        if static is not None and isinstance(static.value, dict) and not _has_dir(static.value):
            location = self.source.location(*(static.key_at or (static.line, static.column)))
            yield Problem("required field is missing", location, f"{static.field}.dir", "add dir: public")
        for section, name in (("database", "seeds"), ("build", "inputs"), ("dev", "watch")):
            listed = node_at(self.tree, section, name)
            for node in listed.value if listed is not None and isinstance(listed.value, list) else ():
                if _is_path(node) and (found := self.entry_mistake(node)):
                    yield self.problem(node, *found)
        repeatable = node_at(self.tree, "database", "repeatable")
        if _is_path(repeatable) and (found := self.entry_mistake(repeatable)):
            yield self.problem(repeatable, *found)
        yield from self.build_problems()

    def build_problems(self) -> Iterator[Problem]:
        """Problems of a build that names usable folders which don't fit each other."""
        output, command = node_at(self.tree, "build", "output"), node_at(self.tree, "build", "command")
        for empty, example in (
            (command, "[npm, run, build]"),
            (node_at(self.tree, "dev", "command"), "[node, server.js]"),
        ):
            if empty is not None and empty.value == []:
                yield self.problem(empty, "the list is empty", f"for example: {example}")
        if output is None or self.output is None:
            return
        working = node_at(self.tree, "build", "dir")
        folder = self.real_path(working) if _is_path(working) else self.project
        if is_inside(folder, self.output) and self.output != self.project:
            hint = "name the folder that the command fills, such as dist"
            yield self.problem(output, "the command runs in this folder, so it can't be its output", hint)
        deployed = [node_at(self.tree, section, name) for section, name in _FOLDERS[3:]]
        seeds = node_at(self.tree, "database", "seeds")
        deployed += seeds.value if seeds is not None and isinstance(seeds.value, list) else []
        deployed.append(node_at(self.tree, "database", "repeatable"))
        paths = [self.real_path(node) for node in deployed if _is_path(node)]
        if not any(is_inside(path, self.output) or is_inside(self.output, path) for path in paths):
            hint = "to publish it, add static: {}, whose dir defaults to it"
            yield self.problem(output, f"nothing deploys {_name(output)}", hint)

    def problem(self, node: Node, message: str, hint: str | None) -> Problem:
        return Problem(message, self.source.location(node.line, node.column), field=node.field, hint=hint)

    def real_path(self, node: Node) -> str:
        # os.path, because Path raises for symlink loops and for names that are too long.
        return os.path.realpath(os.path.join(self.project, str(node.value)))  # noqa: PTH118

    def outside_mistake(self, path: str, name: str) -> tuple[str, str] | None:
        if is_inside(path, self.project):
            return None
        if not is_inside(path, self.boundary):
            what = "the project folder" if self.boundary == self.project else "the git repository"
            return f"{name} is outside {what}", _OUTSIDE_HINT
        beside = Path(os.path.relpath(path, self.project)).parts
        if hidden := next((part for part in beside if part.startswith(".") and part != ".."), None):
            hint = "folders beside the manifest can't be hidden ones, which hold settings and keys"
            return f"{name} is in {quoted(hidden)}", hint
        return None

    def folder_mistake(self, kind: str, node: Node) -> tuple[str, str | None] | None:
        folder, name = self.real_path(node), _name(node)
        if kind in _PUBLISHED and is_inside(self.project, folder) and is_inside(folder, self.boundary):
            return self.containing_mistake(kind, node)
        if outside := self.outside_mistake(folder, name):
            return outside
        if os.path.isdir(folder):  # noqa: PTH112
            return None
        if os.path.exists(folder):  # noqa: PTH110
            return f"{name} is not a folder", "specify the folder that contains it"
        if self.missing or (self.unbuilt and is_inside(folder, self.unbuilt)):
            return None
        hint = _suggestion(self.project, str(node.value)) if node.variable is None else "create it"
        return f"no such folder: {name}", hint

    def containing_mistake(self, kind: str, node: Node) -> tuple[str, str] | None:
        """Of a folder to publish that the manifest is in."""
        is_own = self.real_path(node) == self.project
        if kind == "static" and is_project_folder(str(node.value)) and self.names_published():
            return None
        what = "the manifest's own folder" if is_own else "above the manifest"
        hint = "move the files to publish into their own folder, such as public"
        if kind == "static" and is_own:
            hint += "; or set dir to . and name each file and folder: include: [/index.html, /css/]"
        return f"{_name(node)} is {what}: mosaic.yaml, .env and migrations would be published", hint

    def names_published(self) -> bool:
        """Whether `static.include` names what to publish, so that nothing else beside the manifest is published."""
        include = node_at(self.tree, "static", "include")
        listed = include.value if include is not None and isinstance(include.value, list) else ()
        return bool(published_tops([str(each.value) for each in listed]))

    def entry_mistake(self, node: Node) -> tuple[str, str | None] | None:
        """Of a seed or an input, which are files, folders or patterns."""
        written = literal_part(str(node.value)) if ".inputs[" in node.field else str(node.value)
        path, name = os.path.realpath(os.path.join(self.project, written)), _name(node)  # noqa: PTH118
        if path == self.project and written == str(node.value) and ".seeds[" in node.field:
            return f"{name} is the manifest's own folder", "use a file or folder below the manifest"
        if outside := self.outside_mistake(path, name):
            return outside
        if self.missing or os.path.exists(path):  # noqa: PTH110
            return None
        if self.unbuilt and is_inside(path, self.unbuilt):
            return None
        return f"no such file or folder: {name}", "create it, or correct the name"


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


def _has_dir(fields: Mapping[str, Node]) -> bool:
    """Whether `dir` is set, or misspelt, which the schema check reports."""
    if "dir" in fields:
        return True
    from difflib import get_close_matches

    return bool(get_close_matches("dir", [key.lower() for key in fields], 1))


def _is_path(node: Node | None) -> TypeGuard[Node]:
    """Whether it is a path; what isn't is reported by the schema check."""
    return node is not None and isinstance(node.value, str) and "\0" not in node.value


def _name(node: Node) -> str:
    return quoted(str(node.value)) if node.variable is None else f"the value of {node.variable}"


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
