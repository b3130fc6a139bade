"""A question that stays open while a watch deploys other files, and that is withdrawn when what it is about changes."""

from __future__ import annotations

import os
import select
import sys
from typing import TYPE_CHECKING

from mosaic_deploy.cli.terminal.consent import approval_text, discard_input
from mosaic_deploy.cli.terminal.keys import read_keys, read_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mosaic_deploy.cli.render.screen import Screen
    from mosaic_deploy.model.approval import Approval
    from mosaic_deploy.model.plan import Plan

_YES = frozenset({"y", "yes"})


class OpenQuestion:
    """Asks for the approvals of a plan. `digest` identifies what is asked about."""

    def __init__(self, screen: Screen, plan: Plan, missing: Sequence[Approval]) -> None:
        self.digest = plan.approval_digest
        self._screen = screen
        texts = (approval_text(approval, "") for approval in missing)
        self._text = [line.rstrip() for text in texts for line in text.splitlines() if line]
        read_lines()
        discard_input()
        screen.plan(plan, final=False)
        self.show()

    def show(self) -> None:
        """Also after other output, which would have scrolled it away."""
        self._screen.print_notice([*self._text, "Apply anyway? Type y or n, and Enter:"])

    def withdraw(self) -> None:
        self.close()
        self._screen.print_notice(["The question is withdrawn: what it was about has changed."])

    def close(self) -> None:
        """Nothing is asked any more."""
        read_keys()

    def answer(self) -> bool | None:
        """The answer, if a line was typed; anything but yes is a no."""
        line = _read_line()
        if line is None:
            return None
        self.close()
        return line.strip().lower() in _YES


def _read_line() -> str | None:
    """A line that was typed in the terminal, without waiting for one; "" at its end.

    Read from the descriptor, because a line in the buffer of `sys.stdin` would be hidden from `select`. On Windows,
    which can't select a terminal, it waits.
    """
    if os.name == "nt":
        return sys.stdin.readline()
    number = sys.stdin.fileno()
    if not select.select([number], [], [], 0)[0]:
        return None
    return os.read(number, 4096).decode(errors="replace")
