"""Queries for the objects that hold no rows: views, types, functions and policies. Those of extensions don't count."""

from __future__ import annotations

_OWN_SCHEMA = "mosaic_deploy"
_VISIBLE = f"n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', '{_OWN_SCHEMA}')"


def _name(kind: str, name: str, more: str = "") -> str:
    quoted = f"pg_catalog.quote_ident(n.nspname), '.', pg_catalog.quote_ident({name})"
    return f"pg_catalog.concat({kind}, {quoted}{more})"


def _query(catalog: str, alias: str, name: str, joins: str, condition: str) -> str:
    key = "p.oid, ':', p.polrelid" if alias == "p" else f"{alias}.oid"
    member = (
        "SELECT FROM pg_catalog.pg_depend e WHERE e.deptype = 'e' "
        f"AND e.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass AND e.objid = {alias}.oid"
    )
    return (
        f"SELECT pg_catalog.concat('{catalog}:', {key}) AS key, {name} AS name, {alias}.xmin AS written "
        f"FROM pg_catalog.{catalog} {alias} {joins} WHERE {_VISIBLE} AND {condition} AND NOT EXISTS ({member})"
    )


def _namespace(column: str) -> str:
    return f"JOIN pg_catalog.pg_namespace n ON n.oid = {column}"


_VIEW = "CASE c.relkind WHEN 'v' THEN 'view ' ELSE 'materialized view ' END"
_TYPE = "CASE t.typtype WHEN 'd' THEN 'domain ' ELSE 'type ' END"
_ROUTINE = "CASE f.prokind WHEN 'p' THEN 'procedure ' WHEN 'a' THEN 'aggregate ' ELSE 'function ' END"
_ARGUMENTS = ", '(', pg_catalog.pg_get_function_identity_arguments(f.oid), ')'"
_STANDALONE = (
    "(t.typtype IN ('e', 'd', 'r') OR EXISTS (SELECT FROM pg_catalog.pg_class c "
    "WHERE c.oid = t.typrelid AND c.relkind = 'c'))"
)
OBJECTS_NOW = " UNION ALL ".join(
    (
        _query("pg_class", "c", _name(_VIEW, "c.relname"), _namespace("c.relnamespace"), "c.relkind IN ('v', 'm')"),
        _query("pg_type", "t", _name(_TYPE, "t.typname"), _namespace("t.typnamespace"), _STANDALONE),
        _query("pg_proc", "f", _name(_ROUTINE, "f.proname", _ARGUMENTS), _namespace("f.pronamespace"), "true"),
        _query(
            "pg_policy",
            "p",
            _name("'policy ', pg_catalog.quote_ident(p.polname), ' on '", "c.relname"),
            f"JOIN pg_catalog.pg_class c ON c.oid = p.polrelid {_namespace('c.relnamespace')}",
            "true",
        ),
    )
)  # fmt: skip
"""Rows of `key`, `name` (`function public.f(integer)`) and `written`, the transaction that wrote the object's row."""
OBJECTS_GONE = (
    "SELECT o.key, o.value AS name FROM pg_catalog.jsonb_each_text((existing -> 'objects')"
    " - ARRAY(SELECT pg_catalog.jsonb_object_keys(gone))) o "
    f"LEFT JOIN ({OBJECTS_NOW}) k ON k.key = o.key LEFT JOIN ({OBJECTS_NOW}) m ON m.name = o.value "
    "WHERE k.key IS NULL AND m.name IS NULL AND (o.key NOT LIKE 'pg\\_policy:%' OR EXISTS (SELECT FROM pg_catalog.pg_class t "
    "WHERE t.oid = pg_catalog.split_part(o.key, ':', 3)::pg_catalog.oid))"
)
"""The names of objects in the PL/pgSQL variable `existing` that are gone, and that no other object has now; without those in the
variable `gone`. A policy goes with its table."""
