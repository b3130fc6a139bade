"""The addresses of a project on this machine, in a box at a terminal, and the keys of `dev`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from mosaic_deploy.cli.render.layout import output_width, text_width
from mosaic_deploy.cli.visible_text import style

KEYS_HELP = (
    "  o  open the site",
    "  r  compare everything again, and deploy what differs",
    "  d  open the dashboard, signed in",
    "  i  show the last emails with their links",
    "  q  quit; the platform keeps running",
    "  h  show these keys",
)
_KEYS_LINE = "o site · r run · d dashboard · i inbox · q quit · h help"


def address_lines(addresses: Mapping[str, str], *, keys: bool) -> Iterator[str]:
    """A row per address; a box around them if the terminal has room for it and its encoding has the lines."""
    label_width = max(len(name) for name in addresses)
    rows = [(f"{name.capitalize():<{label_width}}", address) for name, address in addresses.items()]
    plain = [f"{label}  {address}" for label, address in rows]
    hint = [_KEYS_LINE] if keys else []
    width, size = output_width(sys.stdout), max(text_width(line) for line in [*plain, *hint])
    if width is None or size + 4 > width or not _has_lines():
        yield from (*plain, *(line.replace(" · ", ", ") for line in hint))
        return
    edge = "─" * (size + 2)
    yield f"╭{edge}╮"
    for (label, address), line in zip(rows, plain, strict=True):
        yield f"│ {label}  {style(address, fg='cyan')}{' ' * (size - text_width(line))} │"
    if hint:
        yield f"├{edge}┤"
        yield f"│ {hint[0]}{' ' * (size - text_width(hint[0]))} │"
    yield f"╰{edge}╯"


def _has_lines() -> bool:
    try:
        "╭─╮│·".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
