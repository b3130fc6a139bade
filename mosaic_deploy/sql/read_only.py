"""Queries that only read: what an agent, or a person who is only looking, may send."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mosaic_deploy.sql.parse import Statement, Tree, parse
from mosaic_deploy.sql.quote import dollar_quote, literal

_READ_ONLY_KINDS = frozenset({"SelectStmt", "ExplainStmt", "VariableShowStmt"})
_WRITE_COMMANDS = {
    "InsertStmt": "INSERT",
    "UpdateStmt": "UPDATE",
    "DeleteStmt": "DELETE",
    "MergeStmt": "MERGE",
}

TOTAL_COLUMN = "mosaic_deploy rows"
"""The column that says, in each row, how many rows were found: there is a row even where there are none."""
ROW_NUMBER_COLUMN = "mosaic_deploy place"
"""The column that counts the rows."""
_SIZE_COLUMN = "mosaic_deploy size"
OWN_COLUMNS = frozenset({TOTAL_COLUMN, ROW_NUMBER_COLUMN, _SIZE_COLUMN})
_EXPLAIN_COLUMN = "QUERY PLAN"
"""What PostgreSQL calls the one column that EXPLAIN answers."""
DOCUMENT_COLUMN = "mosaic_deploy document"
"""The one column of what `single_statement` answers: the rows as a JSON text."""
NOT_READ_ONLY_MESSAGE = "mosaic-deploy: the transaction isn't read-only"


class NotReadOnly(Exception):
    """A query that isn't one reading statement. `offset` is its place in characters from 0."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


@dataclass(frozen=True, slots=True)
class ReadOnlyQuery:
    """A query as texts that PostgreSQL lets write nothing, not even while it plans them.

    `text` makes the transaction read-only, raises NOT_READ_ONLY_MESSAGE where that had no effect, and asks. It is several
    statements, except for SHOW. `single_statement` does the same in one statement; None where that can't be had (EXPLAIN).
    Each row has the column `marker_column`, unless an endpoint answers another statement's rows; None where there is no other.
    With the mark TOTAL_COLUMN rows have OWN_COLUMNS.
    """

    text: str
    single_statement: str | None
    marker_column: str | None


def read_only_query(query: str, limit: int, size: int | None = None) -> ReadOnlyQuery:
    """A reading of `query`'s first `limit` rows; of `size` bytes of JSON at most, whole rows only.

    Raises NotReadOnly, SqlSyntaxError.
    """
    statement = _only_statement(parse(query))
    if statement.kind == "VariableShowStmt":
        return ReadOnlyQuery(statement.text, None, None)
    if statement.kind == "ExplainStmt":
        _refuse_explain_analyze(statement)
        return ReadOnlyQuery(f"{_READ_ONLY_PRELUDE}{statement.text}", None, _EXPLAIN_COLUMN)
    if "intoClause" in statement.node:
        raise NotReadOnly("SELECT INTO makes a table", statement.offset)
    _refuse_writing_ctes(statement)
    bounded = _limited_query(statement.text, limit, size)
    return ReadOnlyQuery(f"{_READ_ONLY_PRELUDE}{bounded}", _as_single_statement(bounded), TOTAL_COLUMN)


# A statement of its own: functions that claim to be IMMUTABLE run while PostgreSQL plans a statement, before that
# statement's own parts do. An endpoint that runs statements one by one makes no transaction of them: the second
# statement tells. With other rules for backslashes PostgreSQL could see other statements than our parser did.
_READ_ONLY_PRELUDE = "SET TRANSACTION READ ONLY;\nDO {};\n".format(
    dollar_quote(
        "BEGIN IF pg_catalog.current_setting('transaction_read_only') OPERATOR(pg_catalog.<>) 'on'"
        " OR pg_catalog.current_setting('standard_conforming_strings') OPERATOR(pg_catalog.<>) 'on'"
        # In two parts, so that a platform that echoes the query in an error doesn't seem to raise this one.
        " THEN RAISE EXCEPTION USING MESSAGE = pg_catalog.concat("
        f"{literal(NOT_READ_ONLY_MESSAGE[:7])}, {literal(NOT_READ_ONLY_MESSAGE[7:])}); END IF; END"
    )
)


def _limited_query(query: str, limit: int, size: int | None) -> str:
    """The rows that fit, each with how many were found: the query runs once, and what is too much stays there."""
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
    """One statement. PostgreSQL plans the query, a text to it until then, when the transaction is read-only.

    Base64, because XML has no word for some characters.
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
        raise NotReadOnly("there is no statement", 0)
    first = statements[0]
    if first.kind not in _READ_ONLY_KINDS:
        raise NotReadOnly(
            f"{first.text.split(None, 1)[0].upper()} isn't a query that only reads", first.offset
        )
    if len(statements) > 1:
        raise NotReadOnly("one query at a time", statements[1].offset)
    return first


def _refuse_explain_analyze(statement: Statement) -> None:
    """EXPLAIN plans; EXPLAIN ANALYZE runs what it explains."""
    options: list[Tree] = statement.node.get("options", [])
    named = {str(option.get("DefElem", {}).get("defname", "")).lower() for option in options}
    if "analyze" in named:
        raise NotReadOnly("EXPLAIN ANALYZE runs what it explains", statement.offset)


def _refuse_writing_ctes(statement: Statement) -> None:
    """A WITH may hold statements that write. PostgreSQL refuses them, too, in words about our own text."""
    for common in _common_table_expressions(statement.node):
        kind = next(iter(common.get("ctequery", {})), "")
        if kind in _WRITE_COMMANDS:
            first = int(common.get("location", statement.first_byte)) - statement.first_byte
            before = statement.text.encode()[:first].decode(errors="ignore")
            raise NotReadOnly(f"{_WRITE_COMMANDS[kind]} in a WITH writes", statement.offset + len(before))


def _common_table_expressions(root: Any) -> Iterator[Tree]:
    """The queries of every WITH in a tree, without recursion: trees may be deep."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if "CommonTableExpr" in node:
                yield node["CommonTableExpr"]
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
