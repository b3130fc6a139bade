"""The scanner finds the ends of names, strings and comments where PostgreSQL does."""

from __future__ import annotations

import tracemalloc

import pytest

from mosaic_deploy.sql.parse import SqlSyntaxError, parse
from mosaic_deploy.sql.scripts.scan import scan
from mosaic_deploy.sql.scripts.sections import down_section, up_section

# Each begins what a wrong scan takes for a string that goes on up to the next one of them.
_ODD = (
    "E'a'\n'it\\'s'",
    "e'a' -- a remark\n\t'it\\'s'",
    "E'a''it\\'s'",
    "$€$it's$€$",
    "$😀_1$it's$😀_1$",
    "$٣$it's$٣$",
    "a$b",
    "€e'\\'",
    "x€$a$",
)


@pytest.mark.parametrize("odd", _ODD)
def test_what_follows_an_odd_token_is_scanned(odd: str) -> None:
    text = f"SELECT {odd};\n\\set a 1\nSELECT {odd};\n-- end"
    found = scan(text)
    assert [text[span.start : span.end] for span in found.commands] == ["\\set a 1"]
    assert [text[span.start : span.end] for span in found.comments][-1] == "-- end"
    assert found.unterminated is None


@pytest.mark.parametrize("odd", [each for each in _ODD if each[0] in "Ee$" and "--" not in each])
def test_the_down_section_doesnt_run_behind_an_odd_string(odd: str) -> None:
    text = f"-- migrate:up\nINSERT INTO t VALUES ({odd});\n-- migrate:down\nDELETE FROM t WHERE a = {odd};\n"
    down = down_section(text)
    assert [one.kind for one in parse(up_section(text).text)] == ["InsertStmt"]
    assert down is not None and [one.kind for one in parse(down.text)] == ["DeleteStmt"]


def test_a_carriage_return_ends_a_line_comment() -> None:
    text = "-- migrate:up\rCREATE TABLE a ();\r-- migrate:down\rDROP TABLE a;\r"
    down = down_section(text)
    assert [one.kind for one in parse(up_section(text).text)] == ["CreateStmt"]
    assert down is not None and [one.kind for one in parse(down.text)] == ["DropStmt"]


@pytest.mark.parametrize("unterminated", ("/*/", "'a", '"a', "E'\\'", "E'a'\n'\\'", "$a$ $b$"))
def test_what_has_no_end(unterminated: str) -> None:
    assert scan(f"SELECT 1; {unterminated}").unterminated in (10, 11, 15)


@pytest.mark.parametrize(
    "copy", ("COPY t FROM /* rows */ stdin;", "COPY t FROM -- rows\nstdin;", "COPY t FROM\rSTDIN;")
)
def test_a_comment_before_stdin(copy: str) -> None:
    assert len(scan(f"{copy}\nit's\n\\.\n").copies) == 1


@pytest.mark.parametrize("odd", ("E'\\''", "E'a'\n'\\''", "$€$'$€$", '1 AS "€$a$"', "1 AS €$a$"))
def test_deep_comments_are_refused_behind_an_odd_token(odd: str) -> None:
    with pytest.raises(SqlSyntaxError, match="comments inside each other"):
        parse(f"SELECT {odd};" + "/*" * 1500 + "*/" * 1500)


def test_a_long_string_with_escapes_takes_little_memory() -> None:
    text = "SELECT E'" + "\\n" * 200_000 + "';"
    tracemalloc.start()
    try:
        scan(text)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
