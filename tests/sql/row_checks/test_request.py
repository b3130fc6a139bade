"""The results of row checks, and texts that could break out of the request."""

from __future__ import annotations

import json

import pytest

from mosaic_deploy.sql.parse import parse
from mosaic_deploy.sql.row_checks.request import RowCheckResult, parse_results, row_checks_request


@pytest.mark.parametrize(
    "query",
    ["SELECT 1", "SELECT '$mosaic_rows$'", "SELECT E'\\'; DROP TABLE t'", 'SELECT "a""b"', "SELECT '☃%s$$'"],
)
def test_a_query_stays_a_text(query):
    kinds = [statement.kind for statement in parse(row_checks_request([query, query]))]
    assert [kind for kind in kinds if kind != "VariableSetStmt"] == ["DoStmt", "DoStmt", "SelectStmt"]


@pytest.mark.parametrize(
    ("found", "result"),
    [
        ({"rows": 0, "keys": None}, RowCheckResult(0)),
        ({"rows": 2, "keys": [["4"], ["a b"]]}, RowCheckResult(2, ("4", '"a b"'))),
        ({"rows": 1, "keys": [["4", "en"]]}, RowCheckResult(1, ("(4, en)",))),
        ({"rows": 1, "keys": [["x" * 41]]}, RowCheckResult(1, ("x" * 40 + "…",))),
        ({"rows": 1, "keys": [["\x1b[31m"]]}, RowCheckResult(1, ('"\\u001b[31m"',))),
        ({"rows": 1, "keys": [[""]]}, RowCheckResult(1, ('""',))),
        ({"error": "57014"}, RowCheckResult(None, reason="the time limit of 5 s was reached")),
        ({"error": "22012"}, RowCheckResult(None, reason="PostgreSQL reports SQLSTATE 22012")),
    ],
)
def test_results(found, result):
    assert parse_results(json.dumps([found]), 1) == (result,)


@pytest.mark.parametrize("text", ["", "{}", "[]", "[1]", '[{"rows": 1}]', "null"])
def test_unexpected_results(text):
    with pytest.raises(ValueError):
        parse_results(text, 1)
