"""A generator of settled sets of edits: what was saved, told once it stands still."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mosaic_deploy.errors import WatchFailed
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.source.files.ignored import IGNORE_FILE
from mosaic_deploy.source.files.mtimes import Poller
from mosaic_deploy.source.files.walk import ALWAYS_LEFT_OUT

if TYPE_CHECKING:
    from watchfiles._rust_notify import RustNotify

Edits = frozenset[str]
"""Paths below the project folder, `/`-separated: files, and folders of which more can't be said."""

_DEBOUNCE_MS = 35
"""Milliseconds without an event after which a few edits stand still: an editor's second write comes sooner."""
_QUIET_MANY = 0.25
"""Seconds of quiet after many edits: a checkout, or a build tool, is at work."""
_MANY_EDITS = 8
_QUIET_NEW = 0.1
"""Seconds of quiet after new files, which seldom come alone."""
_QUIET_DELETED = 2.0
"""Seconds after which a file that isn't there any more was deleted, and isn't being written anew."""
_MAX_DELAY = 15.0
"""Seconds after which a set is told although edits go on."""
_TICK_SECONDS = 0.2
"""Seconds between two looks at the few files that are looked at, and not listened to."""
_POLL_INTERVAL = 0.3
"""Seconds between two looks at everything, where polling is asked for."""
_IGNORE_PERMISSION_DENIED = False
"""watchfiles' `ignore_permission_denied`: true lets it swallow every error, also that no watch is left."""
_IGNORED_NAMES = frozenset(name.lower() for name in ALWAYS_LEFT_OUT) - {IGNORE_FILE}

Stamp = tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class WatchedPaths:
    """What is watched below `root`: `folders` as a whole, and single `files`, there or not."""

    root: Path
    folders: tuple[str, ...]
    files: tuple[str, ...]


def watched_paths(manifest: Manifest) -> WatchedPaths:
    """All that a deploy of this manifest reads."""
    root = manifest.root
    database = manifest.database
    named = [
        *([manifest.static.dir] if manifest.static else []),
        *([manifest.storage.dir] if manifest.storage else []),
        *([database.migrations] if database and database.migrations else []),
        *(database.seeds if database else ()),
    ]
    names = list(dict.fromkeys(os.path.normpath(name) for name in named))
    files = [name for name in names if (root / name).is_file()]
    folders = [name for name in names if name not in files]
    ignoring = dict.fromkeys(f"{above}{IGNORE_FILE}" for name in folders for above in _parent_prefixes(name))
    outermost = tuple(name for name in folders if not any(_inside(name, other) for other in folders))
    return WatchedPaths(root, outermost, (manifest.file.name, ".env", *files, *ignoring))


def watch_edits(
    what: WatchedPaths, *, poll: bool = False, deployed: Callable[[str], bool] = lambda _: False
) -> Iterator[Edits]:
    """Sets of edits, merged while the caller is busy with the one before.

    The first set is empty, and nothing is missed from then on; an empty one comes about every fifth of a second,
    so that the caller can see to other things. What `deployed` names and isn't there is waited for: it may be
    written anew. `poll` compares time stamps, for file systems that tell nothing. Raises WatchFailed, and
    KeyboardInterrupt where a signal's handler does.
    """
    listener = _EditListener(what, deployed, poll=poll)
    yield frozenset()
    while True:
        yield listener.watch_edits()


