"""Read-only queries: checks that a statement only reads, and wraps it so that PostgreSQL enforces that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mosaic_deploy.sql.parse import Statement, Tree, parse
from mosaic_deploy.sql.quote import dollar_quote, literal
from mosaic_deploy.sql.tree import walk

_READ_ONLY_KINDS = frozenset({"SelectStmt", "ExplainStmt", "VariableShowStmt"})
_WRITE_COMMANDS = {
    "InsertStmt": "INSERT",
    "UpdateStmt": "UPDATE",
    "DeleteStmt": "DELETE",
    "MergeStmt": "MERGE",
}

TOTAL_COLUMN = "mosaic_deploy rows"
"""Column with the total number of rows, in each row. A result without rows still has one row."""
ROW_NUMBER_COLUMN = "mosaic_deploy place"
"""Column with the row number."""
_SIZE_COLUMN = "mosaic_deploy size"
OWN_COLUMNS = frozenset({TOTAL_COLUMN, ROW_NUMBER_COLUMN, _SIZE_COLUMN})
_EXPLAIN_COLUMN = "QUERY PLAN"
"""PostgreSQL's name for the only column of EXPLAIN."""
DOCUMENT_COLUMN = "mosaic_deploy document"
"""The only column of `single_statement`'s result: the rows as a JSON text."""
NOT_READ_ONLY_MESSAGE = "mosaic-deploy: the transaction isn't read-only"


class NotReadOnly(Exception):
    """The query isn't a single read-only statement. `offset` is the position in characters from 0."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


@dataclass(frozen=True, slots=True)
class ReadOnlyQuery:
    """A query in forms that can't write, not even while PostgreSQL plans them.

    `text` sets the transaction read-only, raises NOT_READ_ONLY_MESSAGE if that had no effect, and runs the query; it is
    several statements, except for SHOW. `single_statement` does the same in one statement, None for EXPLAIN and SHOW.
    Result rows have the column `marker_column` unless the endpoint returned another statement's rows; None for SHOW.
    If it is TOTAL_COLUMN, rows have OWN_COLUMNS.
    """

    text: str
    single_statement: str | None
    marker_column: str | None


def read_only_query(query: str, limit: int, size: int | None = None) -> ReadOnlyQuery:
    """The query for `query`'s first `limit` rows, and at most `size` bytes of JSON in whole rows.

    Raises NotReadOnly, SqlSyntaxError.
    """
    statement = _only_statement(parse(query))
    if statement.kind == "VariableShowStmt":
        return ReadOnlyQuery(statement.text, None, None)
    if statement.kind == "ExplainStmt":
        _refuse_explain_analyze(statement)
        return ReadOnlyQuery(f"{READ_ONLY_PRELUDE}{statement.text}", None, _EXPLAIN_COLUMN)
    if "intoClause" in statement.node:
        raise NotReadOnly("SELECT INTO creates a table", statement.offset)
    _refuse_writing_ctes(statement)
    bounded = _limited_query(statement.text, limit, size)
    return ReadOnlyQuery(f"{READ_ONLY_PRELUDE}{bounded}", _as_single_statement(bounded), TOTAL_COLUMN)


# A separate statement, because functions declared IMMUTABLE run while PostgreSQL plans a statement, before any of it
# executes. If an endpoint runs statements without a common transaction, the check in the second one fails. With
# other backslash rules, PostgreSQL could see different statements than our parser.
READ_ONLY_PRELUDE = "SET TRANSACTION READ ONLY;\nDO {};\n".format(
    dollar_quote(
        "BEGIN IF pg_catalog.current_setting('transaction_read_only') OPERATOR(pg_catalog.<>) 'on'"
        " OR pg_catalog.current_setting('standard_conforming_strings') OPERATOR(pg_catalog.<>) 'on'"
        # Split in two, so a platform that echoes the query in an error doesn't seem to raise this one.
        " THEN RAISE EXCEPTION USING MESSAGE = pg_catalog.concat("
        f"{literal(NOT_READ_ONLY_MESSAGE[:7])}, {literal(NOT_READ_ONLY_MESSAGE[7:])}); END IF; END"
    )
)
"""Statements before a query: they make its transaction read-only, or raise NOT_READ_ONLY_MESSAGE."""


def _limited_query(query: str, limit: int, size: int | None) -> str:
    """The query limited to the rows that fit, each with the total; it runs once, and excess rows aren't sent."""
    measured = fits = ""
    if size is not None:
        measured = (
            ', pg_catalog.sum(pg_catalog.octet_length(pg_catalog.row_to_json("mosaic_deploy query")::pg_catalog.text))'
            f' OVER (ROWS UNBOUNDED PRECEDING) AS "{_SIZE_COLUMN}"'
        )
        fits = f'"{_SIZE_COLUMN}" OPERATOR(pg_catalog.<=) {size:d}::pg_catalog.int8'
    return (
        'WITH "mosaic_deploy answer" AS MATERIALIZED (SELECT "mosaic_deploy query".*,'
        f' pg_catalog.row_number() OVER () AS "{ROW_NUMBER_COLUMN}"{measured} FROM (\n'
        f"{query}\n"
        f') AS "mosaic_deploy query" LIMIT {limit:d})\n'
        f'SELECT * FROM (SELECT pg_catalog.count(*)::pg_catalog.int4 AS "{TOTAL_COLUMN}" FROM "mosaic_deploy answer")'
        f' AS "mosaic_deploy total" LEFT JOIN "mosaic_deploy answer" ON {fits or "true"} ORDER BY "{ROW_NUMBER_COLUMN}"'
    )


