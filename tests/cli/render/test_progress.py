"""The progress of applies, hashing and copies, for people and as events."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace

import pytest

from mosaic_deploy.cli.render import progress, reading_progress
from mosaic_deploy.cli.render.json_views import NdjsonView
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.render.tally import Tally
from mosaic_deploy.cli.render.text.view import TextView
from mosaic_deploy.errors import ServerFailed
from mosaic_deploy.model.change import (
    AcceptSchema,
    Action,
    ApplyMigration,
    Change,
    CreateProject,
    DeleteStorageFile,
    ForgetMigration,
    LoosenPolicy,
    PutStorageFile,
    RecordMigration,
    RollBackMigration,
)
from mosaic_deploy.model.event import (
    ApplyDone,
    ApplyFailed,
    ApplyStarted,
    BytesSent,
    ChangeDone,
    ChangeFailed,
    ChangeStarted,
    Event,
    StepDone,
    StillRunning,
    Verified,
    Waiting,
)
from mosaic_deploy.model.plan import Plan
from mosaic_deploy.model.snapshot import Project


def put(name: str, size: int) -> PutStorageFile:
    return PutStorageFile(name, "a" * 64, size, Action.ADD, "new")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bytes_rate_time_left_and_failures() -> None:
    clock = Clock()
    tally = Tally(clock)
    tally.add_event(ApplyStarted(3, 10_000_000, "d"))
    assert tally.facts() == ["0 B of 10.0 MB"]
    for second in range(1, 5):
        clock.now = float(second)
        tally.add_event(BytesSent("asset:a", second * 1_000_000))
    assert tally.facts() == ["4.0 MB of 10.0 MB", "1.0 MB/s", "6 s left"]
    tally.add_event(ChangeFailed(put("b", 1_000_000), ServerFailed("no")))
    assert tally.facts()[-2:] == ["6 s left", "1 failed"]
    assert (tally.done, tally.failed) == (0, 1)


def test_the_time_left_is_for_bytes_and_for_files() -> None:
    clock = Clock()
    tally = Tally(clock)
    tally.add_event(ApplyStarted(100, 10_000, "d"))
    # The large file is sent first; then 10 small ones a second.
    tally.add_event(ChangeDone(put("large", 9_901), 1.0))
    for number in range(1, 51):
        clock.now = number / 10
        tally.add_event(ChangeDone(put(f"{number}", 1), 0.1))
    assert (tally.total_bytes - tally.sent, tally.total - tally.done) == (49, 49)
    assert tally.facts()[-1] == "5 s left"
    for number in range(51, 99):
        tally.add_event(ChangeDone(put(f"{number}", 1), 0.1))
    # Never none while something is left.
    assert tally.facts()[-1] == "1 s left"
    tally.add_event(ChangeDone(put("99", 1), 0.1))
    assert "left" not in tally.facts()[-1]


def test_a_file_that_is_sent_again_counts_once() -> None:
    tally = Tally(Clock())
    tally.add_event(ApplyStarted(1, 100, "d"))
    for sent in (50, 80, 10, 100):
        tally.add_event(BytesSent("storage:a", sent))
    tally.add_event(ChangeDone(put("a", 100), 1.0))
    assert tally.sent == 100
    assert tally.facts() == ["100 B of 100 B"]


def test_the_rate_is_recent() -> None:
    clock = Clock()
    tally = Tally(clock)
    tally.add_event(ApplyStarted(1, 10**9, "d"))
    for now, sent in ((0, 0), (1, 10**6), (100, 2 * 10**6), (105, 7 * 10**6)):
        clock.now = float(now)
        tally.add_event(BytesSent("storage:a", sent))
    assert tally.rate == pytest.approx(10**6)


def test_ndjson_has_no_event_per_chunk(capsys: pytest.CaptureFixture[str]) -> None:
    events = [
        ApplyStarted(1, 10**9, "d"),
        *(BytesSent("storage:a", sent) for sent in range(10_000)),
        ChangeDone(put("a", 10**9), 1.0),
        ApplyFailed(ServerFailed("no"), (), None, (), 1.0),
    ]
    plan = Plan(Project("p", "p"), (), (), "d", "l", 1)
    NdjsonView().apply(plan, iter(events))
    types = [json.loads(line)["type"] for line in capsys.readouterr().out.splitlines()]
    assert types[:2] == ["version", "apply_started"]
    assert types[-2:] == ["change_done", "apply_failed"]
    assert types.count("bytes_sent") < 10


def test_hashing_is_reported_after_a_second(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    monkeypatch.setattr(reading_progress, "time", SimpleNamespace(monotonic=clock))
    screen = Screen()
    screen.format = "ndjson"
    with screen.hash_progress() as add_event:
        for tenth in range(60):
            clock.now = tenth / 10
            add_event(tenth, 60)
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()[1:]]
    assert events == [{"type": "hashed", "done": done, "total": 60} for done in (10, 40)]


@pytest.mark.parametrize(
    ("format", "shown"),
    [("text", "  hashed 10.0 GB of 60.0 GB\n  hashed 40.0 GB of 60.0 GB\n"), ("json", "")],
)
def test_hashing_is_reported_on_stderr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], format: str, shown: str
) -> None:
    clock = Clock()
    monkeypatch.setattr(reading_progress, "time", SimpleNamespace(monotonic=clock))
    screen = Screen()
    screen.format = format
    with screen.hash_progress() as add_event:
        for second in range(60):
            clock.now = second / 10
            add_event(second * 10**9, 60 * 10**9)
    assert capsys.readouterr() == ("", shown)


def test_a_terminal_has_one_bar_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(reading_progress, "time", SimpleNamespace(monotonic=clock))
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    screen = Screen()
    with screen.hash_progress() as on_hashed, screen.compare_progress(wanted=True) as compared:
        assert compared is not None
        for turn in range(4):
            clock.now = float(turn)
            on_hashed(turn * 10**9, 3 * 10**9)
        for turn in range(4):
            clock.now = 4.0 + turn
            compared(turn, 3, turn)
    assert "hashed 3.0 GB of 3.0 GB" in terminal.getvalue()
    assert "compared 3 of 3 live files" in terminal.getvalue()


def test_deletions_are_counted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=clock))
    monkeypatch.setattr(progress, "Tally", lambda: Tally(clock))
    lines = progress.ProgressLines(color=False)
    lines.show(ApplyStarted(600, 0, "d"))
    for number in range(1, 601):
        clock.now = number / 100
        lines.show(ChangeDone(DeleteStorageFile(f"f{number}.bin", "gone"), 0.01))
    assert capsys.readouterr().err == "  301 of 600 changes, 3 s left, 301 deleted\n"


@pytest.mark.parametrize(
    ("tty", "text"), [(False, "  2.0 GB of 4.0 GB written\n"), (True, "3.0 GB of 4.0 GB written")]
)
def test_the_progress_of_a_copy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tty: bool, text: str
) -> None:
    clock = Clock()
    monkeypatch.setattr(reading_progress, "time", SimpleNamespace(monotonic=clock))
    terminal = Terminal()
    if tty:
        monkeypatch.setattr("sys.stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
    with Screen().copy_progress("written") as add_event:
        for second in range(4):
            clock.now = second * 0.5
            add_event(second * 10**9, 4 * 10**9)
    shown = terminal.getvalue() if tty else capsys.readouterr().err
    assert text in shown


def test_a_copy_has_no_events(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.format = "ndjson"
    with screen.copy_progress("read") as add_event:
        add_event(1, 2)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_bar_cuts_no_count_and_no_name(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(width))
    change = put("a long name of a file in a folder.bin", 10**9)
    with progress.ProgressBar(color=False) as bar:
        for event in (
            ApplyStarted(4711, 3 * 10**9, "d"),
            ChangeStarted(change),
            BytesSent(change.address, 10**8),
        ):
            bar.show(event)
        bar._progress.refresh()
    shown = " ".join(terminal.getvalue().split())
    assert "0/4711" in shown
    assert "100.0 MB of 3.0 GB" in shown
    assert change.address in shown
    assert "…" not in shown


def test_the_label_of_a_bar_is_what_runs_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    first, second = (ApplyMigration(n, f"{n}.sql", "c", "s", 2) for n in "12")
    a, b = put("a", 1), put("b", 1)
    running = StillRunning("1.sql", 12.0, None, None)
    steps: list[tuple[Event | StillRunning, str]] = [
        (running, ""),
        (ChangeStarted(first), "migration:1.sql"),
        (running, "1.sql has been running for 12 s"),
        (StepDone(first, 1, 2, 0.1), "migration:1.sql step 2 of 2"),
        (ChangeDone(first, 0.1), ""),
        (ChangeStarted(second), "migration:2.sql"),
        (
            Waiting("for a table lock that 2.sql needs", 1.0),
            "waiting for a table lock that 2.sql needs (1 s)",
        ),
        (ChangeDone(second, 0.1), ""),
        (ChangeStarted(a), "storage:a"),
        (ChangeStarted(b), "storage:b"),
        (ChangeFailed(b, ServerFailed("no")), "storage:a"),
        (ChangeDone(a, 0.1), ""),
        (Waiting("for check GET /", 2.0), "waiting for check GET / (2 s)"),
        (Verified("http", "GET /", "200", 0.1), ""),
        (running, ""),
    ]
    with progress.ProgressBar(color=False) as bar:
        for event, label in steps:
            bar.show(event)
            assert bar._progress.tasks[0].description == label, event


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "dumb")
    done = ChangeDone(CreateProject("shop"), 0.25)
    last = ApplyDone(Project("p", "p"), (), 1, 0, 1.0)
    assert progress.show_events(iter((done, last)), progress.make_display(None)) is last
    assert terminal.getvalue() == "  project:shop done in 250 ms\n"


def test_running_sql_is_described() -> None:
    assert progress.running_text(
        StillRunning("sql/2_i.sql", 12.3, "building index: scanning table", 0.456)
    ) == ("sql/2_i.sql has been running for 12 s: building index: scanning table, 46%")
    assert (
        progress.running_text(StillRunning("a.sql", 61.0, None, None))
        == "a.sql has been running for 1 min 1 s"
    )


RECORDED = RecordMigration("1", "1.sql", "c", "s", 1, 1, Action.CHANGE, "applied")
UNDONE = RollBackMigration("1", "1.sql", "1.down.sql", 1, "c")


@pytest.mark.parametrize(
    ("changes", "done"),
    [
        ((), "Applied"),
        ((ApplyMigration("1", "1.sql", "c", "s"),), "Applied"),
        ((UNDONE,), "Rolled back"),
        ((LoosenPolicy("protected_tables"), UNDONE), "Rolled back"),
        ((RECORDED, ForgetMigration("2", "2.sql", "gone")), "Recorded"),
        ((AcceptSchema("d", 1),), "Recorded"),
    ],
)
def test_the_last_line_says_what_was_done(
    capsys: pytest.CaptureFixture[str], changes: tuple[Change, ...], done: str
) -> None:
    plan = Plan(Project("p", "p"), changes, (), "d", "l", 1)
    TextView(color=False).apply(plan, iter([ApplyDone(Project("p", "p"), (), 1, 0, 0.2)]))
    assert capsys.readouterr().out.startswith(f"{done} in 200 ms: ")
