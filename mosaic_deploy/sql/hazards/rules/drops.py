"""Rules about dropping existing objects, and about SQL that can't be checked in advance."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mosaic_deploy.model.hazard import HazardSeverity
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
    for table in _dropped_names(effect, "OBJECT_TABLE"):
        if hit := touched_tables(scope, table):
            typed = (
                sorted((scope.facts_of(table) or ObjectFacts()).tables_with_row_type)
                if _cascades(effect)
                else ()
            )
            further = f", and every column of its row type in {', '.join(typed)}" if typed else ""
            what = f"drops table {table}{hit.through_text}{scope.row_estimate(table)}{further}"
            yield Finding(what, str(table), hit.table, cascades_to=(*hit.cascades_to, *typed))


def drop_cascade(effect: Effect, scope: Scope) -> Iterator[Finding]:
    """DROP … CASCADE of an object without rows of its own that drops columns or tables using it."""
    if not _cascades(effect):
        return
    for kind in ("OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE"):
        for name in _dropped_names(effect, kind):
            typed = (
                sorted((scope.facts_of(name) or ObjectFacts()).tables_with_row_type)
                if scope.existed_before(name)
                else []
            )
            if typed:
                what = f"drops {name} and every column of its row type in {', '.join(typed)}"
                yield Finding(what, str(name), typed[0], cascades_to=tuple(typed[1:]))
    for kind, noun, user in (
        ("OBJECT_COLLATION", "collation", "column"),
        ("OBJECT_ACCESS_METHOD", "access method", "table"),
    ):
        for name in _dropped_names(effect, kind):
            if scope.existed_before(_ANY_TABLE, ObjectKind.ANY_TABLE):
                yield Finding(f"drops {noun} {name} and every {user} that uses it", str(name), "*")


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
    for schema in _dropped_names(effect, "OBJECT_SCHEMA"):
        if not scope.existed_before(schema, ObjectKind.SCHEMA):
            continue
        if _cascades(effect):
            what = f"drops schema {schema} and everything in it"
            yield Finding(what, str(schema), f"{scope.origin(schema, ObjectKind.SCHEMA).name}.*")
        else:
            what = f"drops schema {schema}; fails unless it is empty"
            yield Finding(what, str(schema), severity=HazardSeverity.ADVICE)


def drop_type(effect: Effect, scope: Scope) -> Iterator[Finding]:
    for name in (*_dropped_names(effect, "OBJECT_TYPE"), *_dropped_names(effect, "OBJECT_DOMAIN")):
        if scope.existed_before(name, ObjectKind.TYPE):
            yield _with_dependents(effect, f"type {name}", str(name), HazardSeverity.ADVICE)


def drop_extension(effect: Effect, scope: Scope) -> Iterator[Finding]:
    for name in _dropped_names(effect, "OBJECT_EXTENSION"):
        if scope.existed_before(name, ObjectKind.EXTENSION):
            yield _with_dependents(effect, f"extension {name}", str(name), HazardSeverity.RISKY)


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
    if not scope.existed_before(_ANY_TABLE, ObjectKind.ANY_TABLE):
        what = "runs dynamic SQL, which can't be checked in advance"
        yield Finding(what, "", severity=HazardSeverity.ADVICE)
        return
    found = _DESTRUCTIVE_SQL.search(effect.node["text"])
    word = re.sub(r"\s+", " ", found.group()).upper() if found else ""
    contains = f" containing {word}" if word else ""
    what = f"runs dynamic SQL{contains}: what it destroys can't be known in advance"
    yield Finding(what, "", "*", severity=HazardSeverity.DESTRUCTIVE)


def unread_function(effect: Effect, scope: Scope) -> Iterator[Finding]:
    language = effect.node.get("language")
    written_in = language or "a language that isn't supported here"
    what = f"is written in {written_in}: what it {'destroys' if scope.strict else 'does'} can't be checked"
    if scope.strict and scope.existed_before(_ANY_TABLE, ObjectKind.ANY_TABLE):
        yield Finding(what, "", "*", severity=HazardSeverity.DESTRUCTIVE)
    else:
        yield Finding(what, "")


def _with_dependents(effect: Effect, what: str, name: str, otherwise: HazardSeverity) -> Finding:
    if _cascades(effect):
        return Finding(f"drops {what} and every column that uses it", name, "*")
    return Finding(f"drops {what}; fails while a column uses it", name, severity=otherwise)


def _dropped_names(effect: Effect, kind: str) -> list[Name]:
    if effect.node.get("removeType") != kind:
        return []
    return [object_name(item) for item in effect.node.get("objects", [])]


def _cascades(effect: Effect) -> bool:
    return effect.node.get("behavior") == "DROP_CASCADE"
