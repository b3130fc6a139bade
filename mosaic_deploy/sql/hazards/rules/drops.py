"""Rules about dropping existing objects, and about SQL that can't be read."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mosaic_deploy.model.hazard import HazardSeverity
from mosaic_deploy.sql.hazards.effects.dropped import (
    DroppedObject,
    dependents,
    dependents_text,
    dropped_objects,
    tables_of,
)
from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.effects.touched_tables import touched_tables
from mosaic_deploy.sql.hazards.live_objects import ObjectFacts, ObjectKind
from mosaic_deploy.sql.hazards.rules.rule import Finding
from mosaic_deploy.sql.hazards.syntax.names import Name, object_name, quote_if_needed, range_name
from mosaic_deploy.sql.hazards.syntax.trees import Effect

_ANY_TABLE = Name(None, "")
_DESTRUCTIVE_SQL = re.compile(
    r"\bdrop\s+(?:table|schema|column|owned|type|extension|database)\b|\btruncate\b|\bdelete\s+from\b",
    re.IGNORECASE,
)


def drop_table(effect: Effect, scope: Scope) -> Iterator[Finding]:
    for dropped in _dropped(effect, "table"):
        table = dropped.name
        if _is_leftover_of_temporary(table, effect, scope):
            continue
        if hit := touched_tables(scope, table):
            found = dependents(scope, dropped) or ()
            typed = _with_row_type(dropped, scope)
            further = f", and every column of its row type in {', '.join(typed)}" if typed else ""
            rows = scope.row_estimate(table)
            what = f"drops table {table}{rows}{further}{dependents_text(found)}"
            dropped_too = (*typed, *tables_of(found))
            tables = tuple(dict.fromkeys((*hit.cascades_to, *dropped_too)))
            parents = hit.parents.difference(dropped_too)
            yield Finding(what, str(table), hit.table, cascades_to=tables, parents=parents)


def _with_row_type(dropped: DroppedObject, scope: Scope) -> list[str]:
    """The tables with a column of the relation's row type, which CASCADE drops."""
    if not dropped.cascade or not scope.existed_before(dropped.name):
        return []
    return sorted((scope.facts_of(dropped.name) or ObjectFacts()).tables_with_row_type)


def _is_leftover_of_temporary(table: Name, effect: Effect, scope: Scope) -> bool:
    """DROP TABLE IF EXISTS before CREATE TEMP TABLE, of a table that no file creates for good."""
    return (
        bool(effect.node.get("missing_ok"))
        and scope.is_offline
        and table.name in scope.temporary_tables
        and not scope.relation(table).columns
    )


def drop_cascade(effect: Effect, scope: Scope) -> Iterator[Finding]:
    """DROP … CASCADE of an object without rows of its own that drops columns, tables or other objects using it."""
    for dropped in _dropped(effect, *_WITHOUT_ROWS):
        exists = dropped.lookup_kind is not ObjectKind.RELATION or scope.existed_before(dropped.name)
        if not dropped.cascade or not exists:
            continue
        found = dependents(scope, dropped) or ()
        typed = _with_row_type(dropped, scope) if dropped.lookup == "relation" else []
        further = f" and every column of its row type in {', '.join(typed)}" if typed else ""
        tables = tuple(dict.fromkeys((*typed, *tables_of(found))))
        what = f"drops {dropped.text(dropped.name)}{further}{dependents_text(found)}"
        if tables:
            yield Finding(what, str(dropped.name), tables[0], cascades_to=tables[1:])
        elif found:
            yield Finding(what, str(dropped.name), severity=HazardSeverity.RISKY)
    for kind, noun, user in _USED_BY_COLUMNS if _cascades(effect) else ():
        for name in _dropped_names(effect, kind):
            if scope.existed_before(_ANY_TABLE, ObjectKind.ANY_TABLE):
                yield Finding(f"drops {noun} {name} and every {user} that uses it", str(name), "*")


_USED_BY_COLUMNS = (
    ("OBJECT_COLLATION", "collation", "column"),
    ("OBJECT_ACCESS_METHOD", "access method", "table"),
    ("OBJECT_OPCLASS", "operator class", "index"),
    ("OBJECT_OPFAMILY", "operator family", "index"),
    ("OBJECT_FOREIGN_SERVER", "foreign server", "foreign table"),
    ("OBJECT_FDW", "foreign-data wrapper", "foreign table"),
)
_WITHOUT_ROWS = (
    "view", "materialized view", "foreign table", "sequence", "function", "procedure", "aggregate", "constraint"
)  # fmt: skip