class _EditListener:
    """Listens to folders, and looks at single files and at whether the folders are still the same."""

    def __init__(self, what: WatchedPaths, deployed: Callable[[str], bool], *, poll: bool) -> None:
        self._paths = what
        self._poll = poll
        self._deployed = deployed
        self._root = os.path.realpath(what.root)
        self._stamps = self._read_stamps()
        self._listener = self._start_listener()

    def watch_edits(self) -> Edits:
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
        """What else is heard within `quiet` seconds, or by the next look."""
        until = time.monotonic() + max(quiet, _POLL_INTERVAL if self._poll else 0.0)
        while (left := until - time.monotonic()) > 0:
            if more := self._next_changes(left):
                return more
        return set()

    def _quiet_period(self, edits: set[str]) -> float:
        """How long nothing more must be heard before `edits` are told; 0 for at once."""
        if any(self._was_deleted(name) for name in edits):
            return _QUIET_DELETED
        if len(edits) >= _MANY_EDITS or any(name in self._stamps for name in edits):
            return _QUIET_MANY
        return 0.0 if all(self._deployed(name) or _is_editor_file(name) for name in edits) else _QUIET_NEW

    def _was_deleted(self, name: str) -> bool:
        counts = name in self._paths.folders or name == self._paths.files[0] or self._deployed(name)
        return counts and not os.path.lexists(f"{self._root}/{name}")

    def _next_changes(self, patience: float) -> set[str]:
        edits = self._listener_changes(patience)
        looked = self._read_stamps()
        edits |= {name for name, stamp in looked.items() if stamp != self._stamps[name]}
        self._stamps = looked
        if any(folder in edits for folder in self._paths.folders):
            # What is listened to is a folder, not its name: one that was made anew is another.
            self._listener = self._start_listener()
            self._stamps = self._read_stamps()
        return edits

    def _listener_changes(self, patience: float) -> set[str]:
        if self._listener is None:
            time.sleep(patience)
            return set()
        if isinstance(self._listener, Poller):
            paths = self._listener.changed(patience)
        else:
            result = self._listener.watch(
                round(_QUIET_MANY * 1000), _DEBOUNCE_MS, max(1, round(patience * 1000)), None
            )
            if result == "signal":
                raise KeyboardInterrupt
            paths = set() if isinstance(result, str) else {path for _, path in result}
        names = (os.path.relpath(path, self._root).replace(os.sep, "/") for path in paths)
        return {name for name in names if not _is_ignored(name)}

    def _read_stamps(self) -> dict[str, Stamp]:
        files = {name: _stamp(f"{self._root}/{name}") for name in self._paths.files}
        folders = {name: _identity(f"{self._root}/{name}") for name in self._paths.folders}
        return {**files, **folders}

    def _start_listener(self) -> RustNotify | Poller | None:
        if self._poll:
            return Poller([f"{self._root}/{name}" for name in self._paths.folders], _POLL_INTERVAL)
        from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

        places = [f"{self._root}/{name}" for name in self._paths.folders]
        there = [place for place in places if os.path.isdir(place)]  # noqa: PTH112 - a path as text
        if not there:
            return None
        try:
            return RustNotify(there, False, False, 0, True, _IGNORE_PERMISSION_DENIED)
        except FileNotFoundError:
            return self._start_listener()  # gone since it was looked for
        except (WatchfilesRustInternalError, OSError) as error:
            raise _watch_error(str(error)) from None


def _watch_error(said: str) -> WatchFailed:
    """The limits of Linux, named; they are the user's to raise."""
    if "os error 24" in said or "Too many open files" in said:
        return WatchFailed(
            "the folders can't be watched: the limit of inotify instances, or of open files, is reached",
            hint="raise fs.inotify.max_user_instances (sudo sysctl fs.inotify.max_user_instances=1024) or "
            "`ulimit -n`, or watch with --poll",
        )
    if "watch limit" in said or "os error 28" in said:
        return WatchFailed(
            "the folders can't be watched: they have more folders in them than inotify watches are left",
            hint="raise fs.inotify.max_user_watches (sudo sysctl fs.inotify.max_user_watches=524288), or watch "
            "with --poll",
        )
    return WatchFailed(f"the folders can't be watched: {said}", hint="--poll needs nothing of the system")


def _is_editor_file(name: str) -> bool:
    """Whether a name looks like what an editor leaves beside the file it saves."""
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


def _parent_prefixes(name: str) -> Iterator[str]:
    """The folders above `name`, from the project's down, each as what stands before a name in it."""
    parts = name.split("/")
    yield ""
    for depth in range(1, len(parts)):
        yield "/".join(parts[:depth]) + "/"
