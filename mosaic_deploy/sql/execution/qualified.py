"""Statements outside a transaction with the schemas of their names written out.

The endpoint takes such a statement only alone, so it can't be told the file's search_path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from mosaic_deploy.sql.execution.split import ExecutionMode, StepSql
from mosaic_deploy.sql.execution.transactions import WRAPPED_KINDS
from mosaic_deploy.sql.locate import identifiers
from mosaic_deploy.sql.parse import SqlSyntaxError, Statement, Tree, parse
from mosaic_deploy.sql.quote import identifier, literal
from mosaic_deploy.sql.session.state import SEARCH_PATH


@dataclass(frozen=True, slots=True)
class QualifiedStep:
    """A step with schemas written out. `inserted` are (offset in the original statement, length), in order."""

    sql: StepSql
    inserted: tuple[tuple[int, int], ...] = ()

    def original_offset(self, offset: int) -> int:
        """The offset in the original statement of a character of the qualified one."""
        for at, length in self.inserted:
            if offset <= at:
                break
            offset = max(at, offset - length)
        return offset


class BareName(NamedTuple):
    """A name without schema. `catalog` is the system table that lists such objects."""

    catalog: str
    name: str


_ANY_SCHEMA = "mosaic_any_schema"
_RELATION = "pg_class"
_COLUMNS = {
    _RELATION: ("relname", "relnamespace"),
    "pg_proc": ("proname", "pronamespace"),
    "pg_type": ("typname", "typnamespace"),
    "pg_opclass": ("opcname", "opcnamespace"),
    "pg_collation": ("collname", "collnamespace"),
}
"""A system table's columns for the name and the schema."""


def names_to_qualify(step: StepSql) -> tuple[BareName, ...]:
    """The names without schema in the step's statement, if the file's search_path decides what they are."""
    statement = step.statements[0] if step.statements else None
    if (
        statement is None
        or step.execution_mode is not ExecutionMode.OUTSIDE_TRANSACTION
        or step.session.of(SEARCH_PATH) is None
        or statement.kind in WRAPPED_KINDS
    ):
        return ()
    return tuple(dict.fromkeys(BareName(catalog, name) for catalog, name, _ in _tree_names(statement.node)))


def can_be_qualified(step: StepSql) -> bool:
    """Whether its text shows where the schema of each name to qualify goes."""
    names = names_to_qualify(step)
    if not names:
        return True
    try:
        written = qualified(step, dict.fromkeys(names, _ANY_SCHEMA))
    except SqlSyntaxError:
        return False
    [statement] = written.sql.statements
    is_complete = next(_tree_names(statement.node), None) is None
    return is_complete and len(written.inserted) == len(list(_tree_names(step.statements[0].node)))


def schemas_query(step: StepSql, names: Sequence[BareName]) -> str:
    """A query for `place` (from 1 in `names`) and `schema`, as the file's search_path finds it; null if it doesn't."""
    role = step.session.of("role")
    user = literal(role.values[0]) if role and role.values else "current_user"
    written = step.session.search_path or ()
    path = written if "pg_catalog" in written else ("pg_catalog", *written)
    searched = ", ".join(user if name == "$user" else literal(name) for name in path)
    rows = [
        f"SELECT {place} AS place, ({_schema_query(one, searched)}) AS schema"
        for place, one in enumerate(names, 1)
    ]
    return " UNION ALL ".join(rows)


def _schema_query(one: BareName, searched: str) -> str:
    name, schema = _COLUMNS[one.catalog]
    return (
        f"SELECT s.nspname::pg_catalog.text FROM pg_catalog.unnest(ARRAY[{searched}]::pg_catalog.text[]) "
        "WITH ORDINALITY p(schema, place) "
        "JOIN pg_catalog.pg_namespace s ON s.nspname OPERATOR(pg_catalog.=) p.schema "
        f"JOIN pg_catalog.{one.catalog} c ON c.{schema} OPERATOR(pg_catalog.=) s.oid "
        f"WHERE c.{name} OPERATOR(pg_catalog.=) {literal(one.name)} ORDER BY p.place LIMIT 1"
    )


def qualified(step: StepSql, schemas: Mapping[BareName, str | None]) -> QualifiedStep:
    """The step with the schema of each name. A relation that wasn't found gets the first schema that is searched."""
    statement = step.statements[0]
    insertions = [
        (at, f"{identifier(schema)}.")
        for one, at in sorted(set(_bare_names(statement)), key=lambda found: found[1])
        if (schema := schemas.get(one) or _first_schema(step, one)) and schema != "pg_catalog"
    ]
    parts, end = [], 0
    for at, text in insertions:
        parts += [statement.text[end:at], text]
        end = at
    [parsed] = parse("".join((*parts, statement.text[end:])))
    written = replace(parsed, offset=statement.offset)
    return QualifiedStep(
        replace(step, statements=(written,)), tuple((at, len(text)) for at, text in insertions)
    )


def _first_schema(step: StepSql, one: BareName) -> str | None:
    path = step.session.search_path if one.catalog == _RELATION else None
    return next((name for name in path or () if name not in ("$user", "pg_catalog")), None)


def _bare_names(statement: Statement) -> Iterator[tuple[BareName, int]]:
    """(name, offset in the statement in characters) of each without a schema."""
    words = list(identifiers(statement.text))
    encoded = statement.text.encode()
    first = statement.first_byte if statement.parsed is not None else 0
    for catalog, name, location in _tree_names(statement.node):
        if location is None:  # not in the tree
            found = [at for at, word in words if word == name]
        else:
            found = [len(encoded[: location - first].decode())]
        # The index that DROP INDEX names is the last such word.
        yield from ((BareName(catalog, name), at) for at in (found[-1:] if catalog == _RELATION else found))


def _tree_names(root: Any) -> Iterator[tuple[str, str, int | None]]:
    """(system table, name, byte location) of each name below `root` that has no schema."""
    waiting = [("", root)]
    while waiting:
        kind, node = waiting.pop()
        if isinstance(node, list):
            waiting.extend((kind, child) for child in node)
        elif isinstance(node, dict):
            yield from _own_names(kind, node)
            waiting.extend(node.items())


def _own_names(kind: str, node: Tree) -> Iterator[tuple[str, str, int | None]]:
    if "relname" in node and "schemaname" not in node:
        yield _RELATION, str(node["relname"]), node.get("location")
    located = {
        "FuncCall": ("pg_proc", "funcname"),
        "TypeName": ("pg_type", "names"),
        "typeName": ("pg_type", "names"),
    }
    if kind in located:
        catalog, field = located[kind]
        yield from ((catalog, name, node.get("location")) for name in _single_name(node.get(field)))
    for field, catalog in (
        ("opclass", "pg_opclass"),
        ("collation", "pg_collation"),
        ("collname", "pg_collation"),
    ):
        yield from ((catalog, name, None) for name in _single_name(node.get(field)))
    if node.get("removeType") == "OBJECT_INDEX":
        for item in node.get("objects", []):
            yield from ((_RELATION, name, None) for name in _single_name(item.get("List", {}).get("items")))


def _single_name(parts: Any) -> list[str]:
    """The name in a list of String nodes, if it is one word."""
    names = [
        str(part["String"].get("sval", ""))
        for part in parts or ()
        if isinstance(part, dict) and "String" in part
    ]
    return names if len(names) == 1 else []
