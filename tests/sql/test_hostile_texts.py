"""Texts that would end or stop PostgreSQL's parser, which has no limits of its own, end with an error."""

import subprocess
import sys
import threading

import pytest

from mosaic_deploy.sql.call_stack import body_syntax_error
from mosaic_deploy.sql.parse import SqlSyntaxError, parse
from mosaic_deploy.sql.pg_parser.stack import most_levels

DEEP = {
    "operators": "SELECT 1" + "+1" * 300_000,
    "concatenations": "SELECT a" + "||b" * 200_000,
    "joins": "SELECT FROM a" + " JOIN b USING (c)" * 100_000,
    "unions": "SELECT 1" + " UNION SELECT 1" * 100_000,
    "casts": "SELECT a" + "::int" * 200_000,
    "collations": "SELECT a" + ' COLLATE "C"' * 100_000,
    "brackets": "SELECT " + "(" * 100_000 + "1" + ")" * 100_000,
    "signs": "SELECT " + "- " * 200_000 + "1",
    "calls": "SELECT " + "f(1, " * 100_000 + "1" + ")" * 100_000,
    "sums in calls": "SELECT " + "1+f(1+1+1, " * 60_000 + "1" + ")" * 60_000,
    "comments": "/*" * 500_000 + "*/" * 500_000,
    "comments without an end": "/*" * 500_000,
    "more than fits": "SELECT 1" + "+1" * 3_000_000,
}
PARSE = """
import sys
from mosaic_deploy.sql.call_stack import body_syntax_error
from mosaic_deploy.sql.parse import SqlSyntaxError, parse
try:
    for statement in parse(sys.stdin.read()):
        statement.tree
        if found := body_syntax_error(statement):
            raise SqlSyntaxError(*found)
except SqlSyntaxError as error:
    print("refused:", error.message[:60])
"""


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_the_process_survives(text) -> None:
    """In a process of its own, because a text that gets through ends it."""
    ended = subprocess.run(
        [sys.executable, "-c", PARSE], input=text, capture_output=True, text=True, timeout=120, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("refused: ")


def test_the_stack_is_of_whole_pages(monkeypatch) -> None:
    sizes: list[int] = []
    set_size = threading.stack_size
    monkeypatch.setattr(threading, "stack_size", lambda size: (sizes.append(size), set_size(size))[1])
    with pytest.raises(SqlSyntaxError):
        parse("SELECT 1" + "+1" * 3001)
    assert len(sizes) == 2
    assert all(size % 65536 == 0 for size in sizes), "macOS refuses others"


WIDE = {
    "rows": "INSERT INTO t VALUES " + ", ".join(["(1, 'a+(b', -3.5)"] * 20_000),
    "conditions": "SELECT 1 WHERE a" + " AND b" * 20_000,
    "strings": "INSERT INTO t VALUES " + ", ".join(["('((((++++/*')"] * 2_000),
    "comments": "SELECT 1" + " /* a */" * 20_000,
    "patterns": "INSERT INTO t VALUES " + ", ".join(["('image/*', $$text/*$$, $a$/*$a$)"] * 2_000),
    "statements": "SELECT f(1) + 2;\n" * 20_000,
}


@pytest.mark.parametrize("text", WIDE.values(), ids=WIDE)
def test_long_texts_that_are_not_deep_are_parsed(text) -> None:
    assert parse(text)


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("SELECT 1 + 1 + 1", 2),
        ("SELECT f(1, f(1, f(1)))", 3),
        ("SELECT (1 + 1), (1 + 1)", 2),
        ("VALUES (1), (2), (3)", 1),
        (")))", 1),
        ("SELECT a JOIN b USING (c) JOIN d USING (e)", 4),
    ],
)
def test_levels_are_bounded_from_above(text, levels) -> None:
    assert levels <= most_levels(text) <= 2 * levels + 1


def test_comments_in_a_body_are_left_to_postgresql() -> None:
    [statement] = parse("DO $$ BEGIN " + "/*" * 200_000 + "*/" * 200_000 + " END $$")
    assert body_syntax_error(statement) is None


def test_the_error_has_its_place() -> None:
    with pytest.raises(SqlSyntaxError) as caught:
        parse("SELECT 1;\n" + "/*" * 5000)
    assert caught.value.offset == 10
