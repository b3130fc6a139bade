"""The control database: accounts, projects, file records, emails and tickets, with its migrations.

File contents are in the object store; each file record has the key of its object.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from mosaic_deploy.platform.postgres.server import was_closed_by_server

DATABASE = "mosaic_control"
TEMPLATE = "mosaic_template"
PREPARE_LOCK, _MIGRATE_LOCK, PROJECT_LOCK, WATCH_LOCK, CLAIM_LOCK = range(7700, 7705)
"""Advisory locks in this database."""

Connection = psycopg.AsyncConnection[DictRow]
Pool = AsyncConnectionPool[Connection]

# Append only: each entry is applied once, in order, in a transaction.
MIGRATIONS = (
    """
    CREATE TABLE account (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      name text NOT NULL,
      created_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE api_key (
      key_hash bytea PRIMARY KEY,
      account_id bigint NOT NULL REFERENCES account ON DELETE CASCADE,
      created_at timestamptz NOT NULL DEFAULT now(),
      expires_at timestamptz
    );
    CREATE TABLE project (
      id text PRIMARY KEY,
      account_id bigint NOT NULL REFERENCES account ON DELETE CASCADE,
      name text NOT NULL,
      status text NOT NULL CHECK (status IN ('provisioning', 'running')),
      database_password text NOT NULL,
      storage_limit bigint NOT NULL,
      auth_settings jsonb NOT NULL DEFAULT '{}',
      created_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE static_file (
      project_id text REFERENCES project ON DELETE CASCADE,
      filename text COLLATE "C",
      size bigint NOT NULL,
      content_type text NOT NULL,
      etag text NOT NULL,
      object text NOT NULL,
      updated_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (project_id, filename)
    );
    CREATE TABLE stored_file (LIKE static_file INCLUDING ALL);
    ALTER TABLE stored_file ADD FOREIGN KEY (project_id) REFERENCES project ON DELETE CASCADE;
    CREATE TABLE mail (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      project_id text NOT NULL REFERENCES project ON DELETE CASCADE,
      sender text NOT NULL,
      recipient text NOT NULL,
      subject text NOT NULL,
      text_body text NOT NULL,
      html_body text NOT NULL,
      message bytea NOT NULL,
      link text NOT NULL,
      created_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX ON mail (project_id, id);
    CREATE TABLE mail_count (
      project_id text NOT NULL REFERENCES project ON DELETE CASCADE,
      sent_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX ON mail_count (project_id, sent_at);
    CREATE TABLE sign_in_token (
      token_hash bytea PRIMARY KEY,
      project_id text NOT NULL REFERENCES project ON DELETE CASCADE,
      email text NOT NULL,
      expires_at timestamptz NOT NULL,
      used_at timestamptz,
      created_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE ticket (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      account_id bigint NOT NULL REFERENCES account ON DELETE CASCADE,
      project_id text,
      subject text NOT NULL,
      message text NOT NULL,
      status text NOT NULL DEFAULT 'open',
      created_at timestamptz NOT NULL DEFAULT now()
    );
    """,
    """
    CREATE TABLE setting (name text PRIMARY KEY, value text NOT NULL);
    ALTER TABLE account ADD tier text NOT NULL DEFAULT 'free' CHECK (tier IN ('free', 'pro'));
    -- Null: what the account's tier has.
    ALTER TABLE project ALTER storage_limit DROP NOT NULL;
    UPDATE project SET storage_limit = NULL;
    ALTER TABLE project DROP CONSTRAINT project_status_check,
      ADD CONSTRAINT project_status_check CHECK (status IN ('provisioning', 'running', 'deleting'));
    CREATE INDEX ON project (created_at) WHERE status <> 'running';
    -- The object that the last put replaced.
    ALTER TABLE static_file ADD previous text;
    ALTER TABLE stored_file ADD previous text;
    CREATE TABLE loose_object (
      object text PRIMARY KEY,
      project_id text NOT NULL,
      size bigint NOT NULL,
      state text NOT NULL CHECK (state IN ('arriving', 'leaving')),
      touched_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX ON loose_object (touched_at);
    CREATE INDEX ON loose_object (project_id) WHERE state = 'arriving' AND size > 0;
    """,
    """
    CREATE TABLE page_link (token_hash bytea PRIMARY KEY, expires_at timestamptz NOT NULL);
    CREATE INDEX ON sign_in_token (project_id, expires_at);
    ALTER TABLE mail_count ADD id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
    """,
    """
    -- Bytes of the compressed copy behind the file's own in its object.
    ALTER TABLE static_file ADD packed bigint NOT NULL DEFAULT 0;
    ALTER TABLE stored_file ADD packed bigint NOT NULL DEFAULT 0;
    """,
    """
    ALTER TABLE api_key ADD replaced_at timestamptz;
    CREATE INDEX ON api_key (account_id);
    """,
    """
    -- The project's database can't be used until then; the year 9999: until it is smaller.
    ALTER TABLE project ADD suspended_until timestamptz, ADD suspended_for text;
    -- Emails count per address, too.
    ALTER TABLE mail_count ADD recipient text NOT NULL DEFAULT '';
    -- Upload URLs that were used, by their signature, with what was stored.
    CREATE TABLE used_upload (signature bytea PRIMARY KEY, etag text NOT NULL, expires_at timestamptz NOT NULL);
    CREATE INDEX ON used_upload (expires_at);
    -- Browser sessions of the dashboard.
    CREATE TABLE page_session (token_hash bytea PRIMARY KEY, expires_at timestamptz NOT NULL);
    """,
    """
    -- Written to the object store as well: see storage/store_claim.py.
    CREATE TABLE store_claim (token text PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now());
    -- A suspended account keeps its data, but nothing of it is served. A deleted one goes with its last project.
    ALTER TABLE account ADD suspended_at timestamptz, ADD deleted_at timestamptz;
    """,
    """
    CREATE INDEX ON ticket (account_id, created_at);
    """,
    """
    -- The project whose databases rehearsals use, one per account. No list shows it.
    ALTER TABLE project ADD hidden boolean NOT NULL DEFAULT false;
    CREATE UNIQUE INDEX ON project (account_id) WHERE hidden;
    """,
    """
    -- On a served platform, the API key that the browser signed in with.
    ALTER TABLE page_session ADD key_hash bytea;
    """,
)


async def migrate(conninfo: str) -> None:
    """Apply pending migrations. Safe to run in several processes at once: one migrates, the others wait."""
    connection = await psycopg.AsyncConnection.connect(conninfo)
    async with connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", [_MIGRATE_LOCK])
        await connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version int PRIMARY KEY)")
        row = await (
            await connection.execute("SELECT coalesce(max(version), 0) FROM schema_version")
        ).fetchone()
        applied: int = row[0] if row else 0
        for version, statements in enumerate(MIGRATIONS[applied:], start=applied + 1):
            await connection.execute(statements.encode())
            await connection.execute("INSERT INTO schema_version VALUES (%s)", [version])


def create_pool(conninfo: str) -> Pool:
    """The control database's pool, not opened yet. Connections are in autocommit mode and return rows as dicts."""
    return AsyncConnectionPool(
        conninfo,
        connection_class=Connection,
        kwargs={"row_factory": dict_row, "autocommit": True},
        min_size=1,
        max_size=10,
        max_idle=60,
        timeout=20,
        check=_check_alive,
        # Give up early, because the pool's retry delay grows to minutes; the next request connects again.
        reconnect_timeout=2,
        open=False,
    )


async def _check_alive(connection: Connection) -> None:
    """Raises OperationalError for a dead connection, without a round trip to the server."""
    if was_closed_by_server(connection):
        # The pool would otherwise consider it usable and hand it out again.
        await connection.close()
        raise psycopg.OperationalError("the server closed this connection")


async def fetch(
    pool: Pool, query: str | sql.Composed, parameters: dict[str, Any] | None = None
) -> list[DictRow]:
    """All rows of one statement, which runs in its own transaction."""
    async with pool.connection() as connection:
        return await fetch_rows(connection, query, parameters)


async def fetch_one(
    pool: Pool, query: str | sql.Composed, parameters: dict[str, Any] | None = None
) -> DictRow | None:
    found = await fetch(pool, query, parameters)
    return found[0] if found else None


async def fetch_rows(
    connection: Connection, query: str | sql.Composed, parameters: dict[str, Any] | None = None
) -> list[DictRow]:
    """All rows of one statement on the caller's connection; empty if the statement returns no rows."""
    statement = query.encode() if isinstance(query, str) else query
    cursor = await connection.execute(statement, parameters)
    return await cursor.fetchall() if cursor.description else []
