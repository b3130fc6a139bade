"""`.mosaicignore`: names that are left out, in gitignore's language, in any folder from the project's down."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mosaic_deploy.errors import Location, Problem, SourceRefused, SourceUnreadable
from mosaic_deploy.source.files.gitignore import compile_patterns, pattern_mistake
from mosaic_deploy.source.manifest.text import SourceTextError, read_source_text

if TYPE_CHECKING:
    from pathspec import Pattern
    from pathspec.pattern import RegexMatchResult

IGNORE_FILE = ".mosaicignore"
_DESCENDANT_GROUP = "ps_d"
"""The group that takes part in pathspec's match where a pattern is about a folder above the name."""


@dataclass(frozen=True, slots=True)
class IgnorePattern:
    """One pattern: whether it leaves out or takes back, and whether it is about folders only."""

    pattern: Pattern
    negated: bool
    folders_only: bool

    def matches(self, name: str, *, folder: bool) -> bool:
        """Whether the pattern is about `name` itself: pathspec matches what is below a folder, too."""
        if self.folders_only and not folder:
            return False
        found: RegexMatchResult | None = self.pattern.match_file(name)
        return found is not None and found.match.groupdict().get(_DESCENDANT_GROUP) is None


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The ignore files that count in one folder, the deepest first: each with how long its own folder's name is.

    As in git, the deepest file that says anything about a name decides, and in a file its last line that fits. A
    folder that is left out isn't entered, so nothing below it can be taken back.
    """

    files: tuple[tuple[int, tuple[IgnorePattern, ...]], ...] = ()

    def ignores(self, name: str, *, folder: bool) -> bool:
        """Whether `name`, relative to the project folder, is left out."""
        for length, lines in self.files:
            below = name[length:]
            for line in lines:
                if line.matches(below, folder=folder):
                    return not line.negated
        return False

    def with_folder(self, root: Path, folder: str) -> IgnoreRules:
        """What counts in `folder` (relative to `root`, empty for itself), which has an ignore file of its own."""
        lines = _read_patterns(root, f"{folder}/{IGNORE_FILE}" if folder else IGNORE_FILE)
        length = len(folder) + 1 if folder else 0
        return IgnoreRules(((length, tuple(reversed(lines))), *self.files)) if lines else self


def inherited_ignore_rules(root: Path, folder: str) -> IgnoreRules:
    """What counts in `folder` by the ignore files above it, the project folder's own first.

    Raises SourceRefused where they leave out the folder itself: nothing would be deployed, and with pruning
    everything deleted, which nobody means.
    """
    found = IgnoreRules()
    parts = folder.split("/")
    for depth, part in enumerate(parts):
        above = "/".join(parts[:depth])
        if os.path.lexists(root / above / IGNORE_FILE):
            found = found.with_folder(root, above)
        if found.ignores(f"{above}/{part}" if above else part, folder=True):
            problem = Problem(f"left out by a {IGNORE_FILE} above it", Location(folder))
            hint = f"delete the line that fits it, or take the folder back in a line below: !/{folder}/"
            raise SourceRefused(
                "a folder to be deployed is left out as a whole", problems=[problem], hint=hint
            )
    return found


def _read_patterns(root: Path, shown: str) -> list[IgnorePattern]:
    """Its patterns. Raises SourceRefused with every bad line, or SourceUnreadable."""
    path = root / shown
    try:
        _refuse_special_file(root, path, shown)
        text = read_source_text(path, shown).text
    except SourceTextError as refused:
        raise SourceRefused(f"{shown} can't be used", problems=[refused.problem]) from None
    except OSError as error:
        raise SourceUnreadable(
            f"{shown} can't be read: {error.strerror}", location=Location(shown)
        ) from error
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    problems = [
        Problem(mistake, Location(shown, number, 1, line), hint="correct the line, or delete it")
        for number, line in enumerate(lines, 1)
        if (mistake := pattern_mistake(line))
    ]
    if problems:
        raise SourceRefused(f"{shown} has lines that can't be used", problems=problems)
    return [_parse_line(line) for line in lines if line.strip(" \t") and not line.startswith("#")]


def _parse_line(line: str) -> IgnorePattern:
    """A slash at the end is taken off and kept in mind: pathspec would lay it over everything below the folder."""
    written = line if line.endswith("\\ ") else line.rstrip()
    [pattern] = compile_patterns([written.removesuffix("/")]).patterns
    return IgnorePattern(pattern, not pattern.include, written.endswith("/"))


def _refuse_special_file(root: Path, path: Path, shown: str) -> None:
    """What isn't a file isn't opened: a fifo would wait for ever. Nor is anything outside the project read."""
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        raise SourceTextError(
            Problem("a link that leaves the project folder", Location(shown), hint="copy the file")
        )
    if not stat.S_ISREG(path.stat().st_mode):
        raise SourceTextError(
            Problem("not a file", Location(shown), hint="write patterns into a file of this name")
        )
