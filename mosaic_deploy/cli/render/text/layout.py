"""Rows in columns, for people."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

import click

_MAX_WIDTH = 60
"""Of a column, in cells; longer text is cut: the JSON output has it whole."""


def table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """A heading and a line per row. None is shown as nothing; a line break or control character as `·`."""
    texts = [[_cell(value) for value in row] for row in rows]
    widths = [max(_width(line[column]) for line in (names, *texts)) for column in range(len(names))]
    yield _line(names, widths)
    yield _line(["─" * width for width in widths], widths)
    yield from (_line(row, widths) for row in texts)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = "".join(char if char.isprintable() else "·" for char in str(value))
    return text if len(text) <= _MAX_WIDTH else f"{text[: _MAX_WIDTH - 1]}…"


def _width(text: str) -> int:
    """In a terminal's cells: wide characters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


_BOLD = re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*")
_LINK = re.compile(r"(?<!!)\[([^][]+)\]\(([^()\s]+)\)")
_CODE = re.compile(r"(`+)(.+?)\1")


def markdown_lines(text: str) -> Iterator[str]:
    """The lines of `text`: code blocks indented and otherwise as they are, bold as bold, links as their words."""
    within = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            within = not within
        elif within:
            yield f"    {line}" if line else ""
        else:
            yield _styled(line)


def _styled(line: str) -> str:
    """What stands in backticks keeps them, and isn't looked into: a command is pasted as it is written."""
    shown, rest = [], 0
    for code in _CODE.finditer(line):
        shown += [_styled_text(line[rest : code.start()]), code[0]]
        rest = code.end()
    return "".join([*shown, _styled_text(line[rest:])])


def _styled_text(text: str) -> str:
    linked = _LINK.sub(lambda link: f"{link[1]} ({link[2]})" if ":" in link[2] else link[1], text)
    return _BOLD.sub(lambda bold: click.style(bold[1], bold=True), linked)
