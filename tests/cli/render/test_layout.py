"""Text for people: wrapped between words on a terminal, whole in a pipe."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta

import pytest

from mosaic_deploy.cli.render import layout
from mosaic_deploy.cli.render.layout import output_width, table, text_width, wrap
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.render.text.plan import plan_lines
from mosaic_deploy.cli.visible_text import safe_text, style, unstyle
from mosaic_deploy.errors import Location, MigrationFailed, MosaicError, NextAction, Problem
from mosaic_deploy.live.snapshot import LiveState
from mosaic_deploy.model.change import Action, ApplyMigration, PutStatic, PutStorageFile
from mosaic_deploy.model.hazard import Hazard, HazardSeverity
from mosaic_deploy.model.migration_history import HistoryEntry, MigrationState, MigrationStatus
from mosaic_deploy.model.plan import Note, Plan, Severity
from mosaic_deploy.model.snapshot import Migration, Project, Snapshot

URL = "https://" + "a-very-long-host-name." * 6 + "example/files/picture.png"
LONG_SQL = "insert into orders (id, customer, total) values " + ", ".join(f"({n}, 'x', 1)" for n in range(60))
PROJECT = Project(
    "shop-1a2b", "A shop with a fairly long name", "https://shop-1a2b.mosaic.example", "running"
)
PLAN = Plan(
    PROJECT,
    (
        ApplyMigration(
            "1", "0001_create_the_orders_and_customers_tables.sql", "c", "s", 1, 0, "creates 2 tables"
        ),
        PutStatic(
            "assets/application-d41d8cd98f00b204e9800998ecf8427e.js", "a" * 64, 123_456, Action.ADD, "new"
        ),
        PutStorageFile(
            "bilder/größe.png", "a" * 64, 9_876_543, Action.CHANGE, "another content type than before"
        ),
    ),
    (Note("kept", f"2 files stay live that are no longer in the folder: {URL}", Severity.WARNING),),
    "d",
    "l",
    1,
    hazards=(
        Hazard(
            "drop_column",
            HazardSeverity.DESTRUCTIVE,
            "drops column customers.name, which has values in about 2,100 rows",
            "customers",
            Location("migrations/0002_drop.sql", 3, 1),
        ),
    ),
)
ERROR = MigrationFailed(
    'relation "customers" does not exist',
    location=Location("migrations/0003_fill.sql", 12, 300, LONG_SQL),
    problems=[
        Problem(
            "is edited since it was applied", Location("a.sql", 1, 2, "select 1"), hint="restore it\nselect 2"
        )
    ],
    hint=f"correct the file and run `mosaic-deploy apply` again; the documentation is at {URL}",
    mutation_state="partial",
    next_actions=[
        NextAction("continue", "mosaic-deploy apply --local --env staging 'my project'", needs_person=True)
    ],
)
LINES = [
    MigrationStatus(
        str(number),
        f"000{number}_a_migration_with_a_long_name.sql",
        state,
        HistoryEntry(Migration(str(number), "f", "c", "s", 3, 1, step_begun=-2), "2026-01-02T03:04:05Z",
                     "ada@laptop", cause="somewhere in the middle of the file: division by zero"),
        next_actions=[NextAction("start it over", "mosaic-deploy migrate repair --retry 1")],
    )
    for number, state in enumerate(MigrationState)
]  # fmt: skip
LIVE = LiveState(
    Snapshot(PROJECT),
    True,
    {f"picture {number}.png": (1, URL) for number in range(12)},
    {
        "last": {"status": "done", "holder": "ada@laptop (pid 4711)", "finished_at": "2026-01-02T03:04:05Z"},
        "lease": {"holder": "grace@server (pid 12)", "expires_at": "2026-01-02T03:04:05Z"},
    },
)
DEPLOYS = [
    ("3 minutes ago", "failed", "ada@laptop (pid 4711)", "production", "3f1c2d9a7b5e", ERROR.message),
    ("2 days ago", "done", "grace@build-server (pid 12)", None, None, "3 static files, 1 migration"),
]
FILES = [("bilder/größe.png", "9.9 MB", URL), ("a.txt", "1 B", URL)]


def show_plan(screen: Screen) -> None:
    screen.plan(PLAN, final=True)


def show_status(screen: Screen) -> None:
    screen.status(LIVE, PLAN)


def show_migrations(screen: Screen) -> None:
    screen.history(PROJECT, LINES)


def show_history(screen: Screen) -> None:
    screen.result({}, table(("started", "status", "by", "environment", "commit", "changes"), DEPLOYS))


def show_storage(screen: Screen) -> None:
    screen.result({}, table(("name", "size", "url"), FILES))


def show_rows(screen: Screen) -> None:
    rows = [[number, {"tags": ["a", "b"], "text": "word " * 40}, True, None] for number in range(3)]
    screen.result({}, table(("id", "document", "done", "note"), rows))


def show_error(screen: Screen) -> None:
    screen.error(ERROR)


def show_lint(screen: Screen) -> None:
    screen.lint(PLAN.hazards, 1)


SHOWN = [
    show_plan,
    show_status,
    show_migrations,
    show_history,
    show_storage,
    show_rows,
    show_error,
    show_lint,
]


def use_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.delenv("NO_COLOR", raising=False)
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("show", SHOWN)
def test_no_line_is_wider_than_the_terminal(show, width: int, monkeypatch, capsys) -> None:
    use_terminal(monkeypatch, width)
    show(Screen())
    shown = "".join(capsys.readouterr())
    assert shown
    for line in shown.splitlines():
        plain = unstyle(line)
        assert text_width(plain) <= width or is_one_piece(plain), plain


def is_one_piece(line: str) -> bool:
    """One word, with or without a mark, text in backticks, or a command that is to be pasted."""
    text = re.sub(r"^[!i+~-] ", "", line.strip())
    return " " not in text or bool(re.fullmatch(r"`[^`]+`\S*", text)) or text.startswith("mosaic-deploy ")


@pytest.mark.parametrize("show", SHOWN)
@pytest.mark.parametrize("width", [40, 80])
def test_a_terminal_shows_all_that_a_pipe_gets(show, width: int, monkeypatch, capsys) -> None:
    show(Screen())
    piped = words("".join(capsys.readouterr()))
    use_terminal(monkeypatch, width)
    show(Screen())
    assert piped - words("".join(capsys.readouterr())) == set()


def words(text: str) -> set[str]:
    """Without rules, gutters and the source excerpt, which is as wide as there is room."""
    lines = (line for line in unstyle(text).splitlines() if "insert into" not in line and " | " not in line)
    return {word.rstrip(":") for line in lines for word in line.split() if set(word) != {"─"}}


def test_a_pipe_gets_each_fact_on_one_line(capsys) -> None:
    for show in SHOWN:
        show(Screen())
    shown = "".join(capsys.readouterr())
    for whole in (
        f"2 files stay live that are no longer in the folder: {URL}",
        f"  hint: {ERROR.hint}",
        LONG_SQL,
        "  your decision: continue:  mosaic-deploy apply --local --env staging 'my project'",
        '{"tags": ["a", "b"], "text": "' + "word " * 40 + '"}',
        f"bilder/größe.png  9.9 MB  {URL}",
    ):
        assert whole in shown


def test_a_minified_source_line_is_an_excerpt_around_the_column(capsys) -> None:
    text = "a" * 5000 + "!" + "b" * 5000
    Screen().error(MosaicError("no", location=Location("x.sql", 1, 5001, text)))
    _, source, caret, *_ = capsys.readouterr().err.splitlines()
    assert len(source) < 1100
    assert source[caret.index("^")] == "!"
    assert source.split(" | ")[1][0] == source[-1] == "…"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one two three four five six", ["one two three four", "  five six"]),
        ("  hint: one two three four five", ["  hint: one two", "        three four", "        five"]),
        ("  ! one two three four five", ["  ! one two three", "    four five"]),
        ("see `a long command here` now", ["see", "  `a long command here`", "  now"]),
        ("first\nsecond", ["first", "second"]),
        ("    + a_name_that_is_too_long new", ["    + a_name_that_is_too_long", "      new"]),
        ("größe größe größe größe", ["größe größe größe", "  größe"]),
        ("漢字漢字 漢字漢字 漢字漢字", ["漢字漢字 漢字漢字", "  漢字漢字"]),
        (
            "  next: continue:  do a thing that is long",
            ["  next: continue:", "        do a thing that is long"],
        ),
    ],
)
def test_wrapping(text: str, lines: list[str]) -> None:
    assert wrap(text, 20) == lines
    assert wrap(text, None) == text.split("\n")


@pytest.mark.parametrize("length", [30, 50, 80])
def test_a_long_name_stays_beside_its_mark_and_leaves_the_others_room(length: int) -> None:
    long = "0002_" + "x" * length + ".sql"
    changes = [
        ApplyMigration(name[3], name, "c", "s", summary="creates table orders")
        for name in (long, "0003_b.sql")
    ]
    lines = list(map(unstyle, plan_lines(Plan(PROJECT, tuple(changes), (), "d", "l", 1), 70)))
    assert "    +" not in lines
    assert any(line.startswith(f"    + {long}") for line in lines)
    assert any(
        line.startswith("    + 0003_b.sql") and line.endswith("creates table orders") for line in lines
    )


def test_styles_survive_wrapping() -> None:
    [first, second] = wrap(style("one two three", "red") + " and the rest", 20)
    assert safe_text(first, terminal=True) == "\x1b[31mone two three\x1b[0m and"
    assert second == "  the rest"


def test_a_table_that_fits_is_a_grid(capsys) -> None:
    assert list(table(("a", "b"), [(1, "x"), (None, True)])) == ["a  b", "─  ────", "1  x", "   true"]


def test_the_widest_column_of_a_wide_table_moves_below_its_row(monkeypatch) -> None:
    use_terminal(monkeypatch, 40)
    assert list(table(("name", "size", "url"), FILES)) == [
        "name              size",
        "────────────────  ──────",
        "bilder/größe.png  9.9 MB",
        "  url:",
        f"    {URL}",
        "a.txt             1 B",
        "  url:",
        f"    {URL}",
    ]


def test_a_long_cell_does_not_pad_other_rows_in_a_pipe() -> None:
    rows = list(table(("a", "b"), [("x" * 500, 1), ("y", 2)]))
    assert rows[2] == "x" * 500 + "  1"
    assert len(rows[3]) < 80


def test_the_width_is_the_terminals_own_without_columns(monkeypatch) -> None:
    assert output_width(sys.stdout) is None
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert output_width(sys.stdout) == 80
    monkeypatch.setattr(layout.os, "get_terminal_size", lambda _: layout.os.terminal_size((101, 20)))
    monkeypatch.setattr(sys.stdout, "fileno", lambda: 1)
    assert output_width(sys.stdout) == 101


def test_the_inbox_shows_ages(capsys) -> None:
    sent = (datetime.now(UTC) - timedelta(minutes=3)).isoformat()
    Screen().inbox([{"created_at": sent, "to": "ada@example.com", "subject": "Sign in", "link": URL}])
    assert capsys.readouterr().out == f"3 minutes ago  to ada@example.com: Sign in\n  {URL}\n"