def drop_attribute(effect: Effect, scope: Scope) -> Iterator[Finding]:
    """ALTER TYPE … DROP ATTRIBUTE."""
    name = range_name(effect.node["relation"])
    if effect.node.get("objtype") != "OBJECT_TYPE" or not scope.existed_before(name, ObjectKind.TYPE):
        return
    for item in effect.node.get("cmds", []):
        command = item.get("AlterTableCmd", {})
        if command.get("subtype") == "AT_DropColumn":
            attribute = f"{name}.{quote_if_needed(str(command.get('name', '')))}"
            yield Finding(f"drops attribute {attribute} from every value of the type", attribute, "*")


def drop_schema(effect: Effect, scope: Scope) -> Iterator[Finding]:
    for dropped in _dropped(effect, "schema"):
        if scope.existed_before(dropped.name, ObjectKind.SCHEMA):
            schema = dropped.name
            if not dropped.cascade:
                what = f"drops schema {schema}; fails unless it is empty"
                yield Finding(what, str(schema), severity=HazardSeverity.ADVICE)
            else:
                live = scope.origin(schema, ObjectKind.SCHEMA).name
                yield _cascade_finding(dropped, scope, f"schema {schema}", "everything in it", live)


def drop_type(effect: Effect, scope: Scope) -> Iterator[Finding]:
    for dropped in _dropped(effect, "type", "domain"):
        if scope.existed_before(dropped.name, ObjectKind.TYPE):
            yield _with_dependents(dropped, scope, f"{dropped.kind} {dropped.name}", HazardSeverity.ADVICE)


def drop_extension(effect: Effect, scope: Scope) -> Iterator[Finding]:
    for dropped in _dropped(effect, "extension"):
        if scope.existed_before(dropped.name, ObjectKind.EXTENSION):
            yield _with_dependents(dropped, scope, f"extension {dropped.name}", HazardSeverity.RISKY)


def drop_owned(effect: Effect, scope: Scope) -> Iterator[Finding]:
    if not scope.existed_before(_ANY_TABLE, ObjectKind.ANY_TABLE):
        return
    roles = [item.get("RoleSpec", {}).get("rolename", "the current role") for item in effect.node["roles"]]
    owners = ", ".join(quote_if_needed(role) if role != "the current role" else role for role in roles)
    yield Finding(f"drops everything owned by {owners}", owners, "*")


def drop_database(effect: Effect, _: Scope) -> Iterator[Finding]:
    name = quote_if_needed(str(effect.node.get("dbname", "")))
    yield Finding(f"drops database {name}", name, "*")


def dynamic_sql(effect: Effect, scope: Scope) -> Iterator[Finding]:
    """What SQL composed at run time destroys is measured; a warning if its constant parts say that it destroys something."""
    found = _DESTRUCTIVE_SQL.search(effect.node["text"])
    if found and scope.existed_before(_ANY_TABLE, ObjectKind.ANY_TABLE):
        word = re.sub(r"\s+", " ", found.group()).upper()
        what = f"runs dynamic SQL containing {word}: what it destroys is known only once it has run"
        yield Finding(what, "", severity=HazardSeverity.RISKY)
    else:
        yield Finding("runs dynamic SQL, which can't be checked in advance", "")


def _with_dependents(dropped: DroppedObject, scope: Scope, what: str, otherwise: HazardSeverity) -> Finding:
    if dropped.cascade:
        return _cascade_finding(dropped, scope, what, "every column that uses it")
    return Finding(f"drops {what}; fails while a column uses it", str(dropped.name), severity=otherwise)


def _cascade_finding(
    dropped: DroppedObject, scope: Scope, what: str, everything: str, schema: str = ""
) -> Finding:
    """What DROP … CASCADE drops: from the database, or without it `everything`, of one schema or of all."""
    name = str(dropped.name)
    found = dependents(scope, dropped)
    moved = dropped.kind == "schema" and scope.moves_into(dropped.name.name)
    if found is None or moved or scope.changes_columns_to(dropped.name):
        return Finding(
            f"drops {what} and {everything}", name, f"{schema}.*" if schema else "*", schema=schema
        )
    text = f"drops {what}{dependents_text(found) or ', which nothing uses'}"
    affected = tables_of(found)
    if not affected:
        return Finding(text, name, severity=HazardSeverity.RISKY if found else HazardSeverity.ADVICE)
    return Finding(text, name, affected[0], cascades_to=affected[1:])


def _dropped(effect: Effect, *kinds: str) -> list[DroppedObject]:
    return [one for one in dropped_objects(effect) if one.kind in kinds]


def _dropped_names(effect: Effect, kind: str) -> list[Name]:
    if effect.node.get("removeType") != kind:
        return []
    return [object_name(item) for item in effect.node.get("objects", [])]


def _cascades(effect: Effect) -> bool:
    return effect.node.get("behavior") == "DROP_CASCADE"
