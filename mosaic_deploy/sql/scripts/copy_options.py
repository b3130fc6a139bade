"""The options of a COPY … FROM stdin, from its parse tree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.scripts.mistakes import Mistake

ALL_COLUMNS = "*"


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """How the rows are written. `columns` is empty if the statement names none."""

    table: tuple[str, ...]
    columns: tuple[str, ...] = ()
    csv: bool = False
    delimiter: str = "\t"
    null: str = "\\N"
    default: str | None = None
    quote: str = '"'
    escape: str = '"'
    header: bool = False
    match_header: bool = False
    force_null: frozenset[str] = frozenset()
    force_not_null: frozenset[str] = frozenset()


_IGNORED = frozenset({"freeze", "log_verbosity", "force_quote"})
"""Options that change neither the rows nor what is accepted."""


def read_copy_options(statement: Statement) -> CopyOptions | Mistake:
    """The options, or why the rows can't be sent through the API."""
    node = statement.node
    given: dict[str, Any] = {}
    for item in node.get("options", []):
        element = item["DefElem"]
        given[element["defname"].lower()] = element.get("arg", {"Boolean": {"boolval": True}})
    if "whereClause" in node:
        return _unsupported(statement, "WHERE")
    csv = _text(given.pop("format", None), "text").lower()
    if csv not in ("text", "csv"):
        return _unsupported(statement, f"FORMAT {csv}")
    encoding = _text(given.pop("encoding", None), "utf8").lower().replace("-", "")
    if encoding not in ("utf8", "unicode"):
        return _unsupported(statement, f"ENCODING {encoding}")
    if _text(given.pop("on_error", None), "stop").lower() != "stop":
        return _unsupported(statement, "ON_ERROR ignore")
    header = _text(given.pop("header", None), "false").lower()
    is_csv = csv == "csv"
    quote = _text(given.pop("quote", None), '"')
    options = CopyOptions(
        table=_names(node["relation"]),
        columns=tuple(_strings(node.get("attlist", []))),
        csv=is_csv,
        delimiter=_text(given.pop("delimiter", None), "," if is_csv else "\t"),
        null=_text(given.pop("null", None), "" if is_csv else "\\N"),
        default=_text(given.pop("default"), "") if "default" in given else None,
        quote=quote,
        escape=_text(given.pop("escape", None), quote),
        header=header in ("true", "on", "1", "match"),
        match_header=header == "match",
        force_null=_columns(given.pop("force_null", None)),
        force_not_null=_columns(given.pop("force_not_null", None)),
    )
    if unknown := sorted(given.keys() - _IGNORED):
        return _unsupported(statement, unknown[0].upper())
    return _columns_missing(statement, options) or options


def _columns_missing(statement: Statement, options: CopyOptions) -> Mistake | None:
    """A mistake if the options name columns, but the statement doesn't say which value is of which column."""
    if options.columns or (options.force_null | options.force_not_null) <= {ALL_COLUMNS}:
        return None
    message = "COPY … FROM stdin with FORCE_NULL or FORCE_NOT_NULL needs the table's columns"
    return Mistake(message, statement.offset, "write them behind the table: COPY t (a, b) FROM stdin …")


def _unsupported(statement: Statement, what: str) -> Mistake:
    message = f"COPY … FROM stdin with {what} can't run through the API"
    return Mistake(
        message, statement.offset, "write the rows in the text or csv format, or as INSERT … VALUES"
    )


def _names(relation: dict[str, str]) -> tuple[str, ...]:
    return tuple(relation[part] for part in ("schemaname", "relname") if part in relation)


def _strings(items: Iterable[dict[str, Any]]) -> list[str]:
    return [item["String"]["sval"] for item in items if "String" in item]


def _text(node: dict[str, Any] | None, otherwise: str) -> str:
    """An option's value as text; PostgreSQL reads `true`, `on` and `1` alike."""
    if node is None:
        return otherwise
    kind, fields = next(iter(node.items()))
    if kind == "String":
        return str(fields.get("sval", ""))
    if kind == "Boolean":
        return "true" if fields.get("boolval") else "false"
    if kind == "Integer":
        return str(fields.get("ival", 0))
    return otherwise


def _columns(node: dict[str, Any] | None) -> frozenset[str]:
    if node is None:
        return frozenset()
    if "A_Star" in node:
        return frozenset({ALL_COLUMNS})
    return frozenset(_strings(node.get("List", {}).get("items", [])))
