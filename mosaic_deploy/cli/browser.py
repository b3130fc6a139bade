"""Whether a browser can be shown to somebody."""

from __future__ import annotations

import os
import sys

_SCREENS = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME")
"""One of them is set where a browser can be started; macOS and Windows need none."""


def can_open() -> bool:
    """Whether a person is at a terminal of a machine with a screen."""
    return sys.stdout.isatty() and (
        sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in _SCREENS)
    )
