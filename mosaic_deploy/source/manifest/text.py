"""Decodes source files, and converts offsets in their text to line and column."""

from __future__ import annotations

import os
import re
import stat
from bisect import bisect_right
from functools import cached_property
from pathlib import Path

from mosaic_deploy.errors import Location, Problem

MAX_BYTES = 1024 * 1024

# Not compiled here, because most runs use only the last one.
_LINE_BREAK = "\r\n|[\r\n\x85\u2028\u2029]"  # line breaks of YAML 1.1
_NOT_ALLOWED = "[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")

NESTED_DEFAULT = (
    "a default can't contain another variable",
    "write the default as text, or set the variable in the environment or in .env",
)
"""Message and hint for `${A:-${B}}`, which may be found before or after the YAML is parsed."""


class SourceTextError(Exception):
    """A file that can't be parsed any further. `problem` is the reason."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class SourceText:
    """A text and the name of its file in messages. Lines and columns count from 1, columns in characters."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(found.end() for found in re.finditer(_LINE_BREAK, self.text))]

    @cached_property
    def _lines(self) -> list[str]:
        return re.split(_LINE_BREAK, self.text)

    def location(self, line: int, column: int) -> Location:
        """The Location of a line and column. Positions after the end are moved to the end of the last non-empty line."""
        if line > len(self._lines) or (line > 1 and line == len(self._lines) and not self._lines[-1]):
            line = next((n for n in range(len(self._lines), 1, -1) if self._lines[n - 1].strip()), 1)
            column = len(self._lines[line - 1]) + 1
        return Location(self.file, line, column, self._lines[line - 1])

    def position(self, index: int) -> tuple[int, int]:
        """Line and column of an offset in the text."""
        line = bisect_right(self._line_starts, index)
        return line, index - self._line_starts[line - 1] + 1

    def location_of(self, index: int) -> Location:
        """The Location of an offset in the text."""
        return self.location(*self.position(index))


def read_source_text(path: Path, file: str) -> SourceText:
    """The text of a UTF-8 file, called `file` in messages. Raises OSError or SourceTextError."""
    # Without waiting for a pipe or device, to which a link may lead.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(handle, "rb") as stream:  # it raises IsADirectoryError for a folder
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise SourceTextError(
                Problem("neither a file nor a folder", Location(file), hint="replace it with a file")
            )
        return source_text(stream.read(MAX_BYTES + 1), file)


def source_text(raw: bytes, file: str) -> SourceText:
    """Decodes `raw`, called `file` in messages. Raises SourceTextError if it isn't valid UTF-8 text, or too long."""
    if len(raw) > MAX_BYTES:
        raise SourceTextError(
            Problem("larger than 1 MiB, the limit", Location(file), hint="check that this is the right file")
        )
    source = SourceText(file, _decode(raw, file))
    if found := re.search(_NOT_ALLOWED, source.text):
        location = Location(
            file, *source.position(found.start())
        )  # without the line, which isn't safe to print
        message = f"invalid control character U+{ord(found[0]):04X}"
        raise SourceTextError(Problem(message, location, hint="delete it"))
    return source


def _decode(raw: bytes, file: str) -> str:
    if raw.startswith(_UTF16_MARKS):
        raise SourceTextError(
            Problem("the file is encoded as UTF-16", Location(file), hint="save it as UTF-8")
        )
    try:
        return raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8").removeprefix("\ufeff")
        location = Location(file, *SourceText(file, before).position(len(before)))
        message = f"invalid UTF-8: byte 0x{raw[error.start]:02X}"
        raise SourceTextError(Problem(message, location, hint="save the file as UTF-8")) from None
