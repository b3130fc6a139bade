"""Keeps a project's own backend running: started again when it ends or a watched file changes, ended with all it started."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mosaic_deploy.cli.builds.process import Output, end_group, start_command

_TICK = 0.2
"""Seconds between two looks at the process and its files."""
_MIN_DELAY, _MAX_DELAY = 1.0, 15.0
"""Seconds until a command that ended is started again, doubled each time."""
_STEADY = 10.0
"""Seconds after which a command that ends hasn't failed at its start."""
_SKIPPED = frozenset({"node_modules", "__pycache__", "venv", "dist", "build", "target"})
"""Folders without sources, as hidden ones."""
_GUARD = 'read _; kill -s TERM -- "-$1"; sleep 5; kill -s KILL -- "-$1"'
"""Waits for the end of its input, which comes with the end of this program, also if that was killed."""


@dataclass(frozen=True, slots=True)
class BackendCommand:
    """What to run, where, and the files and folders whose changes start it again. `environ` has secrets."""

    command: str | tuple[str, ...]
    folder: Path
    watched: tuple[Path, ...]
    environ: Mapping[str, str] = field(repr=False)


class Backend:
    """A running backend. `on_line` gets its output, `on_news` what happens to it; both are called by other threads."""

    def __init__(
        self, command: BackendCommand, on_line: Callable[[str], None], on_news: Callable[[str], None]
    ) -> None:
        self.command = command
        self._on_line, self._on_news = on_line, on_news
        self._stopped, self._woken = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._keep_running, name="backend", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends it and everything it has started, within some seconds."""
        self._stopped.set()
        self._thread.join()

    def wake(self) -> None:
        """If it has ended: starts it again now, because what made it fail may be deployed."""
        self._woken.set()

    def _keep_running(self) -> None:
        delay = _MIN_DELAY
        while not self._stopped.is_set():
            began, before = time.monotonic(), self._stamps()
            why = self._run_until_it_ends(before)
            if self._stopped.is_set():
                return
            if not why:
                delay = _MIN_DELAY
                self._on_news("a watched file changed; starting it again")
                continue
            if time.monotonic() - began > _STEADY:
                delay = _MIN_DELAY
            self._on_news(f"{why}; starting it again in {delay:.0f} s, or after the next deploy")
            self._wait(delay, before)
            delay = min(_MAX_DELAY, 2 * delay)

    def _run_until_it_ends(self, before: Mapping[Path, object]) -> str:
        """How the command ended; empty if it was ended here."""
        try:
            process, reading = start_command(self.command.command, self.command.folder, self.command.environ)
        except OSError as error:
            return f"it can't be started: {error.strerror}"
        output, guard = Output(reading, self._on_line), None
        try:
            guard = _start_guard(process.pid)
            while process.poll() is None and not self._stopped.wait(_TICK) and self._stamps() == before:
                pass
            code = process.returncode
        except OSError as error:
            return f"it can't be watched over: {error.strerror}"
        finally:
            # Also what it left running when it ended by itself.
            end_group(process)
            output.finish()
            if guard:
                guard.kill()
                guard.communicate()
        if code is None:
            return ""
        return f"it was ended by signal {-code}" if code < 0 else f"it ended with exit code {code}"

    def _wait(self, seconds: float, before: Mapping[Path, object]) -> None:
        self._woken.clear()
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._woken.wait(_TICK) and not self._stopped.is_set():
            if self._stamps() != before:
                return

    def _stamps(self) -> dict[Path, object]:
        """What tells whether a watched file has changed. Polled: these are few files, and on any file system."""
        return {file: _stamp(file) for path in self.command.watched for file in _files(path)}


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if name not in _SKIPPED and not name.startswith(".")]
        yield from (Path(folder, name) for name in names)


def _stamp(file: Path) -> object:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _start_guard(group: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["sh", "-c", _GUARD, "sh", str(group)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
