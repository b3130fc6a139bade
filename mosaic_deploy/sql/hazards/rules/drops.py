"""Rules about DROP of what was there, and about SQL whose drops can't be read beforehand."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mosaic_deploy.model.hazard import HazardSeverity
from mosaic_deploy.sql.hazards.effects.reach import touched_tables
from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.facts import ObjectFacts, ObjectKind
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
            further = f", and every column of its type in {', '.join(typed)}" if typed else ""
            what = f"drops table {table}{hit.through_text}{scope.row_estimate(table)}{further}"
            yield Finding(what, str(table), hit.table, cascades_to=(*hit.cascades_to, *typed))


def drop_cascade(effect: Effect, scope: Scope) -> Iterator[Finding]:
    """CASCADE from what holds no rows itself: columns of its type go with it."""
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
                what = f"drops {name} with every column of its type in {', '.join(typed)}"
                yield Finding(what, str(name), typed[0], cascades_to=tuple(typed[1:]))
    for kind, what in (("OBJECT_COLLATION", "column"), ("OBJECT_ACCESS_METHOD", "table")):
        for name in _dropped_names(effect, kind):
            if scope.existed_before(_ANY_TABLE, ObjectKind.ANY_TABLE):
                yield Finding(f"drops {name} with every {what} that uses it", str(name), "*")


def drop_attribute(effect: Effect, scope: Scope) -> Iterator[Finding]:
    """ALTER TYPE … DROP ATTRIBUTE: every value of the type loses a part."""
    name = range_name(effect.node["relation"])
    if effect.node.get("objtype") != "OBJECT_TYPE" or not scope.existed_before(name, ObjectKind.TYPE):
        return
    for item in effect.node.get("cmds", []):
        command = item.get("AlterTableCmd", {})
        if command.get("subtype") == "AT_DropColumn":
            part = f"{name}.{quote_if_needed(str(command.get('name', '')))}"
            yield Finding(f"drops attribute {part} from every value of the type", part, "*")


def drop_schema(effect: Effect, scope: Scope) -> Iterator[Finding]:
    for schema in _dropped_names(effect, "OBJECT_SCHEMA"):
        if not scope.existed_before(schema, ObjectKind.SCHEMA):
            continue
        if _cascades(effect):
            what = f"drops schema {schema} with everything in it"
            yield Finding(what, str(schema), f"{scope.origin(schema, ObjectKind.SCHEMA).name}.*")
        else:
            what = f"drops schema {schema}; it fails unless the schema is empty"
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
    yield Finding(f"drops everything that {owners} owns", owners, "*")


def drop_database(effect: Effect, _: Scope) -> Iterator[Finding]:
    name = quote_if_needed(str(effect.node.get("dbname", "")))
    yield Finding(f"drops database {name}", name, "*")


def dynamic_sql(effect: Effect, scope: Scope) -> Iterator[Finding]:
    if not scope.existed_before(_ANY_TABLE, ObjectKind.ANY_TABLE):
        what = "runs SQL that is put together as it runs: it can't be read beforehand"
        yield Finding(what, "", severity=HazardSeverity.ADVICE)
        return
    found = _DESTRUCTIVE_SQL.search(effect.node["text"])
    word = re.sub(r"\s+", " ", found.group()).upper() if found else ""
    holds = f" and holds {word}" if word else ""
    what = f"runs SQL that is put together as it runs{holds}: what it destroys can't be told"
    yield Finding(what, "", "*", severity=HazardSeverity.DESTRUCTIVE)


def unread_function(effect: Effect, scope: Scope) -> Iterator[Finding]:
    language = effect.node.get("language")
    why = f"is in {language}" if language else "is in no language that can be read here"
    what = f"{why}: what it destroys can't be told" if scope.strict else f"{why}: what it does can't be told"
    if scope.strict and scope.existed_before(_ANY_TABLE, ObjectKind.ANY_TABLE):
        yield Finding(what, "", "*", severity=HazardSeverity.DESTRUCTIVE)
    else:
        yield Finding(what, "")


def _with_dependents(effect: Effect, what: str, name: str, otherwise: HazardSeverity) -> Finding:
    if _cascades(effect):
        return Finding(f"drops {what} with every column that uses it", name, "*")
    return Finding(f"drops {what}; it fails while a column uses it", name, severity=otherwise)


def _dropped_names(effect: Effect, kind: str) -> list[Name]:
    if effect.node.get("removeType") != kind:
        return []
    return [object_name(item) for item in effect.node.get("objects", [])]


def _cascades(effect: Effect) -> bool:
    return effect.node.get("behavior") == "DROP_CASCADE"
