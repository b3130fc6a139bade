"""Reading another tool's history table, with one call."""

from __future__ import annotations

import json

from mosaic_deploy.errors import AdoptionRefused, ResponseInvalid, SqlFailed
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.model.other_tools import HistoryState, MigrationTool, OtherToolRow
from mosaic_deploy.sql.quote import identifier

_NO_TABLE, _NO_COLUMN = "42P01", "42703"


def read_other_tool_history(
    api: Api, project: str, tool: MigrationTool, table: str | None
) -> tuple[OtherToolRow, ...]:
    """The tool's rows in their order. `table` is where it isn't in its usual place, as `schema.table`.

    Raises AdoptionRefused where there is no such table, or it isn't the tool's. Writes nothing.
    """
    name = table or tool.table
    quoted = ".".join(identifier(part) for part in name.split("."))
    query = (
        f"SELECT COALESCE(pg_catalog.json_agg(r), '[]')::text AS history FROM "
        f"(SELECT {tool.columns} FROM {quoted} ORDER BY {tool.order}) r"
    )
    try:
        found = api.sql(project, query)
    except SqlFailed as error:
        raise _import_refused(error, tool, name) from error
    return _parse_rows(found[0].get("history") if found else None)


def _import_refused(error: SqlFailed, tool: MigrationTool, name: str) -> AdoptionRefused | SqlFailed:
    if error.sqlstate == _NO_TABLE or f'relation "{name}" does not exist' in error.message:
        hint = "if it has another name, say so: --table schema.table"
        return AdoptionRefused(f"this database has no {name}: {tool.name} keeps its history there", hint=hint)
    if error.sqlstate == _NO_COLUMN:
        hint = "is it another tool's?"
        return AdoptionRefused(f"{name} isn't {tool.name}'s history: {error.message}", hint=hint)
    return error


def _parse_rows(text: object) -> tuple[OtherToolRow, ...]:
    try:
        rows = json.loads(text) if isinstance(text, str) else text
        # Flyway's row for a schema it has created is about no migration.
        kept = [row for row in rows if row["state"] != "schema"]  # type: ignore[union-attr]
        return tuple(
            OtherToolRow(row["version"] or "", row["name"] or "", HistoryState(row["state"])) for row in kept
        )
    except (ValueError, TypeError, KeyError):
        raise ResponseInvalid("the SQL endpoint returned the history in a shape that can't be read") from None
