"""Reports the outcome of the start to the process that started the daemon."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from typing import Any

Report = Callable[[dict[str, Any]], None]


def reporter(handle: int | None) -> Report:
    """A function that sends one JSON document through the pipe `handle`, closes it, and ignores further calls."""
    open_handles = [] if handle is None else [handle]

    def report(document: dict[str, Any]) -> None:
        if not open_handles:
            return
        # The reader may have given up; the daemon continues.
        with contextlib.suppress(OSError), os.fdopen(open_handles.pop(), "w", encoding="utf-8") as pipe:
            json.dump(document, pipe)

    return report
