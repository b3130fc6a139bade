"""Lists the files below a folder that are to be deployed, and those that can't be."""

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
from mosaic_deploy.source.manifest.folders import is_inside

ALWAYS_EXCLUDED = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", ".git", IGNORE_FILE})
"""Files and folders that are never deployed, in any letter case."""
_ALWAYS_EXCLUDED = frozenset(name.lower() for name in ALWAYS_EXCLUDED)


@dataclass(frozen=True, slots=True)
class WalkedFile:
    """A file: `name` on the platform, `relative_path` in the project folder, `real_path` absolute with links resolved."""

    name: str
    relative_path: str
    real_path: str
    status: os.stat_result


class Walk:
    """A walk over a selection's folder. `files` fills `problems`, `unreadable` and the names as it goes.

    Links within the project folder or the selection's folder are followed, except back to a parent folder. `ignored` has the names that
    .mosaicignore excludes, `hidden` those excluded because of their dot; of an excluded folder, its name with a slash.
    """

    def __init__(self, root: Path, selection: FileSelection) -> None:
        self.problems: list[Problem] = []
        self.unreadable: list[Problem] = []
        self.ignored: list[str] = []
        self.hidden: list[str] = []
        self._root = str(root)
        base = PurePosixPath(selection.dir).as_posix()
        self._base = "" if base == "." else base
        self._real_base = os.path.realpath(f"{self._root}/{self._base}")
        self._boundaries = (os.path.realpath(root), self._real_base)
        self._prefix = selection.prefix
        self._filter = FileFilter(selection)

    def files(self) -> Iterator[WalkedFile]:
        """The files in order of the walk. Raises SourceUnreadable, SourceChanged if a folder disappears, IgnoreFileInvalid."""
        inherited = inherited_ignore_rules(Path(self._root), self._base)
        pending = [(self._base, "", self._real_base, frozenset[str](), inherited)]
        while pending:
            relative_path, name, real, above, ignored = pending.pop()
            if real in above:
                continue
            entries = self._entries(relative_path)
            if any(entry.name == IGNORE_FILE for entry in entries):
                ignored = ignored.with_folder(Path(self._root), relative_path)
            parents = above | {real}
            for entry in entries:
                result = self._classify(entry, relative_path, name, real, ignored)
                if isinstance(result, WalkedFile):
                    yield result
                elif result is not None:
                    below = f"{relative_path}/{entry.name}" if relative_path else entry.name
                    pending.append((below, f"{name}{entry.name}/", result, parents, ignored))

    def _classify(
        self, entry: os.DirEntry[str], folder: str, prefix: str, real: str, ignored: IgnoreRules
    ) -> WalkedFile | str | None:
        """A file to deploy, the real path of a folder to enter, or None."""
        name, relative_path = prefix + entry.name, f"{folder}/{entry.name}" if folder else entry.name
        is_folder = _is_folder(entry)
        shown = f"{name}/" if is_folder else name
        if entry.name.lower() in _ALWAYS_EXCLUDED:
            return None
        if not (self._filter.may_enter(name) if is_folder else self._filter.includes(name)):
            if self._filter.hidden_only_by_dot(name):
                self.hidden.append(shown)
            return None
        if ignored.files and ignored.ignores(relative_path, folder=is_folder):
            self.ignored.append(shown)
            return None
        target = f"{real}/{entry.name}"
        if entry.is_symlink():
            target = os.path.realpath(entry.path)
            if reason := self._link_mistake(target):
                self.problems.append(
                    Problem(reason, Location(relative_path), hint="copy the file, or exclude it")
                )
                return None
        return target if is_folder else self._file(entry, relative_path, self._prefix + name, target)

    def _link_mistake(self, real: str) -> str | None:
        inside = next((boundary for boundary in self._boundaries if is_inside(real, boundary)), None)
        if inside is None:
            return "links out of the project folder"
        return "links into .git" if ".git" in real[len(inside) :].split("/") else None

    def _file(self, entry: os.DirEntry[str], relative_path: str, name: str, real: str) -> WalkedFile | None:
        problem = name_problem(relative_path, name)
        if problem is None:
            try:
                status = entry.stat()
            except OSError as error:
                self._unreadable(entry, relative_path, error)
                return None
            if stat.S_ISREG(status.st_mode):
                return WalkedFile(name, relative_path, real, status)
            problem = Problem("neither a file nor a folder", Location(relative_path), hint="exclude it")
        self.problems.append(problem)
        return None

    def _unreadable(self, entry: os.DirEntry[str], relative_path: str, error: OSError) -> None:
        """Records a file that can't be read. Raises SourceChanged if it disappeared; a broken link is a problem."""
        problem = Problem(f"can't be read: {error.strerror}", Location(relative_path))
        if entry.is_symlink():
            self.problems.append(problem)
        elif isinstance(error, FileNotFoundError):
            raise vanished_error(relative_path) from error
        else:
            self.unreadable.append(problem)

    def _entries(self, relative_path: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(f"{self._root}/{relative_path}") as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError) as error:
            if relative_path == self._base:
                raise _unreadable(relative_path, error) from error
            raise vanished_error(relative_path) from error
        except OSError as error:
            raise _unreadable(relative_path, error) from error


def vanished_error(relative_path: str) -> SourceChanged:
    return SourceChanged(
        f"{relative_path} disappeared while the files were read",
        hint="another program changes the files; run the same command again when it has finished",
        location=Location(relative_path),
    )


def _unreadable(relative_path: str, error: OSError) -> SourceUnreadable:
    return SourceUnreadable(
        f"{relative_path} can't be read: {error.strerror}", location=Location(relative_path)
    )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a symlink loop, reported as unreadable later
        return False
