"""The program in a terminal, with a person who reads and types."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
import time
from pathlib import Path

_PATIENCE = 90.0


def _control_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A running command. `shown` is everything it wrote so far."""

    def __init__(
        self, environment: dict[str, str], cwd: Path, *arguments: str, shell: str | None = None
    ) -> None:
        """With `shell`, a script that runs the program as `"$@"`, with job control."""
        self._ours, theirs = pty.openpty()
        program = [sys.executable, "-m", "mosaic_deploy", *arguments]
        self._process = subprocess.Popen(
            program if shell is None else ["bash", "-m", "-c", shell, "bash", *program],
            cwd=cwd, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            preexec_fn=None if shell is None else _control_terminal,  # noqa: PLW1509 - no threads
        )  # fmt: skip
        os.close(theirs)
        self.shown = ""
        self._read = 0

    def until(self, text: str) -> str:
        """Waits for text after what was waited for before; returns what came up to it."""
        ends = time.monotonic() + _PATIENCE
        while text not in self.shown[self._read :]:
            assert time.monotonic() < ends, f"{text!r} never came:\n{self.shown}"
            assert self._more(), f"ended without {text!r}:\n{self.shown}"
        start, self._read = self._read, self.shown.index(text, self._read) + len(text)
        return self.shown[start : self._read]

    def reads_keys(self) -> bool:
        """Whether the program gets each key at once, without Enter and unseen."""
        return not termios.tcgetattr(self._ours)[3] & (termios.ICANON | termios.ECHO)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def end(self) -> int:
        """The exit code, once the command has ended by itself."""
        ends = time.monotonic() + _PATIENCE
        while self._more():
            assert time.monotonic() < ends, self.shown
        return self._process.wait(30)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)

    def _more(self) -> bool:
        """Reads what is there, waiting a moment; False at the end."""
        if not select.select([self._ours], [], [], 1.0)[0]:
            return True
        try:
            part = os.read(self._ours, 65536)
        except OSError:  # Linux says so when the other end is closed
            return False
        self.shown += part.decode(errors="replace").replace("\r\n", "\n")
        return bool(part)
