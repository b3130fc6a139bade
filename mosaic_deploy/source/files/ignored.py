"""`.mosaicignore` files, which exclude files from deployment. They work like .gitignore files, in any folder."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mosaic_deploy.errors import IgnoreFileInvalid, Location, Problem, SourceUnreadable
from mosaic_deploy.source.files.gitignore import compile_patterns, pattern_mistake
from mosaic_deploy.source.manifest.folders import is_inside
from mosaic_deploy.source.manifest.text import SourceTextError, read_source_text

if TYPE_CHECKING:
    from pathspec import Pattern
    from pathspec.pattern import RegexMatchResult

IGNORE_FILE = ".mosaicignore"
_DESCENDANT_GROUP = "ps_d"
"""The group that pathspec matches if the pattern matches a parent folder of the name."""


@dataclass(frozen=True, slots=True)
class IgnorePattern:
    """One pattern. A negated pattern includes names again."""

    pattern: Pattern
    negated: bool
    folders_only: bool

    def matches(self, name: str, *, folder: bool) -> bool:
        """Whether the pattern matches `name` itself. pathspec also matches everything below a matching folder."""
        if self.folders_only and not folder:
            return False
        found: RegexMatchResult | None = self.pattern.match_file(name)
        return found is not None and found.match.groupdict().get(_DESCENDANT_GROUP) is None


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The ignore files that apply to a folder, the deepest first, each with the length of its own folder's path.

    As in git, the deepest file with a matching line decides, and in it the last matching line. An excluded folder isn't
    entered, so nothing in it can be included again.
    """

    files: tuple[tuple[int, tuple[IgnorePattern, ...]], ...] = ()

    def ignores(self, name: str, *, folder: bool) -> bool:
        """Whether `name`, relative to the project folder, is excluded."""
        for length, lines in self.files:
            below = name[length:]
            for line in lines:
                if line.matches(below, folder=folder):
                    return not line.negated
        return False

    def with_folder(self, root: Path, folder: str) -> IgnoreRules:
        """The rules in `folder` (relative to `root`; empty for `root` itself), which contains an ignore file."""
        lines = _read_patterns(root, f"{folder}/{IGNORE_FILE}" if folder else IGNORE_FILE)
        length = len(folder) + 1 if folder else 0
        return IgnoreRules(((length, tuple(reversed(lines))), *self.files)) if lines else self


def inherited_ignore_rules(root: Path, folder: str) -> IgnoreRules:
    """The rules for `folder` from the ignore files in its parent folders, up to the project folder; it is empty for that one.

    For a folder beside the project (`../web/dist`), up to the folder that both are in.
    Raises IgnoreFileInvalid if they exclude `folder` itself: nothing would be deployed, and pruning would delete
    everything.
    """
    found = IgnoreRules()
    parts = folder.split("/") if folder else []
    for depth, part in enumerate(parts):
        above = "/".join(parts[:depth])
        if part == "..":
            found = IgnoreRules()
            continue
        if os.path.lexists(root / above / IGNORE_FILE):
            found = found.with_folder(root, above)
        if found.ignores(f"{above}/{part}" if above else part, folder=True):
            problem = Problem(f"excluded by a {IGNORE_FILE} above it", Location(folder))
            hint = (
                f"delete the line that matches it, or include the folder again in a later line: !/{folder}/"
            )
            raise IgnoreFileInvalid(
                f"{IGNORE_FILE} excludes a whole folder that is to be deployed", problems=[problem], hint=hint
            )
    return found


def _read_patterns(root: Path, relative_path: str) -> list[IgnorePattern]:
    """The patterns of a file. Raises IgnoreFileInvalid with every invalid line, or SourceUnreadable."""
    path = root / relative_path
    try:
        _refuse_special_file(root, path, relative_path)
        text = read_source_text(path, relative_path).text
    except SourceTextError as error:
        raise IgnoreFileInvalid(f"{relative_path} can't be used", problems=[error.problem]) from None
    except OSError as error:
        raise SourceUnreadable(
            f"{relative_path} can't be read: {error.strerror}", location=Location(relative_path)
        ) from error
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    problems = [
        Problem(mistake, Location(relative_path, number, 1, line), hint="correct the line, or delete it")
        for number, line in enumerate(lines, 1)
        if (mistake := pattern_mistake(line))
    ]
    if problems:
        raise IgnoreFileInvalid(f"{relative_path} has invalid lines", problems=problems)
    return [parse_line(line) for line in lines if line.strip(" \t") and not line.startswith("#")]


def parse_line(line: str) -> IgnorePattern:
    """Parses a line. A trailing slash is handled here, because pathspec would match everything below the folder."""
    written = line if line.endswith("\\ ") else line.rstrip()
    [pattern] = compile_patterns([written.removesuffix("/")]).patterns
    return IgnorePattern(pattern, not pattern.include, written.endswith("/"))


def _refuse_special_file(root: Path, path: Path, relative_path: str) -> None:
    """Raises SourceTextError for a link out of the project, and for a fifo or other special file, which could block."""
    if path.is_symlink() and not is_inside(os.path.realpath(path), os.path.realpath(root)):
        raise SourceTextError(
            Problem("links out of the project folder", Location(relative_path), hint="copy the file")
        )
    if not stat.S_ISREG(path.stat().st_mode):
        raise SourceTextError(
            Problem("not a regular file", Location(relative_path), hint="replace it with a text file")
        )
