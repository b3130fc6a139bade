"""What a run has committed to the database, as the ledger tells after the run broke off."""

from __future__ import annotations

import json
from dataclasses import dataclass

from mosaic_deploy.errors import ResponseInvalid
from mosaic_deploy.live.client import Api
from mosaic_deploy.sql.quote import literal
from mosaic_deploy.sql.records import SEED


@dataclass(frozen=True, slots=True)
class Committed:
    """`applied` are the versions that this run wrote whole, `known` all that the ledger has, `seeds` paths."""

    applied: frozenset[str]
    known: frozenset[str]
    seeds: frozenset[str]


def read_committed(api: Api, project: str, deploy_id: str) -> Committed:
    """Reads only. Raises ApiError's children."""
    ours = f"deploy_id = {literal(deploy_id)}"
    lists = {
        "applied": f"SELECT version::text FROM mosaic_deploy.migrations WHERE units_done >= units AND {ours}",
        "known": "SELECT version::text FROM mosaic_deploy.migrations",
        "seeds": f"SELECT path FROM mosaic_deploy.objects WHERE kind = {literal(SEED)} AND {ours}",
    }
    listed = ", ".join(f"'{name}', pg_catalog.to_json(ARRAY({query}))" for name, query in lists.items())
    rows = api.sql(project, f"SELECT pg_catalog.json_build_object({listed})::text AS committed")
    try:
        facts = json.loads(rows[0]["committed"])
        return Committed(*(frozenset(map(str, facts[name])) for name in lists))
    except (LookupError, TypeError, ValueError):
        raise ResponseInvalid("the SQL endpoint returned the ledger in a shape that can't be read") from None
