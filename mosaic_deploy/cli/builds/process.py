"""Runs a command with its output, a time limit and an end to all of its processes."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mosaic_deploy.cli.terminal.interrupts import deferred_interrupts

_MAX_LINES = 10_000
"""Lines kept of the output, the last ones."""
_MAX_LINE = 64 * 1024
"""Bytes of a line that are read at a time."""
_PIPE_BYTES = 1024 * 1024
"""The most that Linux gives without privileges."""
_GRACE = 5.0
"""Seconds between asking processes to end and ending them."""
_KILLED = 1.0
"""Seconds in which the system certainly ends killed processes. Those that nobody has waited for may stay in its list."""
_AFTER_END = 1.0
"""Seconds to wait for the end of the output once the command has ended: what it left running may keep it open."""
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
"""Colors and cursor movements of a terminal."""

OnLine = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended. `code` is None if it ran out of time; it is negative for a signal, as in `subprocess`."""

    code: int | None
    lines: tuple[str, ...]
    """The end of its output, stdout and stderr together, without colors."""
    seconds: float


def run_command(
    command: str | Sequence[str], folder: Path, environ: Mapping[str, str], timeout: float, on_line: OnLine
) -> Ended:
    """Runs `command` in `folder`, a text in the shell. It reads nothing from the terminal.

    `on_line` is called with each line by another thread. An interrupt, and the time limit, end all processes of its group.
    Raises OSError if it can't be started, and KeyboardInterrupt.
    """
    began = time.monotonic()
    process = None
    try:
        # An interrupt between the start of the command and the note of its PID would leave it running.
        with deferred_interrupts():
            process, reading = start_command(command, folder, environ)
        output = Output(reading, on_line)
        code: int | None = process.wait(timeout)
    except subprocess.TimeoutExpired:
        assert process is not None
        code = None
        end_group(process)
    except BaseException:
        if process is not None:
            end_group(process)
        raise
    return Ended(code, output.finish(), time.monotonic() - began)


def start_command(
    command: str | Sequence[str], folder: Path, environ: Mapping[str, str]
) -> tuple[subprocess.Popen[bytes], int]:
    """The command as the leader of a process group, and the descriptor that its output is read from.

    Raises OSError if it can't be started.
    """
    reading, writing = os.pipe()
    with suppress(AttributeError, OSError):
        # Programs that end while a pipe is full, as those of Node do, lose what they have written last: why they failed.
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    try:
        process = subprocess.Popen(
            command, shell=isinstance(command, str), cwd=folder, env=environ, stdin=subprocess.DEVNULL,
            stdout=writing, stderr=writing, start_new_session=True,
        )  # fmt: skip
    except OSError:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    return process, reading


class Output:
    """Reads a pipe in a thread of its own, which also closes it and calls `on_line`."""

    def __init__(self, descriptor: int, on_line: OnLine) -> None:
        self._descriptor = descriptor
        self._on_line = on_line
        self._lines: deque[str] = deque(maxlen=_MAX_LINES)
        self._finished = False
        self._thread = threading.Thread(target=self._read, name="build output", daemon=True)
        self._thread.start()

    def finish(self) -> tuple[str, ...]:
        """The lines so far; later ones are dropped."""
        self._thread.join(_AFTER_END)
        self._finished = True
        return tuple(self._lines)

    def _read(self) -> None:
        with open(self._descriptor, "rb", buffering=0) as stream:  # noqa: PTH123 - a descriptor
            pending = b""
            while chunk := stream.read(_MAX_LINE):
                *complete, pending = (pending + chunk).split(b"\n")
                if len(pending) > _MAX_LINE:
                    complete.append(pending)
                    pending = b""
                self._add(complete)
            self._add([pending] if pending else [])

    def _add(self, raw_lines: Iterable[bytes]) -> None:
        for line in map(_plain_line, raw_lines):
            if not self._finished:
                self._lines.append(line)
                self._on_line(line)


def _plain_line(raw: bytes) -> str:
    """The line as a terminal would show it: of a line that was written over, the last text."""
    text = _ESCAPES.sub("", raw.decode("utf-8", "replace")).rstrip()
    return text.rpartition("\r")[2]


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Asks the command and everything it started to end, and ends what is left after some seconds or another interrupt."""
    try:
        _signal_group(process, signal.SIGTERM)
        _wait_for_group(process, _GRACE)
    finally:
        _signal_group(process, signal.SIGKILL)
        _wait_for_group(process, _KILLED)


def _wait_for_group(process: subprocess.Popen[bytes], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and _signal_group(process, 0):
        process.poll()
        time.sleep(0.02)


def _signal_group(process: subprocess.Popen[bytes], number: int) -> bool:
    """Whether there is any process in the group."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS, for a group of zombies
        return False
    return True
