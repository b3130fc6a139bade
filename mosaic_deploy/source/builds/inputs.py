"""The files that a build reads: all of its folder but what git ignores, or what `build.inputs` names.

Ignore files are read here rather than by git, so that a project without a repository has the same inputs.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from mosaic_deploy.model.manifest import BuildSpec, Manifest
from mosaic_deploy.source.files.gitignore import compile_matcher, pattern_mistake
from mosaic_deploy.source.files.ignored import IgnoreRules, parse_line
from mosaic_deploy.source.manifest.folders import boundary_of, is_inside, literal_part

_NEVER_READ = frozenset({".git", ".hg", ".svn", "node_modules", ".DS_Store"})
"""Installed packages are named by lock files, which are read."""
_SETTINGS = ".env"
"""Beginning of the names of files with a build's settings, which git usually ignores."""
_MAX_IGNORE_FILE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file by its path without links. `status` is that of what it links to; of a link to a folder, its own."""

    path: str
    status: os.stat_result


@dataclass(slots=True)
class Inputs:
    """The files, and the places to watch for edits: `folders` with all their content, and `listed` ones without that."""

    files: list[InputFile] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    listed: list[str] = field(default_factory=list)


def find_inputs(manifest: Manifest, build: BuildSpec) -> Inputs:
    """The build's inputs, by path. What can't be read is left out: the build can't read it either."""
    root = os.path.realpath(manifest.root)
    output = os.path.realpath(f"{root}/{build.output}")
    left_out = {output}
    if not build.inputs:
        others = {
            os.path.realpath(f"{root}/{name}") for name in (*manifest.deployed_folders, manifest.file.name)
        }
        # Of a folder that the output is only a part of, the build may read the rest.
        left_out |= {path for path in others if not is_inside(output, path)}
    found = Inputs()
    walk = _Walk(boundary_of(manifest.root), frozenset(left_out), found)
    for name in build.inputs or (build.dir,):
        literal = literal_part(name)
        pattern = "" if literal == name else os.path.relpath(name, literal)
        walk.add(os.path.realpath(f"{root}/{literal}"), pattern, whole=not build.inputs)
    found.files = sorted({file.path: file for file in found.files}.values(), key=lambda file: file.path)
    return found


class _Walk:
    """Collects the inputs. Names in ignore rules are relative to the outermost folder that may have some."""

    def __init__(self, boundary: str, left_out: frozenset[str], found: Inputs) -> None:
        self._boundary = boundary
        self._left_out = left_out
        self._found = found

    def add(self, path: str, pattern: str, *, whole: bool) -> None:
        """Adds what is at `path`, if given only what matches `pattern` below it; a file or folder that is named counts even
        if git ignores it. `whole`: it is all of the build's folder.
        """
        try:
            status = os.stat(path)  # noqa: PTH116 - a path as text
        except OSError:
            return
        if any(is_inside(path, left_out) for left_out in self._left_out):
            return
        if not stat.S_ISDIR(status.st_mode):
            self._found.files += [InputFile(path, status)] if stat.S_ISREG(status.st_mode) else []
            return
        matches = compile_matcher([f"/{pattern}"]) if pattern and not pattern_mistake(pattern) else None
        folders, left = self._collect(path, matches, settings=whole)
        if left:
            self._found.listed.append(path)
            self._found.folders += folders
        else:
            self._found.folders.append(path)

    def _collect(
        self, top: str, matches: Callable[[str], bool] | None, *, settings: bool
    ) -> tuple[list[str], bool]:
        """The folders in `top` that were entered, and whether any other was left out. Links to folders aren't followed."""
        entered: list[str] = []
        left = False
        pending = [(top, self._inherited_rules(top))]
        while pending:
            folder, rules = pending.pop()
            rules = _with_ignore_file(rules, self._boundary, self._name(folder))
            for entry in _entries(folder):
                path = f"{folder}/{entry.name}"
                is_folder = entry.is_dir(follow_symlinks=False)
                kept = settings and folder == top and entry.name.startswith(_SETTINGS) and not is_folder
                if not kept and self._is_left_out(path, entry.name, rules, folder=is_folder):
                    left = left or (folder == top and is_folder)
                elif is_folder:
                    pending.append((path, rules))
                    entered += [path] if folder == top else []
                elif (matches is None or matches(path[len(top) + 1 :])) and (
                    file := _input_file(entry, path)
                ):
                    self._found.files.append(file)
        return sorted(entered), left

    def _is_left_out(self, path: str, name: str, rules: IgnoreRules, *, folder: bool) -> bool:
        return name in _NEVER_READ or path in self._left_out or rules.ignores(self._name(path), folder=folder)

    def _name(self, path: str) -> str:
        """Relative to the boundary, empty for the boundary itself."""
        return path[len(self._boundary.rstrip("/")) + 1 :]

    def _inherited_rules(self, folder: str) -> IgnoreRules:
        """The rules in the folders above."""
        rules = IgnoreRules()
        name = self._name(folder)
        parts = name.split("/") if name else []
        for depth in range(len(parts)):
            rules = _with_ignore_file(rules, self._boundary, "/".join(parts[:depth]))
        return rules


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _input_file(entry: os.DirEntry[str], path: str) -> InputFile | None:
    """None for what has no content: sockets, and what was deleted meanwhile."""
    try:
        status = entry.stat()
    except OSError:
        status = None
    try:
        if status is None or stat.S_ISDIR(status.st_mode):
            status = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    if stat.S_ISREG(status.st_mode) and (status.st_dev, status.st_ino) in _own_output():
        return None
    return InputFile(path, status) if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode) else None


@cache
def _own_output() -> frozenset[tuple[int, int]]:
    """The files that this program writes to, as with `dev > dev.log`: each line would be a reason to build again."""
    found = set()
    for descriptor in (1, 2):
        with suppress(OSError):
            status = os.fstat(descriptor)
            found.add((status.st_dev, status.st_ino))
    return frozenset(found)


def _with_ignore_file(rules: IgnoreRules, boundary: str, folder: str) -> IgnoreRules:
    """The rules with those of a folder's .gitignore. Lines that can't be used are skipped, as git does."""
    path = Path(boundary, folder, ".gitignore")
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_IGNORE_FILE:
            return rules
        text = path.read_text("utf-8", "replace")
    except OSError:
        return rules
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    used = [
        line for line in lines if line.strip(" \t") and not line.startswith("#") and not pattern_mistake(line)
    ]
    patterns = tuple(parse_line(line) for line in reversed(used))
    length = len(folder) + 1 if folder else 0
    return IgnoreRules(((length, patterns), *rules.files)) if patterns else rules
