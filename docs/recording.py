"""Makes docs/dev.svg: a session of `mosaic-deploy dev`, as the program writes it while files are really edited.

.venv/bin/python docs/recording.py. It uses an embedded platform of its own. What is written, and the times that are told,
are as they were; only the pauses between two lines are made fit for reading.
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
_PATIENCE = 120.0
_COLUMNS, _ROWS = 104, 25
_FONT, _LINE = 13, 19
"""Pixels; a character is six tenths of its height wide."""
_WIDTH = _COLUMNS * _FONT * 0.6 + 32
_HEIGHT = _ROWS * _LINE + 24
_SHORTEST, _LONGEST, _BETWEEN = 0.04, 0.7, 1.6
"""Seconds between two lines of one act, at least and at most, and between two acts."""
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
class Said:
    """A line, and how many seconds after the one before it is shown."""

    text: Text
    pause: float


class Session:
    """The program in a terminal that knows colours and nothing else, and what it has said."""

    def __init__(self, project: Path, home: Path) -> None:
        self.project = project
        self.said: list[Said] = []
        self._rest = ""
        self._begun = False
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
        """Takes lines up to one that has all the words in it."""
        deadline = time.monotonic() + _PATIENCE
        before = time.monotonic()
        while time.monotonic() < deadline:
            for line in self._lines():
                now = time.monotonic()
                pause = _BETWEEN / 2 if self._begun else min(_LONGEST, max(_SHORTEST, now - before))
                before, self._begun = now, False
                self.said.append(Said(Text.from_ansi(line), pause))
                if all(word in self.said[-1].text.plain for word in words):
                    return
        raise SystemExit(f"{words} was not said, but:\n" + "\n".join(each.text.plain for each in self.said))

    def save(self, name: str, content: str) -> None:
        self._note(f"✎ {name} is saved")
        (self.project / name).write_text(content)

    def run(self, *arguments: str) -> None:
        """Another command, in another terminal."""
        self._note(f"✎ in another terminal: mosaic-deploy {' '.join(arguments)}")
        subprocess.run([PROGRAM, *arguments], cwd=self.project, check=True, capture_output=True)

    def rest(self, seconds: float) -> None:
        """What else is said within so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.said += [Said(Text.from_ansi(line), _SHORTEST) for line in self._lines()]

    def end(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)

    def _note(self, text: str, style: str = "note") -> None:
        self.said.append(Said(Text(text, style=style), _BETWEEN if self.said else 0.0))
        self._begun = True

    def _lines(self) -> Iterator[str]:
        if not select.select([self._terminal], [], [], 0.05)[0]:
            return
        self._rest += os.read(self._terminal, 65536).decode(errors="replace")
        *lines, self._rest = self._rest.split("\n")
        yield from (line.rstrip("\r") for line in lines)


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        project, home = Path(scratch) / "shop", Path(scratch) / "home"
        _make(project)
        try:
            said = _act(project, home)
        finally:
            subprocess.run(
                [PROGRAM, "local", "reset", "--yes"],
                env={**os.environ, "MOSAIC_HOME": str(home)}, check=False, capture_output=True,
            )  # fmt: skip
    (HERE / "dev.svg").write_text(_svg(said), encoding="utf-8")


def _make(project: Path) -> None:
    for name, content in {
        "mosaic.yaml": MANIFEST,
        "public/index.html": PAGE,
        "public/style.css": "h1 { color: navy }\n",
        "migrations/0001_items.sql": ITEMS,
    }.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(content)


def _act(project: Path, home: Path) -> list[Said]:
    session = Session(project, home)
    try:
        session.until("Watching")
        session.save("public/style.css", "h1 { color: teal }\n")
        session.until("public/style.css", "live in")
        session.save("migrations/draft.sql", WRONG)
        session.until("hint:")
        session.save("migrations/draft.sql", RIGHT)
        session.until("in step again")
        session.run("migrate", "seal", "price")
        session.until("migrations/draft.sql")
        session.rest(0.5)
    finally:
        session.end()
    return session.said


# The picture.

_COLORS = {
    "red": ("#c4314b", "#ff8b95"),
    "green": ("#1a7f37", "#7ee787"),
    "yellow": ("#8a6100", "#e3b341"),
    "blue": ("#0550ae", "#79c0ff"),
    "magenta": ("#8250df", "#d2a8ff"),
    "cyan": ("#0a7078", "#76e3ea"),
}
"""In light and in dark, in the order of the terminal's numbers."""


def _svg(said: list[Said]) -> str:
    said = [each for line in said for each in _folded(line)]
    times = _times(said)
    whole = times[-1] + _LAST
    shown = "\n".join(
        f'<text class="line" id="l{number}" x="16" y="{_y(number)}" xml:space="preserve">{_spans(each.text)}</text>'
        for number, each in enumerate(said)
    )
    appear = "\n".join(_appearing(number, at, whole) for number, at in enumerate(times))
    light = "\n".join(f".{name} {{ fill: {pair[0]} }}" for name, pair in _COLORS.items())
    dark = "\n".join(f".{name} {{ fill: {pair[1]} }}" for name, pair in _COLORS.items())
    rolls = max(0, len(said) - _ROWS) * _LINE
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:.0f} {_HEIGHT}" \
width="{_WIDTH:.0f}" height="{_HEIGHT}" role="img" aria-label="A session of mosaic-deploy dev">
<title>mosaic-deploy dev: it deploys, and then follows every save</title>
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
{_rolling(times, whole)}
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


def _folded(line: Said) -> Iterator[Said]:
    """A line as a terminal folds it."""
    length = len(line.text.plain)
    cuts = range(_COLUMNS, length, _COLUMNS)
    for number, text in enumerate(line.text.divide(cuts) if length > _COLUMNS else [line.text]):
        yield Said(text, _SHORTEST if number else line.pause)


def _times(said: list[Said]) -> list[float]:
    at, times = 0.0, []
    for each in said:
        at += each.pause
        times.append(at)
    return times


def _y(number: int) -> int:
    return (number + 1) * _LINE - 4


def _appearing(number: int, at: float, whole: float) -> str:
    share = 100 * at / whole
    frames = (
        f"@keyframes a{number} {{ 0% {{ visibility: hidden }} {share:.2f}%, 100% {{ visibility: visible }} }}"
    )
    if share == 0:
        frames = f"@keyframes a{number} {{ 0%, 100% {{ visibility: visible }} }}"
    return f"{frames} #l{number} {{ animation-name: a{number} }}"


def _rolling(times: list[float], whole: float) -> str:
    """Beyond the last row, each line moves all others up."""
    moved = [
        f"{100 * at / whole:.2f}% {{ transform: translateY(-{(number - _ROWS + 1) * _LINE}px) }}"
        for number, at in enumerate(times)
        if number >= _ROWS
    ]
    return f"@keyframes roll {{ 0% {{ transform: none }} {' '.join(moved)} }}"


def _spans(text: Text) -> str:
    """The runs of one style each."""
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
