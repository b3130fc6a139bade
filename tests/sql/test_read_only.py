"""Checks for read-only queries. tests/live/ tests that PostgreSQL enforces them."""

import pytest

from mosaic_deploy.sql.parse import SqlSyntaxError, parse
from mosaic_deploy.sql.read_only import NotReadOnly, read_only_query


@pytest.mark.parametrize(
    "query",
    ["select 1 -- one", "TABLE t;", "values (1)", "with a as (select 1) select * from a", "select 1 /* ) */"],
)
@pytest.mark.parametrize("size", [None, 1000])
def test_query_is_wrapped_into_one_statement(query: str, size: int | None) -> None:
    reading = read_only_query(query, 10, size)
    assert [each.kind for each in parse(reading.text)] == ["VariableSetStmt", "DoStmt", "SelectStmt"]
    assert [each.kind for each in parse(reading.single_statement or "")] == ["SelectStmt"]


def test_show_and_explain_are_not_wrapped() -> None:
    assert read_only_query("show server_version", 10).text == "show server_version"
    explained = read_only_query("explain (verbose) select 1", 10)
    assert [each.kind for each in parse(explained.text)] == ["VariableSetStmt", "DoStmt", "ExplainStmt"]
    assert explained.single_statement is None


@pytest.mark.parametrize(
    ("query", "message", "offset"),
    [
        ("", "no SQL statement given", 0),
        ("  delete from t", "DELETE isn't read-only", 2),
        ("select 1; drop table t", "only one query is allowed", 10),
        ("select 1 into t", "SELECT INTO creates a table", 0),
        ("explain analyze delete from t", "EXPLAIN ANALYZE runs the query, so it isn't read-only", 0),
        ("explain (analyze) select 1", "EXPLAIN ANALYZE runs the query, so it isn't read-only", 0),
        ("with d as (delete from t returning *) select * from d", "DELETE in a WITH isn't read-only", 5),
        ("values ('é') -- \n;select 1", "only one query is allowed", 18),
        (
            "select 'é' from (with a as (select 1), b as (update t set i = 1 returning i) select * from b) as c",
            "UPDATE in a WITH isn't read-only",
            39,
        ),
        (
            "with m as (merge into t using u on true when matched then delete returning *) table m",
            "MERGE in a WITH isn't read-only",
            5,
        ),
        ("do $$ begin end $$", "DO isn't read-only", 0),
        ("copy t to program 'x'", "COPY isn't read-only", 0),
        ("set role x", "SET isn't read-only", 0),
    ],
)
def test_refused_queries_with_offset(query: str, message: str, offset: int) -> None:
    with pytest.raises(NotReadOnly) as refused:
        read_only_query(query, 10)
    assert (refused.value.message, refused.value.offset) == (message, offset)


def test_query_cannot_close_the_wrapping_parenthesis() -> None:
    with pytest.raises(SqlSyntaxError):
        read_only_query("select 1) as query, (select 2", 10)
