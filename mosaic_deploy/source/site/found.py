"""One reference in a text, and the edits that replace references."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple


class Role:
    """What is known about a reference: one letter, which is kept in the cache of analyses."""

    LINK: Final = "a"
    """A browser follows or loads it, relative to the file or its base."""
    REFERENCE: Final = "r"
    """An address relative to the file or its base, which may mean something else to a server or a script."""
    ADDRESS: Final = "h"
    """An address relative to the file or its base that a server, a search engine or another program reads."""
    BASE: Final = "b"
    """The address that a page's relative addresses begin at."""
    LOCATION: Final = "p"
    """A folder in a page's script, relative to the address under which a browser shows the page."""
    POLICY: Final = "c"
    """The text of a Content-Security-Policy, which isn't an address."""
    OWN: Final = "o"
    """Where a script first reads its own address, from which it may compute others; not an address itself."""
    STYLE: Final = "s"
    """The address of a `url()` in a script's text, relative to the page that gets the style."""
    LITERAL: Final = "l"
    """A text in a script: an address if it is the path of a file. It may be put behind another text."""
    VALUE: Final = "v"
    """A text in a script or in data that stands alone."""


class Found(NamedTuple):
    """A reference: its address without escapes, and where it begins in the text."""

    role: str
    url: str
    start: int


Visit = Callable[[Found], str | None]
"""Returns the new address, None to leave the reference as it is."""


class Edit(NamedTuple):
    """The text that replaces the range from `start` to `end`."""

    start: int
    end: int
    text: str


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """The text after the edits. Of two that overlap, the first one counts."""
    parts: list[str] = []
    done = 0
    for edit in sorted(edits):
        if edit.start >= done:
            parts += text[done : edit.start], edit.text
            done = edit.end
    return "".join([*parts, text[done:]])
