r"""What the prompt of `sql` reads of a database: names for completion, and the answers to `\d`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mosaic_deploy.sql.queries.typing import Names, Relation
from mosaic_deploy.sql.quote import literal

_OURS = "space.nspname NOT IN ('information_schema', 'mosaic_deploy') AND space.nspname !~ '^pg_'"
_KINDS = "('r', 'p', 'v', 'm', 'f')"

# As one JSON text, which every endpoint returns unchanged.
NAMES_QUERY = f"""SELECT json_build_object(
  'relations', (SELECT json_agg(json_build_array(
      CASE WHEN pg_table_is_visible(class.oid) THEN '' ELSE space.nspname END, class.relname,
      (SELECT coalesce(json_agg(part.attname ORDER BY part.attnum), '[]') FROM pg_catalog.pg_attribute part
       WHERE part.attrelid = class.oid AND part.attnum > 0 AND NOT part.attisdropped)) ORDER BY class.relname)
    FROM pg_catalog.pg_class class JOIN pg_catalog.pg_namespace space ON space.oid = class.relnamespace
    WHERE class.relkind IN {_KINDS} AND {_OURS}),
  'functions', (SELECT json_agg(DISTINCT routine.proname)
    FROM pg_catalog.pg_proc routine JOIN pg_catalog.pg_namespace space ON space.oid = routine.pronamespace
    WHERE pg_function_is_visible(routine.oid) AND {_OURS}))::text AS names"""


def parse_names(rows: Sequence[Mapping[str, Any]]) -> Names:
    """The names in the answer to NAMES_QUERY."""
    found = json.loads(str(rows[0]["names"])) if rows else {}
    relations = tuple(
        Relation(schema, name, tuple(columns)) for schema, name, columns in found.get("relations") or ()
    )
    return Names(relations, tuple(found.get("functions") or ()))


def tables_query() -> str:
    """The tables and views, with their size."""
    return f"""SELECT space.nspname AS schema, class.relname AS name,
  CASE class.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
    ELSE 'table' END AS kind,
  pg_size_pretty(pg_total_relation_size(class.oid)) AS size
FROM pg_catalog.pg_class class JOIN pg_catalog.pg_namespace space ON space.oid = class.relnamespace
WHERE class.relkind IN {_KINDS} AND {_OURS}
ORDER BY 1, 2"""


def columns_query(name: str) -> str:
    """The columns of the table or view `name`; no rows if there is none."""
    return f"""SELECT part.attname AS column, format_type(part.atttypid, part.atttypmod) AS type,
  CASE WHEN part.attnotnull THEN 'not null' ELSE '' END AS nullable,
  coalesce(pg_get_expr(preset.adbin, preset.adrelid), '') AS default
FROM pg_catalog.pg_attribute part
LEFT JOIN pg_catalog.pg_attrdef preset ON preset.adrelid = part.attrelid AND preset.adnum = part.attnum
WHERE part.attrelid = to_regclass({literal(name)}) AND part.attnum > 0 AND NOT part.attisdropped
ORDER BY part.attnum"""
