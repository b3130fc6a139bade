"""Finds the schemas of what a statement outside a transaction names without one."""

from __future__ import annotations

from mosaic_deploy.live.api.client import Api
from mosaic_deploy.sql.execution.qualified import QualifiedStep, names_to_qualify, qualified, schemas_query
from mosaic_deploy.sql.execution.split import StepSql


def qualify_names(api: Api, project: str, step: StepSql) -> QualifiedStep:
    """The step with schemas written out where the file's search_path decides them. Reads only; no request otherwise."""
    names = names_to_qualify(step)
    if not names:
        return QualifiedStep(step)
    rows = api.sql(project, schemas_query(step, names))
    found = {names[int(str(row["place"])) - 1]: row["schema"] and str(row["schema"]) for row in rows}
    return qualified(step, found)
