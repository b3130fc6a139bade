"""No text of a database, a platform or a file controls a terminal, or is a command to a CI system."""

from __future__ import annotations

import inspect
import io
import json
import re
import sys
import time
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mosaic_deploy.cli.commands.ci.github import Github
from mosaic_deploy.cli.render import screen as screens
from mosaic_deploy.cli.render.layout import table
from mosaic_deploy.cli.render.markdown import applied_markdown, failed_markdown, plan_markdown
from mosaic_deploy.cli.render.progress import ProgressBar
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.terminal.streams import _SafeStream
from mosaic_deploy.cli.visible_text import safe_text, style, visible_text
from mosaic_deploy.errors import MosaicError, StatementFailed
from mosaic_deploy.live.snapshot import LiveState
from mosaic_deploy.model import event as events
from mosaic_deploy.model.event import ApplyDone, ApplyFailed, Noted, SqlNotice, StillRunning, Waiting
from mosaic_deploy.model.hazard import Hazard
from mosaic_deploy.model.migration_history import MigrationStatus
from mosaic_deploy.model.plan import Note, Plan
from mosaic_deploy.model.snapshot import Project, Snapshot
from tests.cli.render.marked import marked

ATTACKS = {
    "clears the screen": "\x1b[2J",
    "color": "\x1b[8m",
    "title": "\x1b]0;x\x07",
    "link": "\x1b]8;;http://evil.example\x1b\\here\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;cm0gLXJmIH4=\x07",
    "device control": "\x1bP+q544e\x1b\\",
    "C1 CSI": "\x9b2J",
    "C1 OSC": "\x9d52;c;eA==\x9c",
    "C1 newline": "\x85::warning::x",
    "overwritten line": "bad\rgood",
    "backspace": "bad\b\b\bgood",
    "delete": "\x7f",
    "form feed": "\x0c::warning::x",
    "line separator": "\u2028::warning::x",
    "bidi override": "\u202egnp.exe\u202c",
    "bidi isolate": "\u2066x\u2069",
    "direction mark": "\u200f\u061c",
    "tags": "\U000e0041\U000e0042",
    "workflow command": "::set-output name=url::evil",
    "after a line": "x\n::add-mask::x",
    "indented": "x\n \u3000\t::stop-commands::x",
    "after CRLF": "x\r\n::error::x",
    "after CR": "x\r::error::x",
    "old command": "x ##[command]y",
    "Azure": "x ##vso[task.setvariable variable=x]y",
    "TeamCity": "##teamcity[buildStatus text='x']",
}
MARKER = "".join(f" {attack}\n{attack}" for attack in ATTACKS.values())
_HIDDEN = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
)
_COMMAND = re.compile(r"^\s*::|##(\[|vso\[|teamcity\[)", re.MULTILINE)


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(params=["terminal", "pipe"])
def output(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """What was written to stdout and stderr, without the styles that are ours."""
    is_terminal = request.param == "terminal"
    raw = Terminal() if is_terminal else io.BytesIO()
    stream = _SafeStream(raw, encoding="utf-8", errors="backslashreplace", write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")

    def written() -> str:
        text = raw.getvalue().decode()
        return re.sub(r"\x1b\[(?:0|1|3[1-6]|3[1-6];1)m", "", text)

    yield written
    if not is_terminal:
        assert not _COMMAND.search(written())


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
@pytest.mark.parametrize("terminal", [False, True])
def test_every_attack_is_made_visible(attack: str, terminal: bool) -> None:
    for text in (attack, f"NOTICE: {attack}", f"a\n{attack}", style(attack, "red")):
        written = safe_text(text, terminal=terminal)
        assert not _HIDDEN.search(
            re.sub(r"\x1b\[(31|0)m", "", written, count=2) if "\x1b[31m" in written else written
        )
        assert terminal or not _COMMAND.search(written)


def test_what_is_harmless_stays() -> None:
    for text in ("plain\ttext\n", "日本語 🧑‍💻 é", "a::b", "# [x]", "C:\\x1b", "مرحبا"):
        assert safe_text(text, terminal=False) == text
    assert visible_text("a\r\nb\x1b[31m") == "a\nb\\x1b[31m"
    assert safe_text(style("x", "red", bold=True), terminal=True) == "\x1b[31;1mx\x1b[0m"


def test_many_empty_lines_take_little_time() -> None:
    text, began = "\n" * 30_000, time.monotonic()
    assert safe_text(f"{text}::debug::x", terminal=False) == f"{text}\\::debug::x"
    assert time.monotonic() - began < 3


def mark(kind: Any) -> Any:
    return marked(kind, MARKER)


def _every_event() -> Iterator[Any]:
    for kind in typing.get_args(events.Event):
        if kind is events.ChangeStarted:
            yield from (kind(change) for change in mark(Plan).changes)
        elif kind is events.ChangeDone:
            done = mark(kind)
            yield from (type(done)(change, *_rest(done)) for change in mark(Plan).changes)
        elif kind not in (ApplyDone, ApplyFailed):
            yield mark(kind)


def _rest(done: Any) -> tuple[Any, ...]:
    return (done.seconds, done.steps)


DOCUMENT: Mapping[str, Any] = {
    "type": "x",
    "a": MARKER,
    "b": {MARKER: MARKER},
    "c": [MARKER],
    "url": MARKER,
    "api_key": MARKER,
}
DESIRED = SimpleNamespace(
    manifest=SimpleNamespace(file=SimpleNamespace(name=MARKER)),
    snapshot=mark(Snapshot),
    notes=[mark(Note)],
    ignored=1,
)
EMAIL = {"to": MARKER, "subject": MARKER, "link": MARKER, "created_at": "2026-01-01T00:00:00Z"}
CALLS: Mapping[str, Callable[[Screen], object]] = {
    "plan": lambda s: s.plan(mark(Plan), final=True),
    "nothing_to_apply": lambda s: s.nothing_to_apply(mark(Plan), 1, 1),
    "nothing_to_do": lambda s: s.nothing_to_do(mark(Plan), MARKER),
    "waiting": lambda s: (s.waiting(mark(Waiting)), s.waiting(mark(Noted))),
    "hash_progress": lambda s: s.view.hash_progress(1, 1),
    "still_running": lambda s: s.still_running(mark(StillRunning)),
    "apply": lambda s: (
        s.apply(mark(Plan), iter((*_every_event(), mark(ApplyDone)))),
        s.apply(mark(Plan), iter((*_every_event(), mark(ApplyFailed)))),
    ),
    "validated": lambda s: s.validated(DESIRED),
    "status": lambda s: (s.status(mark(LiveState), mark(Plan)), s.status(mark(LiveState), mark(MosaicError))),
    "platform": lambda s: s.platform(DOCUMENT),
    "history": lambda s: s.history(mark(Project), [mark(MigrationStatus)]),
    "repairs": lambda s: s.repairs(mark(Project), [mark(MigrationStatus)]),
    "plan_saved": lambda s: s.plan_saved(MARKER, MARKER),
    "created": lambda s: s.created(Path(MARKER.replace("\0", ""))),
    "lint": lambda s: s.lint([mark(Hazard)], 1),
    "result": lambda s: s.result(DOCUMENT, [MARKER, *table([MARKER], [[MARKER], [{"a": MARKER}]])]),
    "error": lambda s: (s.error(mark(MosaicError)), s.error(mark(StatementFailed))),
    "watching": lambda s: s.watching(mark(Project), [MARKER], [MARKER]),
    "still_failing": lambda s: s.still_failing(mark(MosaicError), MARKER, [MARKER]),
    "postponed": lambda s: s.postponed([MARKER, MARKER]),
    "draft_ended": lambda s: s.draft_ended(MARKER, MARKER),
    "email": lambda s: s.email(EMAIL),
    "inbox": lambda s: s.inbox([EMAIL]),
    "print_notice": lambda s: s.print_notice([MARKER]),
    "sql_notices": lambda s: s.sql_notices([mark(SqlNotice)]),
    "address_notice": lambda s: s.address_notice(MARKER),
    "dashboard": lambda s: s.dashboard(MARKER),
    "link": lambda s: s.link(DOCUMENT),
    "key": lambda s: s.key(DOCUMENT),
    "log_line": lambda s: (
        s.log_line(MARKER, raw=True),
        s.log_line(json.dumps({"message": MARKER}), raw=False),
    ),
    "text": lambda s: s.text(MARKER),
}
_NO_TEXT = {
    "compare_progress",
    "copy_progress",
    "paused",
    "edit_report",
    "resolved",
    "watch_ended",
    "view",
    "exact_text",
    "draft",
}
"""Have no text of others, or write only with `result`."""


@pytest.mark.parametrize("format", ["text", "json", "ndjson"])
@pytest.mark.parametrize("name", CALLS)
def test_every_output_is_safe(output: Callable[[], str], name: str, format: str) -> None:
    screen = Screen()
    screen.format = format
    CALLS[name](screen)
    written = output()
    if name != "apply" or format != "text":  # a progress bar moves the cursor
        assert not _HIDDEN.search(written)
    for attack in ("\x1b[2J", "\x1b]", "\x9b", "\u202e", "bad\rgood", "\x1bP"):
        assert attack not in written


def test_every_method_of_the_screen_is_tested() -> None:
    methods = {name for name, _ in inspect.getmembers(screens.Screen) if not name.startswith("_")}
    views = {name for name, _ in inspect.getmembers(screens.View) if not name.startswith("_")}
    assert methods | views == {*CALLS, *_NO_TEXT}


def test_a_progress_bar_shows_no_raw_text(output: Callable[[], str]) -> None:
    with ProgressBar(None) as bar:
        for event in _every_event():
            bar.show(event)
        bar.show(mark(StillRunning))
        bar._progress.refresh()
    for attack in ("\x1b[2J", "\x1b]", "\x9b", "\u202e", "bad\rgood", "\x1bP", "\x1b[8m"):
        assert attack not in output()


@pytest.mark.parametrize("level", ["error", "warning", "notice"])
def test_an_annotation_is_one_command(capsys: pytest.CaptureFixture[str], level: str) -> None:
    github = Github({"GITHUB_ACTIONS": "true"})
    place = SimpleNamespace(file=MARKER, line=1, column=1)
    github.annotate(level, MARKER, place, MARKER)
    with github.group(MARKER):
        pass
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" ")[0].split("::")[1] for line in lines] == [level, "group", "endgroup"]
    assert not any(_HIDDEN.search(line) for line in lines)


def test_the_job_summary_has_no_control_characters(tmp_path: Path) -> None:
    file = tmp_path / "summary"
    github = Github({"GITHUB_STEP_SUMMARY": str(file)})
    github.summarize(plan_markdown(mark(Plan), MARKER, 100_000))
    github.summarize(applied_markdown(mark(Plan), mark(ApplyDone), MARKER, 100_000))
    github.summarize(failed_markdown(mark(MosaicError), MARKER, 100_000, None))
    assert not _HIDDEN.search(file.read_text())


def test_only_our_styles_are_used() -> None:
    """Those of click would be shown as escapes."""
    package = Path(screens.__file__).parents[2]
    found = [
        file for file in package.rglob("*.py") if re.search(r"click\.(secho|style|unstyle)", file.read_text())
    ]
    assert found == []
