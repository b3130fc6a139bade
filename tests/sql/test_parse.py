"""Statements and their offsets, which count characters of the original text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_deploy.sql.parse import SqlSyntaxError, line_and_column, parse, semantic_checksum
from mosaic_deploy.sql.pg_parser.libpg_query import parse_plpgsql, parse_statements, split_statements
from mosaic_deploy.sql.pg_parser.trivia import leading_trivia_length

ATOMIC = "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END"

STATEMENTS = {
    "one": ("SELECT 1", ["SELECT 1"]),
    "semicolon": ("SELECT 1;", ["SELECT 1"]),
    "empty statements": (";; SELECT 1 ;;; SELECT 2;;", ["SELECT 1", "SELECT 2"]),
    "non-ascii before": ("SELECT 'žluťoučký 🎉'; SELECT 2", ["SELECT 'žluťoučký 🎉'", "SELECT 2"]),
    "non-ascii in a comment": ("/* 🎉é */ SELECT é; -- ü\nSELECT 2", ["SELECT é", "SELECT 2"]),
    "crlf": ("SELECT 1;\r\n\r\nSELECT\r\n2;\r\n", ["SELECT 1", "SELECT\r\n2"]),
    "form feed and tab": ("\f\tSELECT 1", ["SELECT 1"]),
    "nested comments": ("/* a /* ; b */ ; c */ SELECT 1; /**/SELECT 2", ["SELECT 1", "SELECT 2"]),
    "comment marks in a line comment": ("-- /* not open\nSELECT 1", ["SELECT 1"]),
    "trailing comments stay": (
        "SELECT 1 -- one\n; SELECT 2 /* two */",
        ["SELECT 1 -- one", "SELECT 2 /* two */"],
    ),
    "dollar quotes": (
        "DO $a$ BEGIN; $b$; END $a$; SELECT $$;$$",
        ["DO $a$ BEGIN; $b$; END $a$", "SELECT $$;$$"],
    ),
    "begin atomic": (f"{ATOMIC}; SELECT 3", [ATOMIC, "SELECT 3"]),
    "escape strings": (r"SELECT E'a\';b'; SELECT U&'\0441;'", [r"SELECT E'a\';b'", r"SELECT U&'\0441;'"]),
    "quoted identifier": ('SELECT "a;""b"; SELECT 2', ['SELECT "a;""b"', "SELECT 2"]),
    "doubled quote": ("SELECT 'it''s;'; SELECT 2", ["SELECT 'it''s;'", "SELECT 2"]),
    "no-break space ends a name": ("SELECT 1 AS x\u00a0; SELECT 2", ["SELECT 1 AS x\u00a0", "SELECT 2"]),
    "rule with statements inside": (
        "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3",
        ["CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)", "SELECT 3"],
    ),
}


@pytest.mark.parametrize(("text", "expected"), STATEMENTS.values(), ids=STATEMENTS)
def test_statements_and_offsets(text: str, expected: list[str]) -> None:
    found = parse(text)
    assert [s.text for s in found] == expected
    at = 0
    for statement in found:
        assert statement.offset == text.index(statement.text, at)
        at = statement.offset + len(statement.text)


@pytest.mark.parametrize("text", ["", "  \r\n\t", ";", "-- only a comment", "/* a /* b */ c */ -- d\n;"])
def test_no_statements(text: str) -> None:
    assert parse(text) == []


ERRORS = {
    "first word": ("CRATE TABLE t ()", "CRATE"),
    "after non-ascii": ("SELECT 'žluťoučký 🎉' FROM a b c", "c"),
    "second statement": ("SELECT 'é';\r\nSELECT 1 FORM t", "t"),
    "unterminated string": ("SELECT 'é', 'abc", "'abc"),
    "unterminated dollar quote": ("SELECT 'é', $$abc", "$$abc"),
    "unterminated comment": ("SELECT 'é' /* abc", "/* abc"),
    "byte order mark inside": ("SELECT 1; \ufeffSELECT 2", "\ufeffSELECT"),
    "nul": ("SELECT 'é\0'", "\0"),
}


@pytest.mark.parametrize(("text", "at"), ERRORS.values(), ids=ERRORS)
def test_syntax_error_offsets(text: str, at: str) -> None:
    with pytest.raises(SqlSyntaxError) as caught:
        parse(text)
    assert caught.value.offset == text.rindex(at)


def test_deep_nesting_is_a_syntax_error() -> None:
    with pytest.raises(SqlSyntaxError, match="nested too deeply"):
        parse("SELECT " + "1+" * 5000 + "1")


def test_long_operator_chain_has_a_checksum() -> None:
    chain = parse("SELECT " + "1+" * 400 + "1")
    assert len(semantic_checksum(chain)) == 64


@pytest.mark.parametrize(
    ("text", "offset", "expected"),
    [
        ("a", 0, (1, 1, "a")),
        ("é\nüx", 3, (2, 2, "üx")),
        ("a\r\nbc\r\nd", 4, (2, 2, "bc")),
        ("a\n", 2, (2, 1, "")),
        ("ab", 2, (1, 3, "ab")),
    ],
)
def test_line_and_column(text: str, offset: int, expected: tuple[int, int, str]) -> None:
    assert line_and_column(text, offset) == expected


SAME = {
    "comments": ("SELECT a FROM t", "-- why\nSELECT /* what */ a FROM t -- end"),
    "layout": ("SELECT a, b FROM t WHERE a = 1", "SELECT a,\r\n\tb\nFROM t\n  WHERE a=1;"),
    "letter case of words": ("select A from T", "SELECT a FROM t"),
    "quotes that change nothing": ('SELECT a FROM "t"', "SELECT a FROM t"),
    "dollar quotes": ("SELECT 'x'", "SELECT $q$x$q$"),
    "array layout": ("SELECT ARRAY[1,2], a IN (1,2)", "SELECT ARRAY[ 1, 2 ],\n a IN ( 1,\n 2 )"),
    "number of semicolons": ("SELECT 1; SELECT 2", "SELECT 1;;\n;SELECT 2;"),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_cosmetic_edits_keep_the_checksum(one: str, other: str) -> None:
    assert semantic_checksum(parse(one)) == semantic_checksum(parse(other))


DIFFERENT = {
    "a literal": ("SELECT 1", "SELECT 2"),
    "a text's letter case": ("SELECT 'a'", "SELECT 'A'"),
    "white space in a text": ("SELECT 'a b'", "SELECT 'a  b'"),
    "an identifier": ("SELECT a FROM t", "SELECT b FROM t"),
    "a column named location": ("SELECT location FROM t", "SELECT list_start FROM t"),
    "order": ("SELECT 1; SELECT 2", "SELECT 2; SELECT 1"),
    "grouping": ("SELECT 1 - (2 - 3)", "SELECT 1 - 2 - 3"),
    "one statement more": ("SELECT 1", "SELECT 1; SELECT 1"),
    "a number as text": ("SELECT 1", "SELECT '1'"),
    "a comment in a function's body": ("DO $$ BEGIN NULL; END $$", "DO $$ BEGIN /**/ NULL; END $$"),
    "nullability": ("CREATE TABLE t (a int)", "CREATE TABLE t (a int NOT NULL)"),
}


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_semantic_edits_change_the_checksum(one: str, other: str) -> None:
    assert semantic_checksum(parse(one)) != semantic_checksum(parse(other))


POOL = [
    "SELECT 1",
    "SELECT 'é;'",
    "SELECT E'\\';'",
    "SELECT $t$;$t$",
    'SELECT "ů;"',
    "DO $$ BEGIN NULL; END $$",
    ATOMIC,
    "CREATE TABLE 表 (a int)",
    "INSERT INTO t VALUES (1, '--')",
    "SELECT U&'\\0441'",
]
TRIVIA = ["", " ", "\n", "\r\n", "\t", "-- é; x\n", "/* ; /* 🎉 */ ; */", "\f", "--\r\n"]
trivia = st.lists(st.sampled_from(TRIVIA), max_size=4).map("".join)


@given(st.lists(st.tuples(trivia, st.sampled_from(POOL), trivia), max_size=6), trivia)
def test_joined_statements_have_their_offsets(parts: list[tuple[str, str, str]], tail: str) -> None:
    text, expected = "", []
    for before, statement, after in parts:
        text += before
        expected.append((statement, len(text)))
        text += statement + after + "\n;"
    text += tail
    found = parse(text)
    assert [s.offset for s in found] == [offset for _, offset in expected]
    for statement, (written, _) in zip(found, expected, strict=True):
        assert statement.text.startswith(written)
        assert leading_trivia_length(statement.text[len(written) :]) == len(statement.text) - len(written)


@given(trivia)
def test_leading_trivia_length(before: str) -> None:
    assert leading_trivia_length(before + "SELECT") == len(before)
    assert parse_statements(before) == []


LOOKAHEAD = {
    "string on two lines": ("SELECT 'a' -- it's\n -- é\r 'b'", "SELECT 'a' \n  \r 'b'"),
    "escapes": (
        r"SELECT E'\'' --é" "\n" r"'\';--', 'a' --" "\n'/*'",
        r"SELECT E'\''" "\n" r"'\';--', 'a'" "\n'/*'",
    ),
    "unicode escape": ("SELECT U&'!0041' /* é\n */ UESCAPE --x\n '!'", "SELECT U&'!0041' \n UESCAPE \n'!'"),
    "not in": ("SELECT /* ' */ 1 NOT /* a /* b */ */ IN (2)", "SELECT 1 NOT IN (2)"),
    "nulls first": ("CREATE INDEX ON t (a NULLS -- é\n FIRST)", "CREATE INDEX ON t (a NULLS FIRST)"),
    "time zone": ("SELECT $$--$$::timestamp WITH /**/ TIME ZONE", "SELECT $$--$$::timestamp WITH TIME ZONE"),
}


@pytest.mark.parametrize(("text", "same"), LOOKAHEAD.values(), ids=LOOKAHEAD)
def test_comments_where_the_scanner_looks_ahead(text: str, same: str) -> None:
    """PostgreSQL accepts them; libpg_query alone reports a syntax error."""
    found = parse(f"/* é */ {text}; SELECT 'ü' -- x\n;")
    assert [(each.text, each.offset) for each in found] == [
        (text, 8), ("SELECT 'ü' -- x", len(text) + 10),
    ]  # fmt: skip
    assert semantic_checksum(found[:1]) == semantic_checksum(parse(same))
    assert split_statements(f"{text};SELECT 2") == [text, "SELECT 2"]


@pytest.mark.parametrize(
    "text",
    [
        "'é' /* c */\n'b'",
        "'a' -- x\n /* c */ 'b'",
        "'a' /* c */ -- x\n'b'",
        r"E'\'' /* c */" "\n'b'",
        "'a'/**//**/\n'b'",
    ],
)
@pytest.mark.parametrize("before", ["", "SELECT 'x' -- c\n 'y';"])
def test_a_block_comment_ends_a_string(before: str, text: str) -> None:
    """PostgreSQL refuses a second string after it; a line comment is allowed between the parts of a string."""
    with pytest.raises(SqlSyntaxError) as caught:
        parse(f"{before}SELECT {text}; SELECT ;;; x y")
    assert caught.value.offset == len(before) + len("SELECT ") + text.rindex("'", 0, -2)


def test_a_later_mistake_is_located_all_the_same() -> None:
    text = "SELECT 'é' -- ééé\n'b'; SELECT /* ü */ 1 FORM t"
    with pytest.raises(SqlSyntaxError) as caught:
        parse(text)
    assert caught.value.offset == text.rindex("t")


def test_comments_where_the_scanner_looks_ahead_in_a_body() -> None:
    body = "BEGIN PERFORM 1 NOT /* é */ IN (2); EXECUTE $q$ SELECT '--' /* */ $q$; END"
    tree = str(parse_plpgsql(f"DO /* x */ $a${body}$a$"))
    assert "$q$ SELECT '--' /* */ $q$" in tree
