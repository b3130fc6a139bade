"""Rules about DROP of what was there, and about SQL whose drops can't be read beforehand."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mosaic_deploy.model.hazard import Danger
from mosaic_deploy.sql.hazards.acts import Act
from mosaic_deploy.sql.hazards.facts import Kind
from mosaic_deploy.sql.hazards.names import Name, of_object, shown
from mosaic_deploy.sql.hazards.rule import Finding
from mosaic_deploy.sql.hazards.scope import Scope

_ANYTHING = Name(None, "")
_DESTROYS = re.compile(
    r"\bdrop\s+(?:table|schema|column|owned|type|extension|database)\b|\btruncate\b|\bdelete\s+from\b",
    re.IGNORECASE,
)


def drop_table(act: Act, scope: Scope) -> Iterator[Finding]:
    for table in _dropped(act, "OBJECT_TABLE"):
        if scope.exists(table):
            yield Finding(f"drops table {table}{scope.rows(table)}", str(table), scope.full(table))


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
    found = _DESTROYS.search(act.node["text"])
    if found and scope.exists(_ANYTHING, Kind.ANYTHING):
        word = re.sub(r"\s+", " ", found.group()).upper()
        what = f"runs SQL that is put together as it runs and holds {word}: what it destroys can't be told"
        yield Finding(what, "", "*", severity=Danger.DESTRUCTIVE)
    else:
        yield Finding("runs SQL that is put together as it runs: it can't be read beforehand", "")


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
