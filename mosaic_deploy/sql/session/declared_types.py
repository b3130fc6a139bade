"""The types of a PL/pgSQL block's variables, which PostgreSQL looks up before the block's first statement runs."""

from __future__ import annotations

import re

_DECLARATIONS = re.compile(r"\bdeclare\b(.*?)\bbegin\b", re.IGNORECASE | re.DOTALL)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_VARIABLE = re.compile(
    r"\s*(?:\"[^\"]+\"|\w+)\s+(?:constant\s+)?(?P<type>(?:\"[^\"]+\"|\w+)(?:\s*\.\s*(?:\"[^\"]+\"|\w+))*)"
    r"(?P<of>\s*%\s*(?:row)?type)?",
    re.IGNORECASE,
)
_BUILT_IN = frozenset(
    {"alias", "bigint", "bigserial", "bit", "bool", "boolean", "bpchar", "bytea", "char", "character", "cidr", "cursor",
     "date", "decimal", "double", "float", "float4", "float8", "inet", "int", "int2", "int4", "int8", "integer", "interval",
     "json", "jsonb", "macaddr", "money", "name", "no", "numeric", "oid", "real", "record", "refcursor", "regclass",
     "regproc", "regrole", "regtype", "scroll", "smallint", "text", "time", "timestamp", "timestamptz", "timetz",
     "tsquery", "tsvector", "uuid", "varbit", "varchar", "xml"}
)  # fmt: skip
"""First words of types in pg_catalog, and of declarations that have no type."""


def types_without_schema(body: str) -> tuple[str, ...]:
    """The types and tables in the block's declarations that are looked up in the search_path."""
    found: list[str] = []
    for declarations in _DECLARATIONS.findall(_COMMENT.sub(" ", body)):
        for variable in declarations.split(";"):
            if match := _VARIABLE.match(variable):
                # schema.table.column%TYPE, schema.table%ROWTYPE, schema.type
                dots = 2 if (match["of"] or "").lower().replace(" ", "") == "%type" else 1
                built_in = not match["of"] and match["type"].lower() in _BUILT_IN
                if not built_in and match["type"].count(".") < dots:
                    found.append(match["type"] + (match["of"] or ""))
    return tuple(found)
