"""Single keys from the terminal, without Enter, while a command runs.

Ctrl-C and Ctrl-Z stay signals. While a question is open the terminal is as it was before, so an answer is edited and shown
as usual. Only the foreground process touches the terminal. Windows has no keys.
"""

from __future__ import annotations

import errno
import os
import re
import select
import signal
import sys
from typing import TYPE_CHECKING, Any

from mosaic_deploy.cli.terminal.consent import is_interactive

if TYPE_CHECKING:
    from types import FrameType

_MAX_KEYS = 64
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|[^\[O])?")
"""What a cursor or function key, or Alt with a key, sends."""


class Keys:
    """Reads keys between `start` and `close`, which restores the terminal. Only one at a time."""

    def __init__(self) -> None:
        self._before: list[Any] | None = None
        """The terminal's settings while they are changed."""
        self._started = False
        self._paused = False

    @property
    def available(self) -> bool:
        """Whether a person can press keys."""
        return os.name != "nt" and is_interactive() and sys.stdout.isatty()

    def start(self) -> None:
        if self.available and not self._started:
            self._started = True
            _active.append(self)
            signal.signal(signal.SIGTSTP, self._suspend)
            # A question that is open already reads lines.
            self._paused = _questions.are_open
            if not self._paused:
                self._set_mode()

    def close(self) -> None:
        if self._started:
            self._started = False
            _active.remove(self)
            self._restore()
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)

    def read(self) -> str:
        """The keys pressed since the last call, without cursor and function keys."""
        if not self._started or self._paused or not _in_foreground():
            return ""
        self._set_mode()
        number = sys.stdin.fileno()
        if not select.select([number], [], [], 0)[0]:
            return ""
        pressed = os.read(number, _MAX_KEYS).decode(errors="replace")
        return _SEQUENCE.sub("", pressed)

    def pause(self) -> None:
        """Until `resume`, the terminal reads lines."""
        self._paused = True
        self._restore()

    def resume(self) -> None:
        self._paused = False
        if self._started:
            self._set_mode()

    def _set_mode(self) -> None:
        if self._before is not None or not _in_foreground():
            return
        import termios

        number = sys.stdin.fileno()
        self._before = termios.tcgetattr(number)
        changed = termios.tcgetattr(number)
        changed[3] &= ~(termios.ICANON | termios.ECHO)
        # The shell or `stty` may have left others.
        changed[6][termios.VMIN], changed[6][termios.VTIME] = 1, 0
        termios.tcsetattr(number, termios.TCSADRAIN, changed)

    def _restore(self) -> None:
        before, self._before = self._before, None
        # In the background the terminal is the shell's, which has restored it.
        if before is not None and _in_foreground():
            import termios

            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, before)

    def _suspend(self, _number: int, _frame: FrameType | None) -> None:
        """Ctrl-Z: stops with the terminal restored. The next `read` in the foreground sets it again."""
        self._restore()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        # Runs on after SIGCONT.
        if self._started:
            signal.signal(signal.SIGTSTP, self._suspend)


_active: list[Keys] = []
"""The keys that are read now, if any."""


class _Questions:
    """Whether one is open, also while no keys are read."""

    are_open = False


_questions = _Questions()


def read_lines() -> None:
    """Before a question is asked: an answer isn't taken for keys."""
    _questions.are_open = True
    for keys in _active:
        keys.pause()


def read_keys() -> None:
    """After the question."""
    _questions.are_open = False
    for keys in _active:
        keys.resume()


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError as error:
        # Without a controlling terminal nothing else can have it; otherwise the terminal is gone.
        return error.errno == errno.ENOTTY