def _as_single_statement(bounded: str) -> str:
    """One statement that sets the transaction read-only before PostgreSQL plans the query, which it holds as text.

    Base64, because XML can't represent some characters.
    """
    document = (
        'SELECT pg_catalog.encode(pg_catalog.convert_to(pg_catalog.json_agg(pg_catalog.row_to_json("mosaic_deploy row"))'
        f"::pg_catalog.text, 'UTF8'), 'base64') AS document FROM (\n{bounded}\n) AS \"mosaic_deploy row\""
    )
    return (
        "WITH mode AS MATERIALIZED (SELECT pg_catalog.set_config('transaction_read_only', 'on', true) AS set)\n"
        "SELECT pg_catalog.convert_from(pg_catalog.decode(pg_catalog.substring(pg_catalog.query_to_xml("
        "CASE WHEN mode.set OPERATOR(pg_catalog.=) 'on' THEN\n"
        f"{literal(document)}\n"
        "END, true, true, '')::pg_catalog.text, '<document>([^<]*)</document>'), 'base64'), 'UTF8')"
        f' AS "{DOCUMENT_COLUMN}" FROM mode'
    )


def _only_statement(statements: list[Statement]) -> Statement:
    if not statements:
        raise NotReadOnly("no SQL statement given", 0)
    first = statements[0]
    if first.kind not in _READ_ONLY_KINDS:
        raise NotReadOnly(f"{first.text.split(None, 1)[0].upper()} isn't read-only", first.offset)
    if len(statements) > 1:
        raise NotReadOnly("only one query is allowed", statements[1].offset)
    return first


def _refuse_explain_analyze(statement: Statement) -> None:
    options: list[Tree] = statement.node.get("options", [])
    named = {str(option.get("DefElem", {}).get("defname", "")).lower() for option in options}
    if "analyze" in named:
        raise NotReadOnly("EXPLAIN ANALYZE runs the query, so it isn't read-only", statement.offset)


def _refuse_writing_ctes(statement: Statement) -> None:
    """Refuses a WITH that writes. PostgreSQL would too, but its message would be about our wrapper."""
    for common in _common_table_expressions(statement.node):
        kind = next(iter(common.get("ctequery", {})), "")
        if kind in _WRITE_COMMANDS:
            first = int(common.get("location", statement.first_byte)) - statement.first_byte
            before = statement.text.encode()[:first].decode(errors="ignore")
            raise NotReadOnly(
                f"{_WRITE_COMMANDS[kind]} in a WITH isn't read-only", statement.offset + len(before)
            )


def _common_table_expressions(root: Any) -> Iterator[Tree]:
    return (fields for kind, fields in walk(root) if kind == "CommonTableExpr")
