"""Makes docs/dev.svg: a recording of `mosaic-deploy dev` while files are edited.

Run `.venv/bin/python docs/recording.py`; it uses its own embedded platform. The output is real, and so are the times in
it; only the pauses between lines are adjusted for reading.
"""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path

from rich.style import Style
from rich.text import Text

HERE = Path(__file__).resolve().parent
PROGRAM = Path(sys.executable).with_name("mosaic-deploy")
_TIMEOUT = 120.0
_COLUMNS, _ROWS = 104, 25
_FONT, _LINE = 13, 19
"""Pixels. A character's width is 0.6 of its height."""
_WIDTH = _COLUMNS * _FONT * 0.6 + 32
_HEIGHT = _ROWS * _LINE + 24
_SHORTEST, _LONGEST, _BETWEEN = 0.04, 0.7, 1.6
"""Seconds: the shortest and longest pause between two lines, and the pause between two steps."""
_LAST = 5.0

PAGE = "<!doctype html>\n<link rel=stylesheet href=/style.css>\n<h1>Shop</h1>\n"
MANIFEST = "version: 1\nproject:\n  name: shop\ndatabase:\n  migrations: migrations\nstatic:\n  dir: public\n"
ITEMS = (
    "CREATE TABLE items (\n  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n  name text NOT NULL\n);\n"
)
DRAFT = "ALTER TABLE items ADD COLUMN price numeric(10, 2);\n"
WRONG = f"{DRAFT}CREATE INDEX ON itmes (price);\n"
RIGHT = f"{DRAFT}CREATE INDEX ON items (price);\n"


@dataclass(frozen=True)
class Line:
    """A line of output, and the seconds to wait before it."""

    text: Text
    pause: float


class Session:
    """`mosaic-deploy dev` in a terminal with colours but without cursor movement, and its output."""

    def __init__(self, project: Path, home: Path) -> None:
        self.project = project
        self.lines: list[Line] = []
        self._rest = ""
        self._step_began = False
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("MOSAIC_", "NO_COLOR"))
        }
        environment = {
            **kept,
            "MOSAIC_HOME": str(home),
            "TERM": "dumb",
            "COLUMNS": str(_COLUMNS),
            "LINES": "50",
        }
        ours, theirs = pty.openpty()
        self._terminal = ours
        self._note("$ mosaic-deploy dev", "bold")
        self.process = subprocess.Popen(
            [PROGRAM, "dev"], cwd=project, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)

    def until(self, *words: str) -> None:
        """Reads lines up to one that contains all the words."""
        deadline = time.monotonic() + _TIMEOUT
        before = time.monotonic()
        while time.monotonic() < deadline:
            for line in self._read_lines():
                now = time.monotonic()
                pause = _BETWEEN / 2 if self._step_began else min(_LONGEST, max(_SHORTEST, now - before))
                before, self._step_began = now, False
                self.lines.append(Line(Text.from_ansi(line), pause))
                if all(word in self.lines[-1].text.plain for word in words):
                    return
        raise SystemExit(f"{words} not printed, but:\n" + "\n".join(each.text.plain for each in self.lines))

    def save(self, name: str, content: str) -> None:
        self._note(f"✎ {name} saved")
        (self.project / name).write_text(content)

    def run(self, *arguments: str) -> None:
        """Runs a command as if in another terminal."""
        self._note(f"✎ in another terminal: mosaic-deploy {' '.join(arguments)}")
        subprocess.run([PROGRAM, *arguments], cwd=self.project, check=True, capture_output=True)

    def rest(self, seconds: float) -> None:
        """Reads what is printed within `seconds`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.lines += [Line(Text.from_ansi(line), _SHORTEST) for line in self._read_lines()]

    def end(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)

    def _note(self, text: str, style: str = "note") -> None:
        self.lines.append(Line(Text(text, style=style), _BETWEEN if self.lines else 0.0))
        self._step_began = True

    def _read_lines(self) -> Iterator[str]:
        if not select.select([self._terminal], [], [], 0.05)[0]:
            return
        self._rest += os.read(self._terminal, 65536).decode(errors="replace")
        *lines, self._rest = self._rest.split("\n")
        yield from (line.rstrip("\r") for line in lines)


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        project, home = Path(scratch) / "shop", Path(scratch) / "home"
        _write_project(project)
        try:
            lines = _record(project, home)
        finally:
            subprocess.run(
                [PROGRAM, "local", "reset", "--yes"],
                env={**os.environ, "MOSAIC_HOME": str(home)}, check=False, capture_output=True,
            )  # fmt: skip
    (HERE / "dev.svg").write_text(_svg(lines), encoding="utf-8")


def _write_project(project: Path) -> None:
    for name, content in {
        "mosaic.yaml": MANIFEST,
        "public/index.html": PAGE,
        "public/style.css": "h1 { color: navy }\n",
        "migrations/0001_items.sql": ITEMS,
    }.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(content)


def _record(project: Path, home: Path) -> list[Line]:
    session = Session(project, home)
    try:
        session.until("Watching")
        session.save("public/style.css", "h1 { color: teal }\n")
        session.until("public/style.css", "live in")
        session.save("migrations/draft.sql", WRONG)
        session.until("hint:")
        session.save("migrations/draft.sql", RIGHT)
        session.until(" fixed")
        session.run("migrate", "commit", "price")
        session.until("migrations/draft.sql")
        session.rest(0.5)
    finally:
        session.end()
    return session.lines


_COLORS = {
    "red": ("#c4314b", "#ff8b95"),
    "green": ("#1a7f37", "#7ee787"),
    "yellow": ("#8a6100", "#e3b341"),
    "blue": ("#0550ae", "#79c0ff"),
    "magenta": ("#8250df", "#d2a8ff"),
    "cyan": ("#0a7078", "#76e3ea"),
}
"""For light and dark pages, in the order of the terminal's colour numbers."""


