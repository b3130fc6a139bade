"""Watches a project's files and yields sets of edits, each once editors and build tools have finished writing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mosaic_deploy.errors import WatchFailed
from mosaic_deploy.model.manifest import BuildSpec, Manifest
from mosaic_deploy.source.files.ignored import IGNORE_FILE
from mosaic_deploy.source.files.mtimes import Poller
from mosaic_deploy.source.files.walk import ALWAYS_EXCLUDED
from mosaic_deploy.source.manifest.folders import is_inside, is_project_folder, published_tops

if TYPE_CHECKING:
    from watchfiles._rust_notify import RustNotify

Edits = frozenset[str]
"""`/`-separated paths below the project folder: files, and folders whose changed files aren't known."""

_DEBOUNCE_MS = 35
"""Milliseconds without an event that end a few edits: an editor's second write comes sooner."""
_QUIET_MANY = 0.25
"""Seconds to wait for more after many edits, as a checkout or a build tool makes them."""
_MANY_EDITS = 8
_QUIET_NEW = 0.1
"""Seconds to wait for more after a new file: there are often several."""
_QUIET_DELETED = 2.0
"""Seconds to wait for a missing file to be written again; then it counts as deleted."""
_MAX_DELAY = 15.0
"""Seconds after which a set is yielded even if edits continue."""
_TICK_SECONDS = 0.2
"""Seconds between two checks of single files, which aren't listened to."""
_POLL_INTERVAL = 0.3
"""Seconds between two checks of everything with --poll."""
_IGNORE_PERMISSION_DENIED = False
"""For watchfiles. True would make it swallow all errors, also that the limit of watches is reached."""
_IGNORED_NAMES = frozenset(name.lower() for name in ALWAYS_EXCLUDED) - {IGNORE_FILE}

Stamp = tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class WatchedPaths:
    """Relative to `root`: `folders` with all their content, and single `files`, which may not exist yet.

    Of a `listed` folder, it counts that something is added or removed in it. Edits below `written` don't count: a build makes
    them. The build reads `inputs`, which are some of the folders.
    """

    root: Path
    folders: tuple[str, ...]
    files: tuple[str, ...]
    listed: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()


def watched_paths(manifest: Manifest) -> WatchedPaths:
    """Everything that a deploy of this manifest reads, and instead of what its build makes, what that reads."""
    root = manifest.root
    configured = [os.path.normpath(name) for name in manifest.deployed_folders]
    tops: tuple[str, ...] = ()
    if manifest.static and is_project_folder(manifest.static.dir):
        tops = published_tops(manifest.static.include)
        configured = [*(name for name in configured if name != "."), *tops]
    listed: list[str] = []
    written: list[str] = []
    read: list[str] = []
    if build := manifest.build:
        read, listed = _build_inputs(manifest, build)
        written = [_relative(os.path.realpath(root / build.output), root)]
        configured = [name for name in configured if not _is_at_or_inside(name, written[0])] + read
    names = list(dict.fromkeys(configured))
    files = [name for name in names if (root / name).is_file()]
    folders = [name for name in names if name not in files]
    ignore_files = dict.fromkeys(
        f"{above}{IGNORE_FILE}" for name in (*folders, *tops) for above in _parent_prefixes(name)
    )
    outermost = tuple(name for name in folders if not any(_inside(name, other) for other in folders))
    single = dict.fromkeys((manifest.file.name, ".env", *files, *ignore_files))
    inputs = tuple(name for name in outermost if name in read)
    return WatchedPaths(root, outermost, tuple(single), tuple(listed), tuple(written), inputs)


def _build_inputs(manifest: Manifest, build: BuildSpec) -> tuple[list[str], list[str]]:
    """What to watch of a build's inputs: files and folders; and folders whose own entries count."""
    from mosaic_deploy.source.builds.inputs import find_inputs

    found = find_inputs(manifest, build)
    single = [
        file.path for file in found.files if not any(is_inside(file.path, folder) for folder in found.folders)
    ]
    paths = [_relative(path, manifest.root) for path in (*found.folders, *single)]
    return paths, [_relative(path, manifest.root) for path in found.listed]


def _relative(path: str, root: Path) -> str:
    """A path without links, relative to the project folder."""
    return os.path.relpath(path, os.path.realpath(root)).replace(os.sep, "/")


def watch_edits(
    paths: WatchedPaths,
    find_paths: Callable[[], WatchedPaths] | None = None,
    *,
    poll: bool = False,
    deployed: Callable[[str], bool] = lambda _: False,
) -> Iterator[Edits]:
    """Yields sets of edits; edits made while the caller is busy are in the next one.

    The first set is empty, and no edit is missed from then on. Later, an empty set comes about five times a second so
    that the caller can do other things. If a file that is `deployed` disappears, it may be about to be written again,
    so its set comes late. `find_paths` finds the paths again after an edit of a listed folder. `poll` compares timestamps, for file systems without events. Raises WatchFailed, and
    KeyboardInterrupt on an interrupt.
    """
    listener = _EditListener(paths, deployed, find_paths or (lambda: paths), poll=poll)
    yield frozenset()
    while True:
        yield listener.next_edits()


