"""Opening a URL in the user's browser."""

from __future__ import annotations

import os
import sys

import click

_DISPLAY_VARIABLES = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME")
"""One of these is set if a browser can be started; macOS and Windows need none."""


def can_open_browser() -> bool:
    """Whether this is a terminal on a machine with a screen."""
    return sys.stdout.isatty() and (
        sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in _DISPLAY_VARIABLES)
    )


def open_in_browser(url: str) -> bool:
    """Whether a browser was started."""
    return can_open_browser() and click.launch(url) == 0
