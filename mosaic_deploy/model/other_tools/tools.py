"""The migration tools whose history `migrate import` reads. Sources: each tool's own statements."""

from __future__ import annotations

from mosaic_deploy.model.other_tools.checksums import (
    flyway_checksums,
    graphile_checksums,
    hex_checksums,
    prisma_checksums,
    supabase_checksums,
)
from mosaic_deploy.model.other_tools.liquibase import liquibase_changesets
from mosaic_deploy.model.other_tools.tool import MigrationTool, Naming

_APPLIED = "'applied' AS state"
_NUMBER_ONLY = f"version::text, '' AS name, {_APPLIED}"
_FLYWAY_STATE = """CASE WHEN type = 'SCHEMA' THEN 'ignored' WHEN NOT success THEN 'failed' WHEN version IS NULL THEN 'repeatable'
 WHEN type LIKE '%BASELINE%' THEN 'baseline' WHEN type LIKE 'UNDO%' OR type = 'DELETE' THEN 'undone' ELSE 'applied' END AS state"""
_PRISMA_STATE = """CASE WHEN rolled_back_at IS NOT NULL THEN 'ignored' WHEN finished_at IS NULL THEN 'failed'
 ELSE 'applied' END AS state"""
_SUPABASE_CHECKSUM = r"""(SELECT pg_catalog.md5(pg_catalog.regexp_replace(
 pg_catalog.string_agg(s.text, '' ORDER BY s.at), '[ \t\r\n\f\v;]+', '', 'g'))
 FROM pg_catalog.jsonb_array_elements_text(CASE pg_catalog.jsonb_typeof(pg_catalog.to_jsonb(h)->'statements') WHEN 'array'
 THEN pg_catalog.to_jsonb(h)->'statements' ELSE '[]' END) WITH ORDINALITY s(text, at))"""
