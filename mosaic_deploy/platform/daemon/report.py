"""The pipe through which the daemon tells the process that started it how it went."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from typing import Any

Report = Callable[[dict[str, Any]], None]


def reporter(handle: int | None) -> Report:
    """Sends one JSON document through a pipe to the process that started us, and closes it.

    Only the first report is sent: after it nobody listens.
    """
    waiting = [] if handle is None else [handle]

    def report(document: dict[str, Any]) -> None:
        if not waiting:
            return
        # Whoever started us may have given up waiting; that is no reason to end.
        with contextlib.suppress(OSError), os.fdopen(waiting.pop(), "w", encoding="utf-8") as pipe:
            json.dump(document, pipe)

    return report
