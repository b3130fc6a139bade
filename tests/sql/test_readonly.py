"""Queries that only read. That PostgreSQL holds them to it is tested in tests/agent."""

import pytest

from mosaic_deploy.sql.parse import SyntaxProblem, parse
from mosaic_deploy.sql.readonly import NotReadOnly, read_only


@pytest.mark.parametrize(
    "query",
    ["select 1 -- one", "TABLE t;", "values (1)", "with a as (select 1) select * from a", "select 1 /* ) */"],
)
def test_a_query_stays_one_statement(query: str) -> None:
    [statement] = parse(read_only(query, 10))
    assert statement.kind == "SelectStmt"
    assert statement.text.endswith("LIMIT 10")


@pytest.mark.parametrize("query", ["show server_version", "explain select 1", "explain (verbose) select 1"])
def test_what_answers_no_rows_of_tables_goes_as_it_is(query: str) -> None:
    assert read_only(query, 10) == query


@pytest.mark.parametrize(
    ("query", "message", "offset"),
    [
        ("", "there is no statement", 0),
        ("  delete from t", "DELETE isn't a query that only reads", 2),
        ("select 1; drop table t", "one query at a time", 10),
        ("select 1 into t", "SELECT INTO makes a table", 0),
        ("explain analyze delete from t", "EXPLAIN ANALYZE runs what it explains", 0),
        ("explain (analyze) select 1", "EXPLAIN ANALYZE runs what it explains", 0),
        ("do $$ begin end $$", "DO isn't a query that only reads", 0),
        ("copy t to program 'x'", "COPY isn't a query that only reads", 0),
        ("set role x", "SET isn't a query that only reads", 0),
    ],
)
def test_anything_else_is_refused_with_its_place(query: str, message: str, offset: int) -> None:
    with pytest.raises(NotReadOnly) as refused:
        read_only(query, 10)
    assert (refused.value.message, refused.value.offset) == (message, offset)


def test_a_query_that_closes_our_parenthesis_is_no_query() -> None:
    with pytest.raises(SyntaxProblem):
        read_only("select 1) as query, (select 2", 10)