class _EditListener:
    """Listens to folders; checks single files, and whether the folders have been replaced."""

    def __init__(
        self,
        paths: WatchedPaths,
        deployed: Callable[[str], bool],
        find_paths: Callable[[], WatchedPaths],
        *,
        poll: bool,
    ) -> None:
        self._paths = paths
        self._find_paths = find_paths
        self._poll = poll
        self._deployed = deployed
        self._root = os.path.realpath(paths.root)
        self._stamps = self._read_stamps()
        self._listener = self._start_listener()

    def next_edits(self) -> Edits:
        """The next complete set, or an empty one after a tick."""
        edits = self._next_changes(_TICK_SECONDS)
        if not edits:
            return frozenset()
        began = time.monotonic()
        while (quiet := self._quiet_period(edits)) and time.monotonic() - began < _MAX_DELAY:
            more = self._more_within(quiet)
            if not more:
                break
            edits |= more
        return frozenset(edits)

    def _more_within(self, quiet: float) -> set[str]:
        """Further changes within `quiet` seconds, at least until the next poll."""
        until = time.monotonic() + max(quiet, _POLL_INTERVAL if self._poll else 0.0)
        while (left := until - time.monotonic()) > 0:
            if more := self._next_changes(left):
                return more
        return set()

    def _quiet_period(self, edits: set[str]) -> float:
        """Seconds without further changes that complete `edits`; 0 if they are complete."""
        if any(self._was_deleted(name) for name in edits):
            return _QUIET_DELETED
        if len(edits) >= _MANY_EDITS or any(name in self._stamps for name in edits):
            return _QUIET_MANY
        return 0.0 if all(self._deployed(name) or _is_editor_file(name) for name in edits) else _QUIET_NEW

    def _was_deleted(self, name: str) -> bool:
        counts = name in self._paths.folders or name == self._paths.files[0] or self._deployed(name)
        return counts and not os.path.lexists(f"{self._root}/{name}")

    def _next_changes(self, timeout: float) -> set[str]:
        edits = self._listener_changes(timeout)
        stamps = self._read_stamps()
        edits |= {name for name, stamp in stamps.items() if stamp != self._stamps[name]}
        self._stamps = stamps
        found = self._paths if edits.isdisjoint(self._paths.listed) else self._find_paths()
        if found != self._paths or any(folder in edits for folder in self._paths.folders):
            self._paths = found
            # The listener follows the folder, not its name, so a new folder needs a new listener.
            self._listener = self._start_listener()
            self._stamps = self._read_stamps()
        return edits

    def _listener_changes(self, timeout: float) -> set[str]:
        if self._listener is None:
            time.sleep(timeout)
            return set()
        if isinstance(self._listener, Poller):
            paths = self._listener.changed(timeout)
        else:
            result = self._listener.watch(
                round(_QUIET_MANY * 1000), _DEBOUNCE_MS, max(1, round(timeout * 1000)), None
            )
            if result == "signal":
                raise KeyboardInterrupt
            paths = set() if isinstance(result, str) else {path for _, path in result}
        names = (os.path.relpath(path, self._root).replace(os.sep, "/") for path in paths)
        return {name for name in names if not _is_ignored(name) and not self._is_written(name)}

    def _is_written(self, name: str) -> bool:
        return any(_is_at_or_inside(name, folder) for folder in self._paths.written)

    def _read_stamps(self) -> dict[str, Stamp]:
        files = {name: _stamp(f"{self._root}/{name}") for name in self._paths.files}
        folders = {name: _identity(f"{self._root}/{name}") for name in self._paths.folders}
        listed = {name: _stamp(f"{self._root}/{name}") for name in self._paths.listed}
        return {**files, **folders, **listed}

    def _start_listener(self) -> RustNotify | Poller | None:
        if self._poll:
            return Poller([f"{self._root}/{name}" for name in self._paths.folders], _POLL_INTERVAL)
        from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

        folders = [f"{self._root}/{name}" for name in self._paths.folders]
        existing = [folder for folder in folders if os.path.isdir(folder)]  # noqa: PTH112 - a path as text
        if not existing:
            return None
        try:
            return RustNotify(existing, False, False, 0, True, _IGNORE_PERMISSION_DENIED)
        except FileNotFoundError:
            return self._start_listener()  # deleted since the check above
        except (WatchfilesRustInternalError, OSError) as error:
            raise _watch_error(str(error)) from None


def _watch_error(message: str) -> WatchFailed:
    """The error of the listener, with the limit of Linux that it is about and how to raise it."""
    if "os error 24" in message or "Too many open files" in message:
        return WatchFailed(
            "can't watch the folders: the limit of inotify instances or open files is reached",
            hint="raise fs.inotify.max_user_instances (sudo sysctl fs.inotify.max_user_instances=1024) or "
            "`ulimit -n`, or use --poll",
        )
    if "watch limit" in message or "os error 28" in message:
        return WatchFailed(
            "can't watch the folders: they contain more folders than there are inotify watches left",
            hint="raise fs.inotify.max_user_watches (sudo sysctl fs.inotify.max_user_watches=524288), or use --poll",
        )
    return WatchFailed(
        f"can't watch the folders: {message}", hint="try --poll, which doesn't need file events"
    )


def _is_editor_file(name: str) -> bool:
    """Whether a name looks like an editor's temporary file."""
    last = name.rpartition("/")[2]
    return last.startswith((".", "#")) or last.endswith(("~", ".tmp", ".swp")) or last == "4913"


def _is_ignored(name: str) -> bool:
    return any(part.lower() in _IGNORED_NAMES for part in name.split("/"))


def _stamp(path: str) -> Stamp:
    try:
        status = os.stat(path)  # noqa: PTH116 - a path as text
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev


def _identity(path: str) -> Stamp:
    stamp = _stamp(path)
    return stamp and stamp[3:]


def _inside(name: str, other: str) -> bool:
    return name != other and (other == "." or name.startswith(f"{other}/"))


def _is_at_or_inside(name: str, other: str) -> bool:
    return name == other or _inside(name, other)


def _parent_prefixes(name: str) -> Iterator[str]:
    """The folders above `name`, outermost first, as prefixes: '', 'a/', 'a/b/'."""
    parts = name.split("/")
    yield ""
    for depth in range(1, len(parts)):
        yield "/".join(parts[:depth]) + "/"
