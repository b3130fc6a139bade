"""Other databases' statements translated to PostgreSQL by sqlglot, with the rewrites that it lacks."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import sqlglot
from sqlglot import ErrorLevel, exp
from sqlglot.errors import SqlglotError

_TRANSLATABLE = (exp.Create, exp.Insert, exp.Select, exp.Update, exp.Delete, exp.Alter, exp.Drop)
_TYPES = {
    exp.DataType.Type.UTINYINT: "SMALLINT",
    exp.DataType.Type.USMALLINT: "INT",
    exp.DataType.Type.UMEDIUMINT: "INT",
    exp.DataType.Type.UINT: "BIGINT",
    exp.DataType.Type.UBIGINT: "DECIMAL(20)",
    exp.DataType.Type.UDECIMAL: "DECIMAL",
    exp.DataType.Type.MEDIUMINT: "INT",
}
"""Type → the narrowest PostgreSQL type that holds the same numbers."""
_INTEGERS = frozenset({"TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT"})
_LEFT_OUT = (
    exp.CharacterSetColumnConstraint,
    exp.CollateColumnConstraint,
    exp.CommentColumnConstraint,
    exp.OnUpdateColumnConstraint,
)
"""Column options that PostgreSQL doesn't have. ON UPDATE gets a comment, since it changes rows."""


def translate_to_postgresql(statement: str, dialect: str) -> str | None:
    """`statement` in PostgreSQL's SQL; None if sqlglot can't parse it or it has no counterpart."""
    logging.getLogger("sqlglot").setLevel(
        logging.CRITICAL
    )  # its warnings would appear beside our own message
    try:
        tree = sqlglot.parse_one(statement, read=dialect)
        if not isinstance(tree, _TRANSLATABLE) or not _has_counterpart(tree):
            return None
        written = [tree, *_rewrite(tree)]
        texts = [one.sql("postgres", pretty=True, unsupported_level=ErrorLevel.IGNORE) for one in written]
    except (SqlglotError, ValueError, RecursionError):
        return None
    notes = (
        ["-- ON UPDATE CURRENT_TIMESTAMP needs a trigger in PostgreSQL"] if _ON_UPDATE in tree.meta else []
    )
    return "\n".join([*notes, *(f"{text};" for text in texts)])


_ON_UPDATE = "on update"


def _has_counterpart(tree: exp.Expression) -> bool:
    """Whether it can be translated; REPLACE can't, because only the table says which column is the key."""
    return str(tree.args.get("alternative") or "IGNORE").upper() == "IGNORE"


def _rewrite(tree: exp.Expression) -> list[exp.Expression]:
    """Changes `tree` in place; returns the statements to run after it."""
    following = list(_extract_indexes(tree)) if isinstance(tree, exp.Create) else []
    for node in list(tree.find_all(*_LEFT_OUT)):
        if isinstance(node, exp.OnUpdateColumnConstraint):
            tree.meta[_ON_UPDATE] = True
        (node.parent if isinstance(node.parent, exp.ColumnConstraint) else node).pop()
    for property_ in list(tree.find_all(exp.Property)):
        if not isinstance(property_, exp.TemporaryProperty):
            property_.pop()
    for unique in tree.find_all(exp.UniqueColumnConstraint):
        if isinstance(unique.this, exp.Schema):
            unique.this.set("this", None)
    for type_ in list(tree.find_all(exp.DataType)):
        _rewrite_type(type_)
    if isinstance(tree, exp.Insert) and (tree.args.get("ignore") or tree.args.get("alternative")):
        tree.set("ignore", None)
        tree.set("alternative", None)
        tree.set("conflict", exp.OnConflict(action=exp.var("DO NOTHING")))
    return following


def _rewrite_type(node: exp.DataType) -> None:
    kind = node.this
    if kind in _TYPES:
        node.replace(exp.DataType.build(_TYPES[kind]))
    elif kind.name in _INTEGERS:
        node.set("expressions", [])  # a display width
    elif kind.name == "BIT" and not node.expressions:
        node.replace(exp.DataType.build("BOOLEAN"))
    elif kind.name == "ENUM":
        _enum_as_check(node)
    elif any(size.name.upper() == "MAX" for size in node.expressions):
        node.replace(exp.DataType.build("BYTEA" if "BINARY" in kind.name else "TEXT", dialect="postgres"))


def _enum_as_check(node: exp.DataType) -> None:
    """Turns an inline ENUM, which PostgreSQL doesn't have, into text with a check."""
    column, values = node.parent, [value.copy() for value in node.expressions]
    node.replace(exp.DataType.build("TEXT"))
    if isinstance(column, exp.ColumnDef):
        among = exp.In(this=exp.column(column.this.copy()), expressions=values)
        check = exp.ColumnConstraint(kind=exp.CheckColumnConstraint(this=among))
        column.append("constraints", check)


def _extract_indexes(tree: exp.Create) -> Iterator[exp.Expression]:
    """Turns KEY inside CREATE TABLE into CREATE INDEX statements."""
    table = tree.find(exp.Table)
    for node in list(tree.find_all(exp.IndexColumnConstraint)):
        node.pop()
        if table is not None and node.expressions:
            name = node.this.copy() if node.this else None
            columns = [exp.Ordered(this=one.copy()) for one in node.expressions]
            parameters = exp.IndexParameters(columns=columns)
            index = exp.Index(this=name, table=table.copy(), params=parameters)
            yield exp.Create(this=index, kind="INDEX")
