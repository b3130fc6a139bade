"""A manifest's text: from bytes on disk to characters whose every position can be named."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property
from pathlib import Path

from mosaic_deploy.errors import Location, Problem

MAX_BYTES = 1024 * 1024

# Patterns are text here and compiled where they are used: most runs need none but the last.
_LINE_BREAK = "\r\n|[\r\n\x85\u2028\u2029]"  # what YAML 1.1 counts as a line's end
_NOT_ALLOWED = "[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class SourceTextError(Exception):
    """A file that can't be read further; carries the one Problem that says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class SourceText:
    """A text with the name it is shown under. Lines and columns count from 1, columns in characters."""

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
        """A place by line and column; one behind the end of the text is moved to the end of its last words."""
        if line > len(self._lines) or (line > 1 and line == len(self._lines) and not self._lines[-1]):
            line = next((n for n in range(len(self._lines), 1, -1) if self._lines[n - 1].strip()), 1)
            column = len(self._lines[line - 1]) + 1
        return Location(self.file, line, column, self._lines[line - 1])

    def position(self, index: int) -> tuple[int, int]:
        """Line and column of an offset in the text."""
        line = bisect_right(self._line_starts, index)
        return line, index - self._line_starts[line - 1] + 1

    def location_of(self, index: int) -> Location:
        """A place by its offset in the text."""
        return self.location(*self.position(index))


def read_source_text(path: Path, file: str) -> SourceText:
    """The text of a UTF-8 file, shown as `file`. OSError, or Refused where it is no readable text."""
    with path.open("rb") as stream:
        return source_text(stream.read(MAX_BYTES + 1), file)


def source_text(raw: bytes, file: str) -> SourceText:
    """UTF-8 as a text, shown as `file`. Refused where it is no readable text, or too long."""
    if len(raw) > MAX_BYTES:
        raise SourceTextError(
            Problem(f"larger than {MAX_BYTES // 1024} KiB", Location(file), hint="this is a small text file")
        )
    source = SourceText(file, _decode(raw, file))
    if found := re.search(_NOT_ALLOWED, source.text):
        where = Location(file, *source.position(found.start()))  # the line itself isn't safe to print
        message = f"the invisible character U+{ord(found[0]):04X} can't be in this file"
        raise SourceTextError(Problem(message, where, hint="delete it"))
    return source


def _decode(raw: bytes, file: str) -> str:
    if raw.startswith(_UTF16_MARKS):
        raise SourceTextError(Problem("the file is UTF-16", Location(file), hint="save it as UTF-8"))
    try:
        return raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8").removeprefix("\ufeff")
        where = Location(file, *SourceText(file, before).position(len(before)))
        message = f"the byte 0x{raw[error.start]:02X} is not UTF-8"
        raise SourceTextError(Problem(message, where, hint="save the file as UTF-8")) from None
