"""What `sql` does with a query: rows as PostgreSQL's text, whether it is finished, and which names fit."""

from __future__ import annotations

import pytest

from mosaic_deploy.cli.render.text.query_rows import csv_text, rows_lines
from mosaic_deploy.sql.parse import parse
from mosaic_deploy.sql.queries.as_text import NAMES_COLUMN, ROW_COLUMN, returns_rows, text_rows_query
from mosaic_deploy.sql.queries.record import TextRows, json_rows_as_text, parse_record, read_text_rows
from mosaic_deploy.sql.queries.typing import Names, Relation, is_finished, suggestions


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("()", (None,)),
        ("(1)", ("1",)),
        ("(,)", (None, None)),
        ('("",a b)', ("", "a b")),
        ('("a,""b""",")(")', ('a,"b"', ")(")),
        (r'("\\x",1)', (r"\x", "1")),
        ('("(1,""x"")")', ('(1,"x")',)),
        ('("a\nb")', ("a\nb",)),
    ],
)
def test_composite_values_are_read(text: str, values: tuple[str | None, ...]) -> None:
    assert parse_record(text) == values


@pytest.mark.parametrize("text", ["", "1", "(1", '("a"x)', "(a(b)"])
def test_other_texts_are_no_composite_values(text: str) -> None:
    with pytest.raises(ValueError, match="composite"):
        parse_record(text)


@pytest.mark.parametrize(
    "query", ["select 1", "table t", "values (1)", "with a as (select 1) table a", "select 1 for update"]
)
def test_queries_that_only_read_are_changed(query: str) -> None:
    sent = text_rows_query(f"set a.b = 1; {query}; -- end", parse(f"set a.b = 1; {query}; -- end"))
    assert sent is not None
    assert sent.startswith("set a.b = 1; WITH")
    assert f"\n{query}\n" in sent
    assert sent.endswith("; -- end")
    assert [each.kind for each in parse(sent)] == ["VariableSetStmt", "SelectStmt"]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("select 1 into z", False),
        ("with a as (delete from t returning *) select * from a", True),
        ("insert into t values (1) returning *", True),
        ("delete from t", False),
        ("explain select 1", True),
        ("show all", True),
        ("create table z ()", False),
        ("execute p", None),
        ("select 1; drop table t", False),
        ("", None),
    ],
)
def test_other_queries_stay_as_they_are(query: str, rows: bool | None) -> None:
    assert text_rows_query(query, parse(query)) is None
    assert returns_rows(parse(query)) is rows


def test_rows_of_another_form_stay_json() -> None:
    assert read_text_rows([{"a": 1}]) is None
    assert read_text_rows([{NAMES_COLUMN: None, ROW_COLUMN: "(1)"}]) is None
    names = {NAMES_COLUMN: '{"a":null,"a":null}', ROW_COLUMN: None}
    assert read_text_rows([names, {NAMES_COLUMN: None, ROW_COLUMN: "(1,)"}]) == TextRows(
        ("a", "a"), (("1", None),)
    )
    found = json_rows_as_text([{"a": True, "b": None, "c": [1, "é"]}])
    assert found == TextRows(("a", "b", "c"), (("t", None, '[1, "é"]'),))


ROWS = TextRows(("id", "note"), (("7", "a\nb"), (None, ""), ("12", "x\t\x1b")))


def test_a_table_shows_every_value_whole() -> None:
    assert list(rows_lines(ROWS, None)) == [
        "id   │ note",
        "─────┼────────",
        "   7 │ a↵",
        "     │ b",
        "NULL │",
        "  12 │ x\\t\\x1b",
        "(3 rows)",
    ]
    assert list(rows_lines(ROWS, 10))[:3] == ["─[ row 1 ]", "id   │ 7", "note │ a↵"]
    long = TextRows(("plan",), (("x" * 300,),))
    assert next(iter(rows_lines(long, 80))) == "plan"
    assert f"{'x' * 300}" in list(rows_lines(long, 80))
    assert list(rows_lines(TextRows((), ((), ())), 80)) == ["(2 rows)"]


def test_csv_tells_null_and_empty_texts_apart() -> None:
    assert csv_text(ROWS) == 'id,note\n7,"a\nb"\n,""\n12,x\t\x1b\n'
    assert csv_text(TextRows(("a", 'b"'), ())) == 'a,"b"""\n'
    assert csv_text(TextRows((), ())) == ""


@pytest.mark.parametrize(
    ("text", "finished"),
    [
        ("select 1", False),
        ("select 1;", True),
        ("select 1; -- end", True),
        ("select 1 -- end;", False),
        ("select ';", False),
        ("select ';'", False),
        ("do $$ begin null;", False),
        ("do $$ begin null; end $$;", True),
        ("/* a; ", False),
        ("selec 1;", True),
        ("create function f() returns int begin atomic select 1;", False),
        ("create function f() returns int begin atomic select 1; end;", True),
    ],
)
def test_a_statement_is_sent_when_it_is_finished(text: str, finished: bool) -> None:
    assert is_finished(text) is finished


NAMES = Names(
    (Relation("", "todos", ("id", "Title")), Relation("app", "Users", ("id", "email"))), ("total_size",)
)


@pytest.mark.parametrize(
    ("before", "after", "offered"),
    [
        ("select * from to", "", ("todos",)),
        ("select * from ", "", ("todos", 'app."Users"', "app.")),
        ("select ti", " from todos", ('"Title"',)),
        ("select t.", " from todos t", ("id", '"Title"')),
        ("select * from app.", "", ('"Users"',)),
        ("select tot", "", ("total_size",)),
        ("sele", "", ("SELECT",)),
        ("", "", ()),
    ],
)
def test_names_that_fit_are_offered(before: str, after: str, offered: tuple[str, ...]) -> None:
    assert suggestions(before, before + after, NAMES).texts == offered