def _svg(lines: list[Line]) -> str:
    lines = [each for line in lines for each in _break_line(line)]
    times = _times(lines)
    whole = times[-1] + _LAST
    shown = "\n".join(
        f'<text class="line" id="l{number}" x="16" y="{_y(number)}" xml:space="preserve">{_spans(each.text)}</text>'
        for number, each in enumerate(lines)
    )
    appear = "\n".join(_appear_style(number, at, whole) for number, at in enumerate(times))
    light = "\n".join(f".{name} {{ fill: {pair[0]} }}" for name, pair in _COLORS.items())
    dark = "\n".join(f".{name} {{ fill: {pair[1]} }}" for name, pair in _COLORS.items())
    rolls = max(0, len(lines) - _ROWS) * _LINE
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:.0f} {_HEIGHT}" \
width="{_WIDTH:.0f}" height="{_HEIGHT}" role="img" aria-label="A session of mosaic-deploy dev">
<title>mosaic-deploy dev: it deploys, and then deploys every save</title>
<style>
text {{ font: {_FONT}px ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", monospace; fill: #1d2433 }}
.paper {{ fill: #f6f7fb; stroke: #d0d7e2 }}
.note {{ fill: #3d5bd0; font-style: italic }}
.bold {{ font-weight: 700 }}
.dim {{ opacity: .65 }}
{light}
@media (prefers-color-scheme: dark) {{
text {{ fill: #e8ebf2 }}
.paper {{ fill: #12151d; stroke: #303747 }}
.note {{ fill: #8fa8ff }}
{dark}
}}
.roll {{ transform: translateY(-{rolls}px) }}
@media (prefers-reduced-motion: no-preference) {{
.line {{ visibility: hidden; animation: {whole:.2f}s step-end infinite }}
.roll {{ transform: none; animation: roll {whole:.2f}s step-end infinite }}
{appear}
{_scroll_style(times, whole)}
}}
</style>
<rect class="paper" x=".5" y=".5" width="{_WIDTH - 1:.0f}" height="{_HEIGHT - 1}" rx="8"/>
<svg x="0" y="8" width="{_WIDTH:.0f}" height="{_ROWS * _LINE + 6}">
<g class="roll">
{shown}
</g>
</svg>
</svg>
"""


def _break_line(line: Line) -> Iterator[Line]:
    """A line as a terminal breaks it."""
    length = len(line.text.plain)
    cuts = range(_COLUMNS, length, _COLUMNS)
    for number, text in enumerate(line.text.divide(cuts) if length > _COLUMNS else [line.text]):
        yield Line(text, _SHORTEST if number else line.pause)


def _times(lines: list[Line]) -> list[float]:
    at, times = 0.0, []
    for each in lines:
        at += each.pause
        times.append(at)
    return times


def _y(number: int) -> int:
    return (number + 1) * _LINE - 4


def _appear_style(number: int, at: float, whole: float) -> str:
    share = 100 * at / whole
    frames = (
        f"@keyframes a{number} {{ 0% {{ visibility: hidden }} {share:.2f}%, 100% {{ visibility: visible }} }}"
    )
    if share == 0:
        frames = f"@keyframes a{number} {{ 0%, 100% {{ visibility: visible }} }}"
    return f"{frames} #l{number} {{ animation-name: a{number} }}"


def _scroll_style(times: list[float], whole: float) -> str:
    """Beyond the last row, each new line scrolls the others up."""
    moved = [
        f"{100 * at / whole:.2f}% {{ transform: translateY(-{(number - _ROWS + 1) * _LINE}px) }}"
        for number, at in enumerate(times)
        if number >= _ROWS
    ]
    return f"@keyframes roll {{ 0% {{ transform: none }} {' '.join(moved)} }}"


def _spans(text: Text) -> str:
    """One `tspan` per run of the same style."""
    edges = sorted({0, len(text.plain), *(edge for span in text.spans for edge in (span.start, span.end))})
    runs = [(start, end) for start, end in pairwise(edges) if end > start]
    return "".join(_run(text, start, end) for start, end in runs)


def _run(text: Text, start: int, end: int) -> str:
    styles = [text.style, *(span.style for span in text.spans if span.start <= start and span.end >= end)]
    names = [name for style in styles for name in _classes(style)]
    shown = escape(text.plain[start:end])
    return f'<tspan class="{" ".join(names)}">{shown}</tspan>' if names else shown


def _classes(style: str | Style) -> Iterator[str]:
    if isinstance(style, str):
        yield from (name for name in re.findall(r"[a-z]+", style) if name in ("note", "bold", "dim"))
        return
    number = style.color.number if style.color else None
    if number is not None and 0 < number % 8 < 7:
        yield list(_COLORS)[number % 8 - 1]
    yield from (name for name, on in (("bold", style.bold), ("dim", style.dim)) if on)


if __name__ == "__main__":
    main()
