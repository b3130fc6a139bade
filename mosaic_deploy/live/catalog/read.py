"""The schema of a database as a Catalog, read with one query."""

from __future__ import annotations

import json

from mosaic_deploy.errors import ResponseInvalid
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.catalog.query import CATALOG_OBJECTS
from mosaic_deploy.model.catalog import Catalog, SchemaObject

CATALOG_QUERY = (
    "SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_array(kind, name, parent, definition) "
    'ORDER BY parent COLLATE "C", place, kind, name COLLATE "C"), \'[]\')::text AS parts FROM ('
    f"{CATALOG_OBJECTS}) AS found"
)
"""One statement whose one row has one column, `parts`: JSON text."""


def read_catalog(api: Api, project: str) -> Catalog:
    """All schema objects except those of extensions and the tracking tables. Reads only."""
    rows = api.sql(project, CATALOG_QUERY)
    try:
        parts = json.loads(rows[0]["parts"])
        return {SchemaObject(kind, name, of): definition or "" for kind, name, of, definition in parts}
    except (LookupError, TypeError, ValueError):
        raise ResponseInvalid("the SQL endpoint returned the catalog in an unexpected format") from None
