"""Migration histories of other tools: where they are, and how to read them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class HistoryState(StrEnum):
    APPLIED = "applied"
    FAILED = "failed"
    """Failed, and not resolved since."""
    ROLLED_BACK = "undone"
    """Cancels an earlier row of the same version."""
    BASELINE = "baseline"
    """Everything up to this version counts as applied."""
    REPEATABLE = "repeatable"
    """Has no version; the tool runs it again after every change."""


@dataclass(frozen=True, slots=True)
class MigrationTool:
    """A tool's history table, and the SQL to read it.

    `columns` selects `version`, `name`, `state` and, if the tool has one, `checksum`. `cumulative`: the tool stores only the newest version. `revisions`:
    its versions have no order and occur anywhere in the file name.
    """

    name: str
    table: str
    columns: str
    order: str
    cumulative: bool = False
    revisions: bool = False


@dataclass(frozen=True, slots=True)
class OtherToolRow:
    """A row of a tool's history. `name` is empty if the tool keeps none; `checksum` is text of the tool's own kind."""

    version: str
    name: str
    state: HistoryState
    checksum: str = ""


_APPLIED = "'applied' AS state"
TOOLS = {
    tool.name: tool
    for tool in (
        MigrationTool("dbmate", "schema_migrations", f"version::text, '' AS name, {_APPLIED}", "version"),
        MigrationTool(
            "golang-migrate",
            "schema_migrations",
            "version::text, '' AS name, CASE WHEN dirty THEN 'failed' ELSE 'applied' END AS state",
            "version",
            cumulative=True,
        ),
        MigrationTool(
            "flyway",
            "flyway_schema_history",
            "version::text, script::text AS name, checksum::text, CASE WHEN type = 'SCHEMA' THEN 'schema' "
            "WHEN NOT success THEN 'failed' WHEN version IS NULL THEN 'repeatable' "
            "WHEN type LIKE '%BASELINE%' THEN 'baseline' "
            "WHEN type LIKE 'UNDO%' OR type = 'DELETE' THEN 'undone' ELSE 'applied' END AS state",
            "installed_rank",
        ),
        MigrationTool(
            "supabase",
            "supabase_migrations.schema_migrations",
            # Older versions of the table have no column `name`.
            f"version::text, COALESCE(pg_catalog.to_jsonb(h)->>'name', '') AS name, {_APPLIED}",
            "version",
        ),
        MigrationTool(
            "prisma",
            "_prisma_migrations",
            "migration_name::text AS version, migration_name::text AS name, checksum::text, "
            "CASE WHEN rolled_back_at IS NOT NULL THEN 'undone' WHEN finished_at IS NULL THEN 'failed' "
            "ELSE 'applied' END AS state",
            "started_at",
        ),
        MigrationTool(
            "alembic",
            "alembic_version",
            f"version_num::text AS version, '' AS name, {_APPLIED}",
            "version_num",
            cumulative=True,
            revisions=True,
        ),
    )
}
"""Tools by their names in `migrate import`."""
