"""Definitions as another server prints them: majors of PostgreSQL print the same view differently.

Whether two texts mean the same is shown by making the object again from one of them, under another name, in a transaction that
is rolled back, and reading what the server prints.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mosaic_deploy.errors import ResponseInvalid
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.catalog.query import CATALOG_OBJECTS
from mosaic_deploy.model.catalog import Catalog, SchemaObject
from mosaic_deploy.sql.quote import dollar_quote, json_literal, literal

_QUERY = re.compile(r"(?:.*? )??(?=(?: |(?:\(\s*)+)(?:SELECT|WITH|VALUES)\b)", re.DOTALL)
"""What is before a view's query, such as its options. PostgreSQL prints a space or a parenthesis before the query."""
_UNIQUE = " UNIQUE"
_CONSTRAINT = "CONSTRAINT "
_CREATE_RULE = "CREATE RULE "
_CREATE_ROUTINE = "CREATE OR REPLACE "
_RESULT = "mosaic_deploy.remade"
_NEWER_PRIVILEGES = {17: re.compile(r"(, )?\bMAINTAIN(?: WITH GRANT OPTION)?(?(1)|(?:, )?)")}
"""By the major of PostgreSQL that brought it. GRANT ALL gives it there."""


@dataclass(frozen=True, slots=True)
class _Remake:
    """The SQL that makes an object again, what it makes, and the part of the definition before what is read of that."""

    statement: str
    made: SchemaObject
    prefix: str = ""


def remade(api: Api, project: str, definitions: Catalog) -> Catalog:
    """The definitions of these objects as this database prints them after it made them from `definitions`.

    Without those that can't be made so. One request; nothing is left of it. The objects exist, perhaps with another definition.
    Raises ApiError.
    """
    remakes = {
        item: remake
        for number, (item, text) in enumerate(definitions.items())
        if (remake := _remake(item, text, f'"mosaic remade {number}"'))
    }
    if not remakes:
        return {}
    rows = api.sql(project, _remake_sql([*remakes.values()]))
    try:
        found = {SchemaObject(kind, name, of): text for kind, name, of, text in json.loads(rows[0]["remade"])}
    except (LookupError, TypeError, ValueError):
        raise ResponseInvalid("the SQL endpoint returned definitions in an unexpected format") from None
    return {item: one.prefix + found[one.made] for item, one in remakes.items() if one.made in found}


def without_newer_privileges(item: SchemaObject, definition: str, major: int) -> str:
    """The definition of a grant or of default privileges without what PostgreSQL `major` doesn't have; others as they are."""
    if item.kind in ("grant", "default privileges"):
        for since, privilege in _NEWER_PRIVILEGES.items():
            definition = definition if major >= since else privilege.sub("", definition)
    return definition


def _remake(item: SchemaObject, definition: str, name: str) -> _Remake | None:
    make = _MAKERS.get(item.kind)
    return make(item, definition, name) if make else None


def _view(_: SchemaObject, definition: str, name: str) -> _Remake | None:
    """Also of a materialized view: only its query is printed."""
    query = _QUERY.match(definition)
    if query is None:
        return None
    statement = f"CREATE VIEW public.{name} AS {definition[query.end() :]}"
    return _Remake(statement, SchemaObject("view", name), query[0])


def _index(item: SchemaObject, definition: str, name: str) -> _Remake:
    unique = "UNIQUE " if definition.endswith(_UNIQUE) else ""
    text = definition.removesuffix(_UNIQUE)
    return _Remake(f"CREATE {unique}INDEX {name} ON {item.parent} {text}", _named(item, name))


def _trigger(item: SchemaObject, definition: str, name: str) -> _Remake:
    constraint = _CONSTRAINT if definition.startswith(_CONSTRAINT) else ""
    text = definition.removeprefix(_CONSTRAINT)
    return _Remake(f"CREATE {constraint}TRIGGER {name} {text}", _named(item, name))


def _rule(item: SchemaObject, definition: str, name: str) -> _Remake | None:
    """Its definition contains its name, so the one that is there makes room."""
    if not definition.startswith(_CREATE_RULE):
        return None
    return _Remake(f"ALTER RULE {item.name} ON {item.parent} RENAME TO {name}; {definition}", item)


def _routine(item: SchemaObject, definition: str, _: str) -> _Remake | None:
    """It is replaced, so what else calls it is printed with its name."""
    return _Remake(definition, item) if definition.startswith(_CREATE_ROUTINE) else None


def _written(template: str) -> Callable[[SchemaObject, str, str], _Remake]:
    """Of a kind whose definition is the end of the statement that makes it."""

    def make(item: SchemaObject, definition: str, name: str) -> _Remake:
        return _Remake(f"{template.format(name=name, parent=item.parent)} {definition}", _named(item, name))

    return make


def _named(item: SchemaObject, name: str) -> SchemaObject:
    return SchemaObject(item.kind, name, item.parent)


_MAKERS: Mapping[str, Callable[[SchemaObject, str, str], _Remake | None]] = {
    "view": _view,
    "materialized view": _view,
    "index": _index,
    "trigger": _trigger,
    "rule": _rule,
    "function": _routine,
    "procedure": _routine,
    "column": _written("ALTER TABLE {parent} ADD COLUMN {name}"),
    "constraint": _written("ALTER TABLE {parent} ADD CONSTRAINT {name}"),
    "policy": _written("CREATE POLICY {name} ON {parent} AS"),
    "domain": _written("CREATE DOMAIN public.{name} AS"),
    "statistics": _written("CREATE STATISTICS public.{name}"),
}
"""The kinds whose definitions PostgreSQL prints from a tree."""


def _remake_sql(remakes: list[_Remake]) -> str:
    """One row with the column `remade`: what was made, with its definitions. Statements that fail make nothing."""
    wanted = [
        {"statement": one.statement, "kind": one.made.kind, "name": one.made.name, "parent": one.made.parent}
        for one in remakes
    ]
    columns = "(statement text, kind text, name text, parent text)"
    query = (
        "SELECT pg_catalog.json_agg(pg_catalog.json_build_array(f.kind, f.name, f.parent, f.definition)) "
        f"FROM ({CATALOG_OBJECTS}) AS f JOIN pg_catalog.jsonb_to_recordset($1) AS w {columns} "
        "ON (w.kind, w.name, w.parent) = (f.kind, f.name, f.parent)"
    )
    block = f"""DECLARE
  wanted pg_catalog.jsonb := {json_literal(wanted)}; made pg_catalog.jsonb := '[]'; one pg_catalog.jsonb; found pg_catalog.text;
BEGIN
  BEGIN
    PERFORM pg_catalog.set_config('search_path', 'public', true);
    FOR one IN SELECT w.one FROM pg_catalog.jsonb_array_elements(wanted) AS w(one) LOOP
      BEGIN
        EXECUTE one ->> 'statement';
        made := made || one;
      EXCEPTION WHEN OTHERS THEN NULL;
      END;
    END LOOP;
    EXECUTE {literal(query)} INTO found USING made;
    RAISE EXCEPTION SQLSTATE 'MDRMD';
  EXCEPTION WHEN SQLSTATE 'MDRMD' THEN NULL;
  END;
  PERFORM pg_catalog.set_config('{_RESULT}', COALESCE(found, '[]'), true);
END"""
    return f"DO {dollar_quote(block)}; SELECT pg_catalog.current_setting('{_RESULT}') AS remade"
