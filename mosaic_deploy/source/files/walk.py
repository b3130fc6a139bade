"""The files below a folder that are to be deployed, and everything on the way that can't be."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mosaic_deploy.errors import Location, Problem, SourceChanged, SourceUnreadable
from mosaic_deploy.source.files.gitignore import FileFilter, FileSelection
from mosaic_deploy.source.files.ignored import IGNORE_FILE, IgnoreRules, inherited_ignore_rules
from mosaic_deploy.source.files.names import name_problem

ALWAYS_LEFT_OUT = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", ".git", IGNORE_FILE})
"""Files and folders that are left out whatever a manifest says, in any case of their letters."""
_ALWAYS_LEFT_OUT = frozenset(name.lower() for name in ALWAYS_LEFT_OUT)


@dataclass(frozen=True, slots=True)
class WalkedFile:
    """A file: `name` on the platform, `relative_path` below the project folder, `real_path` the same with links followed."""

    name: str
    relative_path: str
    real_path: str
    status: os.stat_result


class Walk:
    """One walk over a selection's folder. `problems` and `unreadable` grow while `files` is read.

    Links that stay in the project folder are followed; a folder that a link leads back to isn't entered again.
    A folder that is left out as a whole isn't entered. `ignored` counts what `.mosaicignore` left out and `hidden`
    what a dot did, such a folder as one.
    """

    def __init__(self, root: Path, selection: FileSelection) -> None:
        self.problems: list[Problem] = []
        self.unreadable: list[Problem] = []
        self.ignored = 0
        self.hidden = 0
        self._root = str(root)
        self._boundary = os.path.realpath(root)
        self._base = PurePosixPath(selection.dir).as_posix()
        self._prefix = selection.prefix
        self._chosen = FileFilter(selection)

    def files(self) -> Iterator[WalkedFile]:
        """Raises SourceUnreadable where the folder itself can't be read, SourceChanged where one vanishes."""
        real = os.path.realpath(f"{self._root}/{self._base}")
        pending = [
            (self._base, "", real, frozenset[str](), inherited_ignore_rules(Path(self._root), self._base))
        ]
        while pending:
            shown, name, real, above, ignored = pending.pop()
            if real in above:
                continue
            entries = self._entries(shown)
            if any(entry.name == IGNORE_FILE for entry in entries):
                ignored = ignored.with_folder(Path(self._root), shown)
            inside = above | {real}
            for entry in entries:
                found = self._classify(entry, shown, name, real, ignored)
                if isinstance(found, WalkedFile):
                    yield found
                elif found is not None:
                    pending.append((f"{shown}/{entry.name}", f"{name}{entry.name}/", found, inside, ignored))

    def _classify(
        self, entry: os.DirEntry[str], folder: str, prefix: str, real: str, ignored: IgnoreRules
    ) -> WalkedFile | str | None:
        """A file to deploy, the real path of a folder to enter, or None."""
        name, shown = prefix + entry.name, f"{folder}/{entry.name}"
        is_folder = _is_folder(entry)
        if entry.name.lower() in _ALWAYS_LEFT_OUT:
            return None
        if not (self._chosen.may_enter(name) if is_folder else self._chosen.includes(name)):
            self.hidden += self._chosen.hidden_only_by_dot(name)
            return None
        if ignored.files and ignored.ignores(shown, folder=is_folder):
            self.ignored += 1
            return None
        inner = f"{real}/{entry.name}"
        if entry.is_symlink():
            inner = os.path.realpath(entry.path)
            if reason := self._link_mistake(inner):
                self.problems.append(Problem(reason, Location(shown), hint="copy the file, or exclude it"))
                return None
        return inner if is_folder else self._file(entry, shown, self._prefix + name, inner)

    def _link_mistake(self, real: str) -> str | None:
        if real != self._boundary and not real.startswith(self._boundary.rstrip("/") + "/"):
            return "a link that leaves the project folder"
        return "a link into .git" if ".git" in real[len(self._boundary) :].split("/") else None

    def _file(self, entry: os.DirEntry[str], shown: str, name: str, real: str) -> WalkedFile | None:
        problem = name_problem(shown, name)
        if problem is None:
            try:
                status = entry.stat()
            except OSError as error:
                self._unreadable(entry, shown, error)
                return None
            if stat.S_ISREG(status.st_mode):
                return WalkedFile(name, shown, real, status)
            problem = Problem(
                "neither a file nor a folder", Location(shown), hint="leave it out with exclude"
            )
        self.problems.append(problem)
        return None

    def _unreadable(self, entry: os.DirEntry[str], shown: str, error: OSError) -> None:
        """A link that leads nowhere is a mistake; a file that was there a moment ago means that things move."""
        problem = Problem(f"can't be read: {error.strerror}", Location(shown))
        if entry.is_symlink():
            self.problems.append(problem)
        elif isinstance(error, FileNotFoundError):
            raise vanished_error(shown) from error
        else:
            self.unreadable.append(problem)

    def _entries(self, shown: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(f"{self._root}/{shown}") as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError) as error:
            if shown == self._base:
                raise _unreadable(shown, error) from error
            raise vanished_error(shown) from error
        except OSError as error:
            raise _unreadable(shown, error) from error


def vanished_error(shown: str) -> SourceChanged:
    return SourceChanged(
        f"{shown} vanished while the files were read",
        hint="something else changes them: run the same command again when it has ended",
        location=Location(shown),
    )


def _unreadable(shown: str, error: OSError) -> SourceUnreadable:
    return SourceUnreadable(f"{shown} can't be read: {error.strerror}", location=Location(shown))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links, told like everything that can't be read
        return False
