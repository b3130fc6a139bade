"""A section of our pages as a terminal shows it: Markdown's marks gone, what they stood for kept."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

_BOLD = re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*")
_LINK = re.compile(r"(?<!!)\[([^][]+)\]\(([^()\s]+)\)")
_CODE = re.compile(r"(`+)(.+?)\1")


def plain_lines(text: str) -> Iterator[str]:
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
        shown += [_words(line[rest : code.start()]), code[0]]
        rest = code.end()
    return "".join([*shown, _words(line[rest:])])


def _words(text: str) -> str:
    linked = _LINK.sub(lambda link: f"{link[1]} ({link[2]})" if ":" in link[2] else link[1], text)
    return _BOLD.sub(lambda bold: click.style(bold[1], bold=True), linked)
