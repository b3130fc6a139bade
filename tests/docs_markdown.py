"""Reads the README and `docs/` for tests: headings, fenced blocks, tables, links, commands."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = (
    ROOT / "README.md",
    ROOT / "llms.txt",
    ROOT / "skills/mosaic-deploy/SKILL.md",
    *sorted((ROOT / "docs").glob("*.md")),
)

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_HEADING = re.compile(r"^(#{1,6}) (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_COMMAND = re.compile(
    r"(?<![\w@.-])(?:\.venv/bin/)?mosaic-deploy(?= |$)(?P<arguments>[^|;&)#>\n`]*)", re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """A fenced block. `line` is the page's line of its first line, from 1."""

    page: Path
    language: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path) -> Iterator[Block]:
    text = read(page)
    for found in _FENCE.finditer(text):
        lines = [line.removeprefix(found["indent"]) for line in found["text"].splitlines()]
        line = text.count("\n", 0, found.start("text")) + 1
        yield Block(page, found["language"], "\n".join(lines) + "\n", line)


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", read(page))


def sections(page: Path) -> dict[str, str]:
    """Heading (without backticks) → the text below it, up to the next heading of any level."""
    text = _FENCE.sub(lambda block: re.sub("^#", " #", block[0], flags=re.MULTILINE), read(page))
    found = list(_HEADING.finditer(text))
    ends = [*(heading.start() for heading in found[1:]), len(text)]
    return {
        heading[2].replace("`", ""): text[heading.end() : end]
        for heading, end in zip(found, ends, strict=True)
    }


def tables(page: Path) -> Iterator[list[tuple[int, list[str]]]]:
    """Each table: line number (from 1) and cells of its rows."""
    lines = _FENCE.sub(lambda block: "\n" * block[0].count("\n"), read(page)).splitlines()
    for is_table, rows in itertools.groupby(enumerate(lines, 1), lambda each: each[1].startswith("|")):
        if is_table:
            yield [(number, _cells(line)) for number, line in rows]


def _cells(line: str) -> list[str]:
    """Split as on GitHub: at each bar except `\\|`, even in backticks."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def links(page: Path) -> list[str]:
    return _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """The fragments of a page's headings, as GitHub makes them."""
    titles = (title for _, title in _HEADING.findall(prose(page)))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Place and arguments of every `mosaic-deploy …` that a reader could paste."""
    for block in blocks(page):
        for line in shell_lines(block):
            for found in _COMMAND.finditer(line):
                yield str(block), shlex.split(found["arguments"])
    for code in _CODE.findall(prose(page)):
        if code.startswith("mosaic-deploy "):
            yield f"{page.name}: `{code}`", shlex.split(code)[1:]


def shell_lines(block: Block) -> list[str]:
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.language == "console":
        return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    if block.language == "yaml":
        return [line for line in lines if "run:" in line or line.lstrip().startswith("mosaic-deploy ")]
    return lines if block.language in ("sh", "bash") else []
