"""Reads the history table of another migration tool, with one request."""

from __future__ import annotations

import json

from mosaic_deploy.errors import HistoryImportRefused, ResponseInvalid, SqlFailed
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.model.migration_history import HistoryState, MigrationTool, OtherToolRow
from mosaic_deploy.sql.quote import identifier

_NO_TABLE, _NO_COLUMN = "42P01", "42703"


def read_other_tool_history(
    api: Api, project: str, tool: MigrationTool, table: str | None
) -> tuple[OtherToolRow, ...]:
    """The tool's rows in its order. `table` (`schema.table`) replaces the tool's default table.

    Reads only. Raises HistoryImportRefused if the table doesn't exist or isn't the tool's.
    """
    name = table or tool.table
    quoted = ".".join(identifier(part) for part in name.split("."))
    query = (
        f"SELECT COALESCE(pg_catalog.json_agg(r), '[]')::text AS history FROM "
        f"(SELECT {tool.columns} FROM {quoted} h ORDER BY {tool.order}) r"
    )
    try:
        found = api.sql(project, query)
    except SqlFailed as error:
        raise _import_refused(error, tool, name) from error
    return _parse_rows(found[0].get("history") if found else None)


def _import_refused(error: SqlFailed, tool: MigrationTool, name: str) -> HistoryImportRefused | SqlFailed:
    if error.sqlstate == _NO_TABLE or f'relation "{name}" does not exist' in error.message:
        hint = "if the table has another name, pass --table schema.table"
        return HistoryImportRefused(
            f"this database has no table {name}, where {tool.name} keeps its history", hint=hint
        )
    if error.sqlstate == _NO_COLUMN:
        hint = "check that the tool and --table are right"
        return HistoryImportRefused(
            f"{name} isn't the history table of {tool.name}: {error.message}", hint=hint
        )
    return error


def _parse_rows(text: object) -> tuple[OtherToolRow, ...]:
    try:
        rows = json.loads(text) if isinstance(text, str) else text
        # Flyway adds a row for a schema that it created; it isn't a migration.
        kept = [row for row in rows if row["state"] != "schema"]  # type: ignore[union-attr]
        return tuple(
            OtherToolRow(
                row["version"] or "", row["name"] or "", HistoryState(row["state"]), row.get("checksum") or ""
            )
            for row in kept
        )
    except (ValueError, TypeError, KeyError):
        raise ResponseInvalid("the SQL endpoint returned the history in an unexpected format") from None