"""As `supabase_checksums`; null if the row has no statements."""
TOOLS = {
    tool.name: tool
    for tool in (
        MigrationTool("dbmate", "schema_migrations", _NUMBER_ONLY, "version"),
        MigrationTool(
            "golang-migrate",
            "schema_migrations",
            # The version is -1 if the tool has undone the first migration.
            "version::text, '' AS name, CASE WHEN dirty THEN 'failed' WHEN version < 0 THEN 'ignored' "
            "ELSE 'applied' END AS state",
            "version",
            cumulative=True,
        ),
        MigrationTool(
            "flyway",
            "flyway_schema_history",
            f"version::text, script::text AS name, checksum::text, {_FLYWAY_STATE}",
            "installed_rank",
            Naming.FILE,
            checksums=flyway_checksums,
        ),
        MigrationTool(
            "supabase",
            "supabase_migrations.schema_migrations",
            # Older versions of the table have no columns `name` and `statements`.
            f"version::text, COALESCE(pg_catalog.to_jsonb(h)->>'name', '') AS name, {_SUPABASE_CHECKSUM} AS checksum, {_APPLIED}",
            "version",
            checksums=supabase_checksums,
        ),
        MigrationTool(
            "prisma",
            "_prisma_migrations",
            f"'' AS version, migration_name::text AS name, checksum::text, {_PRISMA_STATE}",
            "started_at",
            Naming.FILE,
            checksums=prisma_checksums,
        ),
        MigrationTool(
            "drizzle",
            "drizzle.__drizzle_migrations",
            # From version 1 the table has a column `name`.
            f"created_at::text AS version, COALESCE(pg_catalog.to_jsonb(h)->>'name', '') AS name, hash AS checksum, {_APPLIED}",
            "id",
            Naming.TIME,
            checksums=hex_checksums("sha256"),
        ),
        MigrationTool(
            "sqlx",
            "_sqlx_migrations",
            "version::text, description AS name, pg_catalog.encode(checksum, 'hex') AS checksum, "
            "CASE WHEN success THEN 'applied' ELSE 'failed' END AS state",
            "version",
            checksums=hex_checksums("sha384"),
        ),
        MigrationTool(
            "goose",
            "goose_db_version",
            # Version 0 is the row with which the tool begins. Older versions add a row when they undo one.
            "version_id::text AS version, '' AS name, CASE WHEN version_id = 0 THEN 'ignored' "
            "WHEN is_applied THEN 'applied' ELSE 'undone' END AS state",
            "id",
        ),
        MigrationTool(
            "sql-migrate",
            "gorp_migrations",
            f"'' AS version, id::text AS name, {_APPLIED}",
            "applied_at, id",
            Naming.FILE,
        ),
        MigrationTool(
            "node-pg-migrate",
            "pgmigrations",
            f"'' AS version, name::text AS name, {_APPLIED}",
            "run_on, id",
            Naming.FILE,
        ),
        MigrationTool(
            "graphile-migrate",
            "graphile_migrate.migrations",
            f"'' AS version, filename AS name, hash AS checksum, {_APPLIED}",
            "filename",
            Naming.FILE,
            checksums=graphile_checksums,
        ),
        MigrationTool(
            "sqitch",
            "sqitch.changes",
            f"'' AS version, change AS name, script_hash AS checksum, {_APPLIED}",
            "committed_at",
            checksums=hex_checksums("sha1"),
        ),
        MigrationTool(
            "liquibase",
            "databasechangelog",
            "'' AS version, filename::text AS name, author || ':' || id AS part, "
            # Of 4.22 and later. Those of older versions depend on more than the text.
            "CASE WHEN md5sum LIKE '9:%' THEN md5sum::text ELSE '' END AS checksum, "
            "CASE WHEN COALESCE(exectype, '') IN ('', 'EXECUTED', 'RERAN', 'MARK_RAN') THEN 'applied' "
            "ELSE 'failed' END AS state",
            "orderexecuted",
            Naming.FILE,
            parts=liquibase_changesets,
        ),
        MigrationTool("diesel", "__diesel_schema_migrations", _NUMBER_ONLY, "version"),
        MigrationTool(
            "tern",
            "schema_version",
            "version::text, '' AS name, CASE WHEN version = 0 THEN 'ignored' ELSE 'applied' END AS state",
            "version",
            cumulative=True,
        ),
        MigrationTool("rails", "schema_migrations", _NUMBER_ONLY, "version"),
        MigrationTool(
            "alembic",
            "alembic_version",
            f"version_num::text AS version, '' AS name, {_APPLIED}",
            "version_num",
            Naming.REVISION,
            cumulative=True,
        ),
        MigrationTool(
            "django",
            "django_migrations",
            f"'' AS version, app || '.' || name AS name, {_APPLIED}",
            "id",
            Naming.APP,
        ),
    )
}
"""Tools by their names in `migrate import`."""
OWN_TABLES = {
    "_sqlx_migrations": (
        "sqlx",
        "version bigint PRIMARY KEY, description text NOT NULL, installed_on timestamptz NOT NULL DEFAULT now(), "
        "success boolean NOT NULL, checksum bytea NOT NULL, execution_time bigint NOT NULL",
    ),
    "__diesel_schema_migrations": (
        "diesel",
        "version varchar(50) PRIMARY KEY NOT NULL, run_on timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP",
    ),
    "goose_db_version": (
        "goose",
        "id integer PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, version_id bigint NOT NULL, "
        "is_applied boolean NOT NULL, tstamp timestamp NOT NULL DEFAULT now()",
    ),
    "_prisma_migrations": (
        "prisma",
        "id varchar(36) PRIMARY KEY NOT NULL, checksum varchar(64) NOT NULL, finished_at timestamptz, "
        "migration_name varchar(255) NOT NULL, logs text, rolled_back_at timestamptz, "
        "started_at timestamptz NOT NULL DEFAULT now(), applied_steps_count integer NOT NULL DEFAULT 0",
    ),
}
"""History tables that migrations mention, with their tool and their columns, as it creates them."""
HISTORY_TABLES = frozenset(tool.table for tool in TOOLS.values()) | {
    "ar_internal_metadata",
    "databasechangeloglock",
    "graphile_migrate.*",
    "knex_migrations",
    "knex_migrations_lock",
    "sqitch.*",
    '"SequelizeMeta"',
}
"""The usual tables in which migration tools keep their history, as SQL names without `public.`; `*` for all of a schema."""
