"""Text of others, made safe for terminals and CI logs. `streams` passes everything that is printed through `safe_text`.

A database, the platform or a file may have any character in its texts: escape sequences move the cursor, set the
clipboard or hide text, and CI systems take some lines for commands. Styles of our own have a random number in them, so
that they can be told from those in such a text.
"""

from __future__ import annotations

import json
import os
import re
import stat
from typing import TextIO

_OURS = str(int.from_bytes(os.urandom(6)))
_COLORS = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35", "cyan": "36"}
_BOLD = "1"
_STYLE = re.compile(rf"\x1b\[{_OURS};([0-9;]+)m")
# Control characters but tab and line feed; line separators; what changes the direction of text; invisible tags.
_HIDDEN = (
    "\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\U000e0000-\U000e007f"
)
_HIDDEN_CHARACTER = re.compile(f"[{_HIDDEN}]")
_HIDDEN_OR_STYLE = re.compile(rf"\x1b\[{_OURS};[0-9;]+m|\r\n|[{_HIDDEN}]")
_COMMAND_START = re.compile(r"^([^\S\n]*)(?=::)|(?<=##)(?=\[|vso\[|teamcity\[)", re.MULTILINE)
"""Where GitHub Actions, Azure Pipelines and TeamCity begin to read a command: at `::` in a line, at `##[` anywhere."""


def style(text: str, fg: str | None = None, *, bold: bool = False) -> str:
    """`text` with a color for terminals, if any is given. Only this function makes styles that are printed as such."""
    codes = ";".join([*([_COLORS[fg]] if fg else []), *([_BOLD] if bold else [])])
    return f"\x1b[{_OURS};{codes}m{text}\x1b[{_OURS};0m" if codes else text


def unstyle(text: str) -> str:
    """`text` without the styles of `style`."""
    return _STYLE.sub("", text) if "\x1b" in text else text


def visible_text(text: str) -> str:
    """`text` with its control characters as escapes (`\\x1b`, `\\u202e`). Line feeds, tabs and our styles stay."""
    return _HIDDEN_OR_STYLE.sub(lambda found: _visible(found[0]), text)


def _visible(found: str) -> str:
    if len(found) > 1:
        return "\n" if found == "\r\n" else found
    code = ord(found)
    if found == "\r":
        return "\\r"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def without_commands(text: str) -> str:
    """`text` with a backslash in whatever a CI system would take for a command: `\\::set-output`, `##\\[command]`."""
    return _COMMAND_START.sub(lambda found: f"{found[0]}\\", text)


def safe_text(text: str, *, terminal: bool) -> str:
    """What may be written for `text`, with our styles as terminals expect them."""
    shown = _STYLE.sub("\x1b[\\1m", visible_text(text))
    return shown if terminal else without_commands(shown)


def safe_json(text: str) -> str:
    """JSON text with the same meaning that `safe_text` has nothing to change in."""
    escaped = _HIDDEN_CHARACTER.sub(lambda found: json.dumps(found[0])[1:-1], text)
    return re.sub(r"##(?=\[|vso\[|teamcity\[)", r"#\\u0023", escaped)


def is_shown(stream: TextIO) -> bool:
    """Whether the stream is a terminal or a log of CI, and not read by a program or kept in a file."""
    if stream.isatty():
        return True
    try:
        is_file = stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        is_file = False
    return not is_file and any(os.environ.get(name) for name in ("CI", "TF_BUILD"))


def write_exactly(stream: TextIO, text: str) -> None:
    """Writes text of our own that `safe_text` would change, such as a workflow command or the bytes of a file."""
    getattr(stream, "write_exactly", stream.write)(text)


class ExactWriter:
    """A stream for a program that draws on the terminal itself, and is given only `visible_text`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = stream.encoding

    def write(self, text: str) -> int:
        write_exactly(self._stream, text)
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()
