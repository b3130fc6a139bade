"""A query while it is typed: whether it is finished, and which names fit at the cursor."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mosaic_deploy.sql.parse import SqlSyntaxError, parse
from mosaic_deploy.sql.pg_parser.trivia import skip_trivia
from mosaic_deploy.sql.quote import identifier

_UNFINISHED = ("unterminated", "syntax error at end of input")


def is_finished(text: str) -> bool:
    """Whether the text ends with a semicolon after a whole statement, so that Enter sends it."""
    if ";" not in text:
        return False
    try:
        statements = parse(text)
    except SqlSyntaxError as error:
        return text.rstrip().endswith(";") and not error.message.startswith(_UNFINISHED)
    if not statements:
        return True
    end = statements[-1].offset + len(statements[-1].text)
    return text.startswith(";", skip_trivia(text, end))


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view, with the names of its columns. `schema` is empty if the name is found without it."""

    schema: str
    name: str
    columns: tuple[str, ...]

    @property
    def sql(self) -> str:
        """Its name as it has to be written."""
        return f"{sql_name(self.schema)}.{sql_name(self.name)}" if self.schema else sql_name(self.name)


@dataclass(frozen=True, slots=True)
class Names:
    """What a database has that a query can name."""

    relations: tuple[Relation, ...] = ()
    functions: tuple[str, ...] = ()


_KEYWORDS = [
    "SELECT",
    "FROM",
    "WHERE",
    "JOIN",
    "LEFT",
    "RIGHT",
    "INNER",
    "OUTER",
    "CROSS",
    "ON",
    "USING",
    "GROUP",
    "BY",
    "ORDER",
    "HAVING",
    "LIMIT",
    "OFFSET",
    "UNION",
    "ALL",
    "DISTINCT",
    "AS",
    "AND",
    "OR",
    "NOT",
    "NULL",
    "IS",
    "IN",
    "EXISTS",
    "BETWEEN",
    "LIKE",
    "ILIKE",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "ASC",
    "DESC",
    "WITH",
    "RECURSIVE",
    "INSERT",
    "INTO",
    "VALUES",
    "UPDATE",
    "SET",
    "DELETE",
    "RETURNING",
    "CONFLICT",
    "DO",
    "NOTHING",
    "CREATE",
    "TABLE",
    "VIEW",
    "INDEX",
    "UNIQUE",
    "ALTER",
    "ADD",
    "COLUMN",
    "DROP",
    "TRUNCATE",
    "EXPLAIN",
    "ANALYZE",
    "SHOW",
    "GRANT",
    "REVOKE",
    "PRIMARY",
    "KEY",
    "REFERENCES",
    "DEFAULT",
    "CHECK",
    "CONSTRAINT",
    "COUNT",
    "SUM",
    "MIN",
    "MAX",
    "AVG",
    "COALESCE",
    "NOW",
    "TRUE",
    "FALSE",
]
_WORD = re.compile(r'(?:"[^"]*|[\w$]+)?\Z')
_QUALIFIER = re.compile(r'("[^"]+"|[\w$]+)\.\Z')
_BEFORE_TABLE = re.compile(r"\b(?:from|join|into|update|table|truncate|only|references)\s+\Z", re.IGNORECASE)
_NAME = re.compile(r'"([^"]+)"|([A-Za-z_][\w$]*)')
_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")


def sql_name(name: str) -> str:
    """A name as it has to be written: quoted if it isn't plain lower case."""
    return name if _PLAIN.fullmatch(name) else identifier(name)


@dataclass(frozen=True, slots=True)
class Suggestions:
    """The texts that can replace the `length` characters before the cursor."""

    length: int
    texts: tuple[str, ...] = field(default=())


def suggestions(before: str, whole: str, names: Names) -> Suggestions:
    """What fits after `before`, the text up to the cursor, in the query `whole`: tables, columns, functions, keywords."""
    found = _WORD.search(before)
    word = found[0] if found else ""
    head = before[: len(before) - len(word)]
    if qualifier := _QUALIFIER.search(head):
        offered: Iterable[str] = _qualified(qualifier[1].strip('"'), whole, names)
    elif _BEFORE_TABLE.search(head):
        offered = [*(one.sql for one in names.relations), *_schemas(names)]
    elif word:
        offered = [
            *_columns(whole, names),
            *(one.sql for one in names.relations),
            *names.functions,
            *_KEYWORDS,
        ]
    else:
        offered = _columns(whole, names)
    start = word.strip('"').lower()
    fitting = (text for text in offered if text.strip('"').lower().startswith(start))
    return Suggestions(len(word), tuple(dict.fromkeys(fitting)))


def _mentioned(whole: str, names: Names) -> Iterator[Relation]:
    words = {quoted or plain.lower() for quoted, plain in _NAME.findall(whole)}
    return (one for one in names.relations if one.name in words)


def _columns(whole: str, names: Names) -> list[str]:
    return [sql_name(column) for one in _mentioned(whole, names) for column in one.columns]


def _schemas(names: Names) -> list[str]:
    return [
        f"{sql_name(schema)}." for schema in dict.fromkeys(one.schema for one in names.relations) if schema
    ]


def _qualified(qualifier: str, whole: str, names: Names) -> list[str]:
    """What may follow `qualifier.`: the columns of that table or alias, or the tables of that schema."""
    alias = re.compile(rf'("[^"]+"|[\w$]+)\s+(?:as\s+)?"?{re.escape(qualifier)}"?(?![\w$"])', re.IGNORECASE)
    tables = {qualifier.lower(), *(found.strip('"').lower() for found in alias.findall(whole))}
    columns = [
        sql_name(each) for one in names.relations if one.name.lower() in tables for each in one.columns
    ]
    inside = [sql_name(one.name) for one in names.relations if one.schema.lower() == qualifier.lower()]
    return [*columns, *inside]
