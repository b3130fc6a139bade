"""A query changed so that it returns PostgreSQL's own text of every value, through any endpoint.

An endpoint's JSON can't be turned back into it: `[1,2]` may be an array or a JSON document, `1.10` may be a number that lost
a digit, and without rows there are no names of columns. The text of a whole row has all of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.quote import identifier
from mosaic_deploy.sql.tree import walk

NAMES_COLUMN = "mosaic_deploy names"
"""In the first row: the names of the columns, as the keys of a JSON object."""
ROW_COLUMN = "mosaic_deploy row"
"""In the other rows: the row's values, as PostgreSQL writes a composite value."""

_QUERY = '"mosaic_deploy query"'
# Another name could be a column's.
_NAMED = '"mosaic_deploy named"'
_HEAD, _TAIL = (
    f"WITH {_QUERY} AS MATERIALIZED (\n",
    # A row of NULLs with the query's columns; its names are known even if the query has no rows.
    f"\n) SELECT pg_catalog.row_to_json({_NAMED})::pg_catalog.text AS "
    f"{identifier(NAMES_COLUMN)}, NULL::pg_catalog.text AS {identifier(ROW_COLUMN)}"
    f" FROM (SELECT {_QUERY}.* FROM (SELECT 1) AS one LEFT JOIN {_QUERY} ON false) AS {_NAMED}"
    f" UNION ALL SELECT NULL, {_QUERY}::pg_catalog.text FROM {_QUERY}",
)
_WRITES = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})


def text_rows_query(query: str, statements: Sequence[Statement]) -> str | None:
    """`query` with its last statement changed to return NAMES_COLUMN and ROW_COLUMN; its text is in there as it is.

    None unless that is a SELECT, VALUES or TABLE that only reads: PostgreSQL doesn't take others inside a query.
    `statements` are those of `query`.
    """
    if not statements:
        return None
    last = statements[-1]
    if last.kind != "SelectStmt" or any(
        kind in _WRITES or kind == "IntoClause" for kind, _ in walk(last.tree)
    ):
        return None
    if "intoClause" in last.node:
        return None
    return f"{query[: last.offset]}{_HEAD}{last.text}{_TAIL}{query[last.offset + len(last.text) :]}"


def returns_rows(statements: Sequence[Statement]) -> bool | None:
    """Whether the last statement has rows of its own instead of a command tag; None if that isn't known."""
    if not statements:
        return None
    kind, node = statements[-1].kind, statements[-1].node
    if kind in _WRITES:
        return "returningClause" in node or "returningList" in node
    if kind == "SelectStmt":
        return "intoClause" not in node
    if kind in ("VariableShowStmt", "ExplainStmt"):
        return True
    return None if kind in ("ExecuteStmt", "FetchStmt", "CallStmt") else False
