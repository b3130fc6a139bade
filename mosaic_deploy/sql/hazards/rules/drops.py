"""Rules about DROP of what was there, and about SQL whose drops can't be read beforehand."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mosaic_deploy.model.hazard import Danger
from mosaic_deploy.sql.hazards.effects.reach import touched
from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.facts import Fact, Kind
from mosaic_deploy.sql.hazards.rules.rule import Finding
from mosaic_deploy.sql.hazards.syntax.names import Name, of_object, of_range, shown
from mosaic_deploy.sql.hazards.syntax.trees import Act

_ANYTHING = Name(None, "")
_DESTROYS = re.compile(
    r"\bdrop\s+(?:table|schema|column|owned|type|extension|database)\b|\btruncate\b|\bdelete\s+from\b",
    re.IGNORECASE,
)


def drop_table(act: Act, scope: Scope) -> Iterator[Finding]:
    for table in _dropped(act, "OBJECT_TABLE"):
        if hit := touched(scope, table):
            typed = sorted((scope.fact(table) or Fact()).typed) if _cascades(act) else ()
            further = f", and every column of its type in {', '.join(typed)}" if typed else ""
            what = f"drops table {table}{hit.through}{scope.rows(table)}{further}"
            yield Finding(what, str(table), hit.table, reaches=(*hit.reaches, *typed))


def drop_cascade(act: Act, scope: Scope) -> Iterator[Finding]:
    """CASCADE from what holds no rows itself: columns of its type go with it."""
    if not _cascades(act):
        return
    for kind in ("OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE"):
        for name in _dropped(act, kind):
            typed = sorted((scope.fact(name) or Fact()).typed) if scope.exists(name) else []
            if typed:
                what = f"drops {name} with every column of its type in {', '.join(typed)}"
                yield Finding(what, str(name), typed[0], reaches=tuple(typed[1:]))
    for kind, what in (("OBJECT_COLLATION", "column"), ("OBJECT_ACCESS_METHOD", "table")):
        for name in _dropped(act, kind):
            if scope.exists(_ANYTHING, Kind.ANYTHING):
                yield Finding(f"drops {name} with every {what} that uses it", str(name), "*")


def drop_attribute(act: Act, scope: Scope) -> Iterator[Finding]:
    """ALTER TYPE … DROP ATTRIBUTE: every value of the type loses a part."""
    name = of_range(act.node["relation"])
    if act.node.get("objtype") != "OBJECT_TYPE" or not scope.exists(name, Kind.TYPE):
        return
    for item in act.node.get("cmds", []):
        command = item.get("AlterTableCmd", {})
        if command.get("subtype") == "AT_DropColumn":
            part = f"{name}.{shown(str(command.get('name', '')))}"
            yield Finding(f"drops attribute {part} from every value of the type", part, "*")


def drop_schema(act: Act, scope: Scope) -> Iterator[Finding]:
    for schema in _dropped(act, "OBJECT_SCHEMA"):
        if not scope.exists(schema, Kind.SCHEMA):
            continue
        if _cascades(act):
            what = f"drops schema {schema} with everything in it"
            yield Finding(what, str(schema), f"{scope.origin(schema, Kind.SCHEMA).name}.*")
        else:
            what = f"drops schema {schema}; it fails unless the schema is empty"
            yield Finding(what, str(schema), severity=Danger.ADVICE)


def drop_type(act: Act, scope: Scope) -> Iterator[Finding]:
    for name in (*_dropped(act, "OBJECT_TYPE"), *_dropped(act, "OBJECT_DOMAIN")):
        if scope.exists(name, Kind.TYPE):
            yield _with_dependents(act, f"type {name}", str(name), Danger.ADVICE)


def drop_extension(act: Act, scope: Scope) -> Iterator[Finding]:
    for name in _dropped(act, "OBJECT_EXTENSION"):
        if scope.exists(name, Kind.EXTENSION):
            yield _with_dependents(act, f"extension {name}", str(name), Danger.RISKY)


def drop_owned(act: Act, scope: Scope) -> Iterator[Finding]:
    if not scope.exists(_ANYTHING, Kind.ANYTHING):
        return
    roles = [item.get("RoleSpec", {}).get("rolename", "the current role") for item in act.node["roles"]]
    owners = ", ".join(shown(role) if role != "the current role" else role for role in roles)
    yield Finding(f"drops everything that {owners} owns", owners, "*")


def drop_database(act: Act, _: Scope) -> Iterator[Finding]:
    name = shown(str(act.node.get("dbname", "")))
    yield Finding(f"drops database {name}", name, "*")


def dynamic_sql(act: Act, scope: Scope) -> Iterator[Finding]:
    if not scope.exists(_ANYTHING, Kind.ANYTHING):
        what = "runs SQL that is put together as it runs: it can't be read beforehand"
        yield Finding(what, "", severity=Danger.ADVICE)
        return
    found = _DESTROYS.search(act.node["text"])
    word = re.sub(r"\s+", " ", found.group()).upper() if found else ""
    holds = f" and holds {word}" if word else ""
    what = f"runs SQL that is put together as it runs{holds}: what it destroys can't be told"
    yield Finding(what, "", "*", severity=Danger.DESTRUCTIVE)


def unread_function(act: Act, scope: Scope) -> Iterator[Finding]:
    language = act.node.get("language")
    why = f"is in {language}" if language else "is in no language that can be read here"
    what = f"{why}: what it destroys can't be told" if scope.strict else f"{why}: what it does can't be told"
    if scope.strict and scope.exists(_ANYTHING, Kind.ANYTHING):
        yield Finding(what, "", "*", severity=Danger.DESTRUCTIVE)
    else:
        yield Finding(what, "")


def _with_dependents(act: Act, what: str, name: str, otherwise: Danger) -> Finding:
    if _cascades(act):
        return Finding(f"drops {what} with every column that uses it", name, "*")
    return Finding(f"drops {what}; it fails while a column uses it", name, severity=otherwise)


def _dropped(act: Act, kind: str) -> list[Name]:
    if act.node.get("removeType") != kind:
        return []
    return [of_object(item) for item in act.node.get("objects", [])]


def _cascades(act: Act) -> bool:
    return act.node.get("behavior") == "DROP_CASCADE"
