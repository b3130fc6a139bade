"""Queries that only read: what an agent, or a person who is only looking, may send."""

from __future__ import annotations

from mosaic_deploy.sql.parse import Statement, Tree, parse

_READING = frozenset({"SelectStmt", "ExplainStmt", "VariableShowStmt"})


class NotReadOnly(Exception):
    """A query that isn't one reading statement. `offset` is its place in characters from 0."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


def read_only(query: str, limit: int) -> str:
    """One statement that answers `query`'s first `limit` rows and that PostgreSQL itself lets write nothing.

    The transaction is made read-only before the query runs, so that functions it calls can't write either;
    that takes no second statement, which an endpoint might run elsewhere. Raises NotReadOnly, SyntaxProblem.
    """
    statement = _only(parse(query))
    if statement.kind == "VariableShowStmt":
        return statement.text
    if statement.kind == "ExplainStmt":
        _refuse_running(statement)
        return statement.text
    if "intoClause" in statement.node:
        raise NotReadOnly("SELECT INTO makes a table", statement.offset)
    # `answer` needs `mode`, so it can't be run before the transaction is read-only.
    return (
        "WITH mode AS MATERIALIZED (SELECT pg_catalog.set_config('transaction_read_only', 'on', true) AS set)\n"
        "SELECT answer.* FROM mode CROSS JOIN LATERAL (SELECT * FROM (\n"
        f"{statement.text}\n"
        f") AS query WHERE mode.set = 'on' OFFSET 0) AS answer LIMIT {limit:d}"
    )


def _only(statements: list[Statement]) -> Statement:
    if not statements:
        raise NotReadOnly("there is no statement", 0)
    first = statements[0]
    if first.kind not in _READING:
        raise NotReadOnly(
            f"{first.text.split(None, 1)[0].upper()} isn't a query that only reads", first.offset
        )
    if len(statements) > 1:
        raise NotReadOnly("one query at a time", statements[1].offset)
    return first


def _refuse_running(statement: Statement) -> None:
    """EXPLAIN plans; EXPLAIN ANALYZE runs what it explains."""
    options: list[Tree] = statement.node.get("options", [])
    named = {str(option.get("DefElem", {}).get("defname", "")).lower() for option in options}
    if "analyze" in named:
        raise NotReadOnly("EXPLAIN ANALYZE runs what it explains", statement.offset)
