"""Layout of text for people: lines wrapped to the terminal, tables, and Markdown.

A width of None means that the output isn't a terminal: nothing is wrapped, and nothing is ever cut.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TextIO

from mosaic_deploy.cli.visible_text import style, unstyle, visible_text

_MIN_WIDTH = 20
_DEFAULT_WIDTH = 80
_MAX_PADDING = 60
"""Cells. A longer value in a pipe runs into the next column instead of padding every other row."""
_TOKEN = re.compile(r"[^\s`]*`[^`]+`\S*|\S+")
"""Text in backticks stays in one piece: often it is a command."""
_LABEL = re.compile(r" +(?:[!i+~-] |[A-Za-z][\w' ]{0,18}: )|\d\d:\d\d:\d\d | +")
"""What wrapped lines are indented by: a list's mark, `hint: `, a time, or the line's own indentation."""
_MARK = re.compile(r" +[!i+~-] ")
"""A list's mark, which isn't left alone on its line."""
_CODE_GUTTER = re.compile(r" *\d* \| ")
_NEXT_COMMAND = re.compile(r":  (\S.*)$")
_COMMAND = re.compile(r":  (mosaic-deploy .*)$")


def output_width(stream: TextIO) -> int | None:
    """The columns of the terminal behind `stream` (COLUMNS, if set, overrides them); None if it isn't a terminal."""
    if not stream.isatty():
        return None
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return max(_MIN_WIDTH, int(columns))
    try:
        size = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        size = 0
    return max(_MIN_WIDTH, size or _DEFAULT_WIDTH)


def is_live_terminal() -> bool:
    """Whether stderr is a terminal that lines can be redrawn on."""
    return sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def write_lines(stream: TextIO, lines: Iterable[str], color: bool | None = False) -> None:
    """Writes lines for people, wrapped to the terminal. `color`: False for never, None for on terminals only."""
    width = output_width(stream)
    colored = color is not False and width is not None
    for line in lines:
        for part in wrap(visible_text(line), width):
            stream.write(f"{part if colored else unstyle(part)}\n")
        stream.flush()


def wrap(text: str, width: int | None, indent: int | None = None) -> list[str]:
    """The lines of `text`, wrapped between words to `width` cells; styles are kept.

    Words, text in backticks and a command at the end of the line are never broken. Continuation lines are
    indented by `indent`, by default to where the text of the first line begins.
    """
    lines = text.split("\n")
    if width is None:
        return lines
    return [part for line in lines for part in _wrap_line(line, width, indent)]


def _wrap_line(line: str, width: int, indent: int | None) -> list[str]:
    plain = unstyle(line)
    if 2 * len(plain) <= width or text_width(plain) <= width:
        return [line]
    prefix = _continuation(plain, indent, width)
    mark = _MARK.match(plain)
    text_start = mark.end() if mark else 0
    done: list[str] = []
    current, used, filled = "", 0, False
    for gap, word in _words(line):
        size = text_width(unstyle(word))
        if filled and size and used + len(gap) + size > width:
            done.append(current)
            current, used = prefix + word, len(prefix) + size
        else:
            current, used = current + gap + word, used + len(gap) + size
        filled = filled or (size > 0 and used > text_start)
    return [*done, current]


def _continuation(plain: str, indent: int | None, width: int) -> str:
    if gutter := _CODE_GUTTER.match(plain):
        return " " * (gutter.end() - 2) + "| "
    if indent is None:
        label = _LABEL.match(plain)
        indent = label.end() if label else 2
    return " " * min(indent, width // 2)


def _words(line: str) -> Iterator[tuple[str, str]]:
    """(the space before it, a piece that isn't broken), in order."""
    command = (_NEXT_COMMAND if line.lstrip().startswith("next: ") else _COMMAND).search(line)
    text = line[: command.start(1)] if command else line
    end = 0
    for token in _TOKEN.finditer(text):
        yield text[end : token.start()], token[0]
        end = token.end()
    if command:
        yield text[end:], command[1]


def text_width(text: str) -> int:
    """In a terminal's cells: a wide character takes two, a combining one none."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """A heading, a rule and a line per row, for stdout.

    If that is too wide for the terminal, the widest columns (never the first) leave the grid, and their values follow
    each row on lines of their own, whole. None is shown as nothing; a line break or control character as `·`.
    """
    width = output_width(sys.stdout)
    texts = [[_cell(value) for value in row] for row in rows]
    widths = [max(text_width(line[column]) for line in (names, *texts)) for column in range(len(names))]
    if width is None:
        widths = [
            min(each, max(_MAX_PADDING, text_width(name))) for each, name in zip(widths, names, strict=True)
        ]
    grid = _columns_that_fit(widths, width)
    sizes = [widths[column] for column in grid]
    below = [column for column in range(len(names)) if column not in grid]
    yield from wrap(_row([names[column] for column in grid], sizes), width)
    yield "  ".join("─" * (size if width is None else min(size, width)) for size in sizes)
    for row in texts:
        yield from wrap(_row([row[column] for column in grid], sizes), width)
        for column in below:
            if row[column]:
                yield from wrap(f"  {names[column]}: {row[column]}", width, indent=4)


def _columns_that_fit(widths: Sequence[int], width: int | None) -> list[int]:
    columns = list(range(len(widths)))
    while width is not None and len(columns) > 1 and sum(widths[c] + 2 for c in columns) - 2 > width:
        columns.remove(max(columns[1:], key=lambda column: (widths[column], column)))
    return columns


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (width - text_width(cell)) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | dict | list):
        return json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else "·" for char in str(value))


_BLOCK = re.compile(r"\s*(?:[-*] |\d+\. |\||#+ )|\*\*\w+\.\*\*")
"""A line that begins a block of its own."""
_BOLD = re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*")
_LINK = re.compile(r"(?<!!)\[([^][]+)\]\(([^()\s]+)\)")
_CODE = re.compile(r"(`+)(.+?)\1")


def markdown_lines(text: str) -> Iterator[str]:
    """The lines of Markdown `text`: code blocks indented but otherwise unchanged, bold as bold, links as their words.

    A paragraph or an item of a list is one line, because it is wrapped to the terminal later.
    """
    in_code, paragraph = False, ""
    for line in text.splitlines():
        is_fence = line.lstrip().startswith("```")
        continues = paragraph and not is_fence and not in_code and line.strip() and not _BLOCK.match(line)
        if paragraph and not continues:
            yield _styled(paragraph)
            paragraph = ""
        if is_fence:
            in_code = not in_code
        elif in_code:
            yield f"    {line}" if line else ""
        elif continues:
            paragraph = f"{paragraph} {line.strip()}"
        elif line.strip():
            paragraph = line
        else:
            yield ""
    if paragraph:
        yield _styled(paragraph)


def _styled(line: str) -> str:
    """Code in backticks stays as it is, so that a command can be pasted."""
    shown, end = [], 0
    for code in _CODE.finditer(line):
        shown += [_styled_text(line[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*shown, _styled_text(line[end:])])


def _styled_text(text: str) -> str:
    linked = _LINK.sub(lambda link: f"{link[1]} ({link[2]})" if ":" in link[2] else link[1], text)
    return _BOLD.sub(lambda bold: style(bold[1], bold=True), linked)
