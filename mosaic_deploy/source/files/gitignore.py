"""gitignore's language: lines of patterns → which names they match, or what is wrong with a line."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mosaic_deploy.errors import ManifestInvalid, Problem
from mosaic_deploy.model.manifest import Manifest

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

_HINT = "patterns are gitignore's; a backslash before [, ! or # takes its meaning away"


@dataclass(frozen=True, slots=True)
class FileSelection:
    """`dir` relative to the project folder, and gitignore-style patterns relative to `dir`.

    `allow_secrets` are patterns of files that are published whatever they seem to hold.
    """

    dir: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    prefix: str = ""
    allow_secrets: tuple[str, ...] = ()


class FileFilter:
    """Which names (relative to the folder) a selection has; a dotfile only where `include` names one."""

    def __init__(self, selection: FileSelection) -> None:
        self._included = compile_matcher(selection.include)
        self._excluded = compile_matcher(selection.exclude)
        self._named = compile_matcher(
            [line for line in selection.include if line[:1] == "!" or _hidden(line)]
        )

    def includes(self, name: str) -> bool:
        """Whether the file `name` is deployed."""
        if self._excluded and self._excluded(name):
            return False
        if _hidden(name) and not (self._named and self._named(name)):
            return False
        return self._included is None or self._included(name)

    def may_enter(self, name: str) -> bool:
        """Whether a file below the folder `name` can be selected at all."""
        if self._excluded and self._excluded(name + "/"):
            return False
        return self._named is not None or not _hidden(name)

    def hidden_only_by_dot(self, name: str) -> bool:
        """Whether `name`, which is left out, would be deployed or entered but for its dot."""
        if not _hidden(name) or (self._excluded and (self._excluded(name) or self._excluded(name + "/"))):
            return False
        return self._included is None or self._included(name)


def compile_matcher(lines: Sequence[str]) -> Callable[[str], bool] | None:
    """Whether a name matches the lines, the last that fits winning; None where there are no lines."""
    return compile_patterns(lines).match_file if lines else None


def compile_patterns(lines: Sequence[str]) -> GitIgnoreSpec:
    """Lines in which `pattern_mistake` finds nothing."""
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(lines)


def pattern_mistake(line: str) -> str | None:
    """Why a line can't be what its writer meant, None for a good one, an empty one or a comment."""
    pattern = line.strip(" \t")
    if not pattern or pattern.startswith("#"):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a set such as [[:alpha:]], which would be read as something else
            usable = compile_patterns([line]).patterns[0].include is not None
    except (ValueError, re.error, Warning):
        return "no pattern in gitignore's language"
    return None if usable and pattern.strip("!/") else "a pattern that matches nothing"


def invalid_patterns_error(manifest: Manifest) -> ManifestInvalid | None:
    """Every pattern of the manifest that can't be used, each at its place; None where all can."""
    problems = list(_problems(manifest))
    if not problems:
        return None
    return ManifestInvalid(f"{manifest.file.name} has patterns that can't be used", problems=problems)


def _problems(manifest: Manifest) -> Iterator[Problem]:
    for section, spec in (("static", manifest.static), ("storage", manifest.storage)):
        for name in ("include", "exclude", "allow_secrets") if spec else ():
            for number, line in enumerate(getattr(spec, name)):
                mistake = "a comment" if line.startswith("#") else pattern_mistake(line)
                if mistake:
                    field = f"{section}.{name}[{number}]"
                    yield Problem(mistake, manifest.locate(field), field, _HINT)


def _hidden(name: str) -> bool:
    """Whether a part of a name, or of a pattern, begins with a dot."""
    return _DOT.search(name) is not None


_DOT = re.compile(r"(?:^|/)\.(?!\.?(?:/|$))")
