"""Reads the history tables of other migration tools."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mosaic_deploy.errors import HistoryImportRefused, NextAction, ResponseInvalid, SqlFailed
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.model.other_tools.tool import MigrationTool, OtherToolRow, RowState
from mosaic_deploy.model.other_tools.tools import TOOLS
from mosaic_deploy.sql.quote import identifier, literal

_NO_TABLE, _NO_COLUMN = "42P01", "42703"
_COMMAND = "mosaic-deploy migrate import"
_COMMON_NAMES = frozenset({"changes", "migrations"})
"""Names that say nothing outside the schema of their tool."""


@dataclass(frozen=True, slots=True)
class OtherTables:
    """The history tables of tools that a database has, as `schema.table` by tool; `public` is left out."""

    by_tool: Mapping[str, Sequence[str]]

    def beside(self, tool: MigrationTool, table: str | None) -> dict[str, Sequence[str]]:
        """The tables that aren't the tool's own, by table: the tools that keep their history in a table of this name."""
        found: dict[str, list[str]] = {}
        own = {table or tool.table, *self.by_tool.get(tool.name, ())}
        for name, tables in self.by_tool.items():
            for each in tables:
                if each not in own:
                    found.setdefault(each, []).append(name)
        return {each: tuple(tools) for each, tools in found.items()}

    @property
    def imports(self) -> list[tuple[str, str, str]]:
        """Tool, table and the command that imports the tool's history from it."""
        found = ((TOOLS[name], each) for name, tables in self.by_tool.items() for each in tables)
        return [
            (tool.name, table, f"{_COMMAND} {tool.name}{'' if table == tool.table else f' --table {table}'}")
            for tool, table in found
        ]


def read_history_tables(api: Api, project: str) -> OtherTables:
    """Which tools' history tables the database has, by their usual names in any schema. One request."""
    names = sorted({tool.table.rpartition(".")[2] for tool in TOOLS.values()})
    listed = ", ".join(map(literal, names))
    query = (
        "SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_array(n.nspname, c.relname) "
        "ORDER BY n.nspname <> 'public', n.nspname, c.relname), '[]')::text AS tables FROM pg_catalog.pg_class c "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        f"WHERE c.relkind IN ('r', 'p') AND c.relname IN ({listed})"
    )
    found = api.sql(project, query)
    try:
        rows = [(str(schema), str(table)) for schema, table in json.loads(str(found[0]["tables"]))]
    except (ValueError, TypeError, KeyError, IndexError):
        raise ResponseInvalid("the SQL endpoint returned the tables in an unexpected format") from None
    tables = [name if schema == "public" else f"{schema}.{name}" for schema, name in rows]
    return OtherTables({tool.name: tuple(t for t in tables if tool in _owners(t)) for tool in TOOLS.values()})


def _owners(table: str) -> list[MigrationTool]:
    """The tools that usually have this table; if none has, those whose table has its name in another schema."""
    usual = [tool for tool in TOOLS.values() if tool.table == table]
    name = table.rpartition(".")[2]
    if usual or name in _COMMON_NAMES:
        return usual
    return [tool for tool in TOOLS.values() if tool.table.rpartition(".")[2] == name]


def read_other_tool_history(
    api: Api, project: str, tool: MigrationTool, table: str | None, tables: OtherTables
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
        raise _import_refused(error, tool, name, tables) from error
    return _parse_rows(found[0].get("history") if found else None)


def _import_refused(
    error: SqlFailed, tool: MigrationTool, name: str, tables: OtherTables
) -> HistoryImportRefused | SqlFailed:
    if error.sqlstate == _NO_TABLE or f'relation "{name}" does not exist' in error.message:
        return HistoryImportRefused(
            f"this database has no table {name}, where {tool.name} keeps its history",
            hint="if the table has another name, pass --table schema.table",
            next_actions=_other_imports(tool, name, tables),
        )
    if error.sqlstate == _NO_COLUMN:
        return HistoryImportRefused(
            f"{name} isn't the history table of {tool.name}: {error.message}",
            hint="check that the tool and --table are right",
            next_actions=_other_imports(tool, name, tables),
        )
    return error


def _other_imports(tool: MigrationTool, name: str, tables: OtherTables) -> list[NextAction]:
    """Commands for the tables that are there: the tool's own in another schema, and those of other tools."""
    own = tables.by_tool.get(tool.name, ())
    return [
        NextAction(f"import {other}'s history from {table}", command)
        for other, table, command in sorted(tables.imports, key=lambda each: each[0] != tool.name)
        if table != name and (other == tool.name or table not in own)
    ]


def _parse_rows(text: object) -> tuple[OtherToolRow, ...]:
    try:
        rows = json.loads(text) if isinstance(text, str) else text
        return tuple(
            OtherToolRow(
                row["version"] or "",
                row["name"] or "",
                RowState(row["state"]),
                row.get("checksum") or "",
                row.get("part") or "",
            )
            for row in rows  # type: ignore[union-attr]
        )
    except (ValueError, TypeError, KeyError):
        raise ResponseInvalid("the SQL endpoint returned the history in an unexpected format") from None
