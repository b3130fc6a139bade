"""PL/pgSQL that compares the schema that a step leaves with the one that it left in the rehearsal, before its transaction commits.

With live rows, a step can do something else than in the rehearsal, which has none. So the schema is noted before the step, and read
again after it. What the rehearsal changed must be as there; everything else must be as it was noted. What others change
meanwhile counts as the step's: nobody can tell.
"""

from __future__ import annotations

from mosaic_deploy.sql.guard.rehearsed import DIGEST_LENGTH, SchemaReader
from mosaic_deploy.sql.marker import raise_with_facts_sql
from mosaic_deploy.sql.quote import literal

RESULT_DIFFERS = "rehearsal_differs"
NOTED = "schema.noted"
"""The row of the settings table with the digests of all objects before a step, until it is compared."""
INVALID = " INVALID"
MOST_DIFFERENCES = 1000
"""Objects in a report."""
OBJECT_ID = r"pg_catalog.concat_ws(E'\x1f', p.kind, p.name, p.parent)"
_ABOUT = "table|foreign table|view|materialized view|sequence|function|procedure|aggregate|type|domain"
_LISTED = ", ".join(f"'{kind}'" for kind in _ABOUT.split("|"))
_NOT_IN_SCHEMAS = "^(server|language|foreign-data wrapper) "
_OWNER = f"""CASE WHEN p.kind = 'schema' THEN 'schema ' || p.name
      WHEN p.kind = 'comment' AND p.parent = '' THEN pg_catalog.substring(p.name, '^(?:{_ABOUT}|(?=schema )) ?(.*)$')
      WHEN p.parent ~ '{_NOT_IN_SCHEMAS}' THEN NULL WHEN p.parent <> '' THEN p.parent WHEN p.kind IN ({_LISTED}) THEN p.name END"""
_OWNING_COLUMN = """CASE p.kind WHEN 'sequence' THEN pg_catalog.substring(p.definition, '\\mOWNED BY (.+)\\.(?:"(?:[^"]|"")+"|[^".]+)$') END"""


def digest_sql(text: str) -> str:
    """As `text_digest` has it."""
    return f"pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to({text}, 'UTF8')), 'hex'), {DIGEST_LENGTH})"


def compared_sql(unmanaged: str) -> str:
    """SQL: the condition for rows `p` of kind, name, parent and definition that are compared. `unmanaged` as in SchemaReader."""
    condition = f"(p.kind <> 'index' OR p.definition NOT LIKE '%{INVALID}')"
    if unmanaged:
        owners = f"pg_catalog.unnest(ARRAY[{_OWNER}, {_OWNING_COLUMN}]) AS o(name)"
        schema = "pg_catalog.parse_ident(pg_catalog.substr(o.name, 8), false)"
        parts = "pg_catalog.parse_ident(o.name, false)"
        full = f"CASE pg_catalog.cardinality({parts}) WHEN 1 THEN '{{public}}'::pg_catalog.text[] || {parts} ELSE {parts} END"
        name = f"CASE WHEN o.name LIKE 'schema %' THEN ({schema})[1] || '.' ELSE pg_catalog.array_to_string({full}, '.') END"
        condition += f" AND NOT EXISTS (SELECT FROM {owners} WHERE o.name IS NOT NULL AND {name} ~ {literal(unmanaged)})"
    return condition


def differences_sql(wanted: str, before: str, now: str) -> str:
    """SQL: a JSON array of what isn't as it was to be left, `[object_id, whether it was to exist, whether it exists]`.

    All are SQL expressions of jsonb objects of digests by object_id. What `wanted` doesn't have must be as `before`; if that is
    null, it isn't compared.
    """
    other = f"CASE WHEN ({before}) IS NULL THEN d.now ELSE ({before}) ->> k.id END"
    return f"""SELECT COALESCE(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(f.id, f.expected IS NOT NULL, f.now IS NOT NULL)), '[]')
      FROM (SELECT k.id, d.now, CASE WHEN d.wanted IS NULL THEN {other} ELSE NULLIF(d.wanted, '') END AS expected
        FROM (SELECT pg_catalog.jsonb_object_keys({now}) UNION SELECT pg_catalog.jsonb_object_keys(COALESCE({before}, '{{}}'))
          UNION SELECT pg_catalog.jsonb_object_keys({wanted})) AS k(id)
        CROSS JOIN LATERAL (SELECT ({now}) ->> k.id AS now, ({wanted}) ->> k.id AS wanted OFFSET 0) d) f
      WHERE CASE f.expected WHEN '*' THEN f.now IS NULL ELSE f.expected IS DISTINCT FROM f.now END"""


def read_all_sql(reader: SchemaReader) -> str:
    """SQL: the digests of all compared objects by `object_id`, as jsonb."""
    digest = digest_sql("p.definition")
    return (
        f"SELECT COALESCE(pg_catalog.jsonb_object_agg({OBJECT_ID}, {digest}), '{{}}') "
        f"FROM ({reader.every}) p WHERE {compared_sql(reader.unmanaged)}"
    )


def note_schema_sql(reader: SchemaReader, deploy_id: str) -> str:
    """PL/pgSQL that notes the schema. The session needs the reader's settings."""
    return f"""      INSERT INTO mosaic_deploy.settings AS s (name, value, deploy_id, updated_at)
      SELECT '{NOTED}', ({read_all_sql(reader)}), {literal(deploy_id)}, pg_catalog.clock_timestamp()
      ON CONFLICT (name) DO UPDATE SET deploy_id = EXCLUDED.deploy_id, updated_at = EXCLUDED.updated_at, value = EXCLUDED.value;
"""


def compare_result_sql(reader: SchemaReader, wanted: str, deploy_id: str, which: str, settings: str) -> str:
    """PL/pgSQL that raises RESULT_DIFFERS if the schema isn't as the SQL expression `wanted` says; nothing if that is null.

    `which` are arguments for json_build_object: version and step; `settings` the PL/pgSQL that sets the reader's settings.
    Requires the variables of `schema_check`.
    """
    differences = differences_sql("rehearsed", "schema_left", "schema_now")
    most = f"pg_catalog.jsonb_path_query_array(schema_changes, '$[0 to {MOST_DIFFERENCES - 1}]')"
    facts = (
        f"pg_catalog.json_build_object('code', '{RESULT_DIFFERS}', {which}, "
        f"'schema', pg_catalog.json_build_object('objects', {most}))::text"
    )
    return f"""    rehearsed := {wanted};
    IF rehearsed IS NOT NULL THEN
{settings}      schema_now := ({read_all_sql(reader)});
      schema_left := COALESCE((SELECT s.value FROM mosaic_deploy.settings s
        WHERE s.name = '{NOTED}' AND s.deploy_id = {literal(deploy_id)}), '{{}}');
      DELETE FROM mosaic_deploy.settings s WHERE s.name = '{NOTED}';
      schema_changes := ({differences});
      IF schema_changes <> '[]' THEN {raise_with_facts_sql(facts)} END IF;
    END IF;
"""
