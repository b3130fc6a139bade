"""What a command says about a build: its output as it comes, one line, or nothing."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mosaic_deploy.model.quantities import duration_text

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.screen import Screen

SLOW = 5.0
"""Seconds after which a build is said to be running."""


class BuildReport:
    """Says nothing."""

    shows_output = False
    """Whether people see the output of a build that failed; otherwise the error has its end."""

    def waiting(self, output: str) -> None:
        """Another build of the folder is running."""

    def began(self, command: str, reason: str) -> None:
        """The command was started because of `reason`."""

    def line(self, line: str) -> None:
        """A line of its output. Called by another thread."""

    def over(self) -> None:
        """It doesn't run any longer, whatever came of it. What did is said after this."""

    def failed(self, lines: Sequence[str]) -> None:
        """It failed after it had printed `lines`."""

    def ended(self, command: str, reason: str, seconds: float) -> None:
        """It succeeded."""

    def warning(self, text: str) -> None:
        """It succeeded, but something about it should be changed."""


class ShownBuild(BuildReport):
    """Writes to stderr: at a terminal each line as it comes, elsewhere all of them if the build fails."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._live = sys.stderr.isatty()
        self.shows_output = screen.format == "text"

    def waiting(self, output: str) -> None:
        self._print(f"Waiting for another build of {output}.")

    def began(self, command: str, reason: str) -> None:
        self._print(f"Building: {command} ({reason})")

    def line(self, line: str) -> None:
        if self._live:
            self._print(f"  {line}")

    def failed(self, lines: Sequence[str]) -> None:
        if not self._live:
            self._screen.print_notice(f"  {line}" for line in lines)

    def ended(self, command: str, reason: str, seconds: float) -> None:
        if self._screen.format == "ndjson":
            self._screen.result(_document(command, reason, seconds), ())
        else:
            self._print(f"Built in {duration_text(seconds)}.")

    def warning(self, text: str) -> None:
        self._print(f"warning: {text}")

    def _print(self, line: str) -> None:
        self._screen.print_notice([line])


class BuildLine(BuildReport):
    """One line for each build, as `watch` and `dev` have one for each change; and one before it if it takes long."""

    def __init__(self, screen: Screen, slow: float = SLOW) -> None:
        self._screen = screen
        self._slow = slow
        self._waiting: threading.Timer | None = None

    def began(self, command: str, reason: str) -> None:
        from mosaic_deploy.cli.render.text.edits import clock

        self._waiting = threading.Timer(
            self._slow, self._screen.print_notice, [[f"{clock()} {reason} → building: {command}"]]
        )
        self._waiting.daemon = True
        self._waiting.start()

    def over(self) -> None:
        if self._waiting:
            self._waiting.cancel()

    def waiting(self, output: str) -> None:
        self._screen.print_notice([f"Waiting for another build of {output}."])

    def ended(self, command: str, reason: str, seconds: float) -> None:
        from mosaic_deploy.cli.render.text.edits import clock

        line = f"{clock()} {reason} → built in {duration_text(seconds)}"
        self._screen.result(_document(command, reason, seconds), [line])

    def warning(self, text: str) -> None:
        self._screen.print_notice([f"warning: {text}"])


def _document(command: str, reason: str, seconds: float) -> dict[str, object]:
    return {"type": "build", "command": command, "reason": reason, "milliseconds": round(seconds * 1000)}
