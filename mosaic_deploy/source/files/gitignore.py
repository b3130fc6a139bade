"""Patterns in gitignore syntax: matching names, and checking patterns."""

from __future__ import annotations

import posixpath
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mosaic_deploy.errors import ManifestInvalid, Problem
from mosaic_deploy.model.manifest import Manifest, StaticSpec
from mosaic_deploy.source.manifest.find import MANIFEST_NAMES
from mosaic_deploy.source.manifest.folders import is_project_folder, published_tops

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

_HINT = "patterns use gitignore syntax; put a backslash before a literal [, ! or #"


@dataclass(frozen=True, slots=True)
class FileSelection:
    """Which files of a folder to deploy. `dir` is relative to the project folder, the patterns are relative to `dir`.

    `prefix` is put before every name on the platform. Files that match `allow_secrets` may contain secrets.
    `published_folders` are folders at the top of `dir` that are published although their names start with a dot.
    """

    dir: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    prefix: str = ""
    allow_secrets: tuple[str, ...] = ()
    published_folders: tuple[str, ...] = ()


WELL_KNOWN = ".well-known"
"""The folder of a site whose name begins with a dot, and which is published: browsers and apps look there."""


def static_selection(manifest: Manifest, spec: StaticSpec) -> FileSelection:
    """The static files. From the project folder, never the manifest or what else it deploys, whatever `include` says."""
    exclude = spec.exclude
    if is_project_folder(spec.dir):
        others = [
            each for each in manifest.deployed_folders if each != spec.dir and not each.startswith("..")
        ]
        own = (*MANIFEST_NAMES, *(posixpath.normpath(each) for each in others))
        exclude = (*exclude, *(f"/{escaped_pattern(each)}" for each in own))
    return FileSelection(
        spec.dir, spec.include, exclude, "", spec.allow_secrets, published_folders=(WELL_KNOWN,)
    )


def escaped_pattern(name: str) -> str:
    """A pattern that matches the name and no other."""
    return _ESCAPED.sub(_ESCAPE, name)


_ESCAPED = re.compile(r"[\\*?\[\]!# ]")
_ESCAPE = r"\\\g<0>"


class FileFilter:
    """Decides which names (relative to `dir`) a selection includes. Dotfiles need an `include` pattern that names them."""

    def __init__(self, selection: FileSelection) -> None:
        self._published = selection.published_folders
        self._tops = published_tops(selection.include) if is_project_folder(selection.dir) else ()
        self._included = compile_matcher(selection.include)
        self._excluded = compile_matcher(selection.exclude)
        self._named = compile_matcher(
            [line for line in selection.include if line[:1] == "!" or _hidden(line)]
        )

    def includes(self, name: str) -> bool:
        """Whether the file `name` is deployed."""
        if self._excluded and self._excluded(name):
            return False
        if self._is_hidden(name) and not (self._named and self._named(name)):
            return False
        return self._included is None or self._included(name)

    def may_enter(self, name: str) -> bool:
        """Whether any file in the folder `name` can be selected."""
        if self._excluded and self._excluded(name + "/"):
            return False
        if self._tops and name.partition("/")[0] not in self._tops:
            return False
        return self._named is not None or not self._is_hidden(name)

    def hidden_only_by_dot(self, name: str) -> bool:
        """Whether the excluded `name` is excluded only because it starts with a dot."""
        if not self._is_hidden(name):
            return False
        if self._excluded and (self._excluded(name) or self._excluded(name + "/")):
            return False
        return self._included is None or self._included(name)

    def _is_hidden(self, name: str) -> bool:
        top, _, below = name.partition("/")
        return _hidden(below if top in self._published else name)


def compile_matcher(lines: Sequence[str]) -> Callable[[str], bool] | None:
    """A function that tells whether a name matches, by the last matching line; None if there are no lines."""
    return compile_patterns(lines).match_file if lines else None


def compile_patterns(lines: Sequence[str]) -> GitIgnoreSpec:
    """Compiles lines that `pattern_mistake` accepts."""
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(lines)


def pattern_mistake(line: str) -> str | None:
    """What is wrong with a line; None for a valid pattern, an empty line or a comment."""
    pattern = line.strip(" \t")
    if not pattern or pattern.startswith("#"):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # for sets like [[:alpha:]], which Python reads differently
            usable = compile_patterns([line]).patterns[0].include is not None
    except (ValueError, re.error, Warning):
        return "invalid pattern"
    return None if usable and pattern.strip("!/") else "this pattern matches nothing"


def invalid_patterns_error(manifest: Manifest) -> ManifestInvalid | None:
    """The error for all invalid patterns of the manifest, None if there are none."""
    problems = list(_problems(manifest))
    if not problems:
        return None
    return ManifestInvalid(f"{manifest.file.name} has invalid patterns", problems=problems)


def _problems(manifest: Manifest) -> Iterator[Problem]:
    for section, spec in (("static", manifest.static), ("storage", manifest.storage)):
        for name in ("include", "exclude", "allow_secrets") if spec else ():
            for number, line in enumerate(getattr(spec, name)):
                mistake = "this pattern is a comment" if line.startswith("#") else pattern_mistake(line)
                if mistake:
                    field = f"{section}.{name}[{number}]"
                    yield Problem(mistake, manifest.locate(field), field, _HINT)


def _hidden(name: str) -> bool:
    """Whether any part of a name or pattern starts with a dot."""
    return _DOT.search(name) is not None


_DOT = re.compile(r"(?:^|/)\.(?!\.?(?:/|$))")
