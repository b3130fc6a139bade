"""Databases and roles: the template, and one database with one role per project."""

from __future__ import annotations

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from mosaic_deploy.platform import control
from mosaic_deploy.platform.installation import Installation, has_sql_uuid_ossp, install_sql_uuid_ossp
from mosaic_deploy.platform.postgres import SUPERUSER

EXTENSIONS = ("vector", "uuid-ossp", "pgcrypto")
ROLE_CONNECTIONS = 40

Connection = psycopg.AsyncConnection[psycopg.rows.TupleRow]


class Server:
    """Where the PostgreSQL server is, and how its superuser enters."""

    def __init__(self, port: int, password: str) -> None:
        self.host = "127.0.0.1"
        self.port = port
        self._password = password

    def conninfo(self, database: str) -> str:
        return make_conninfo(
            host=self.host,
            port=self.port,
            dbname=database,
            user=SUPERUSER,
            password=self._password,
            application_name="mosaic-platform",
            connect_timeout=10,
            # The wire stays on this machine; asking for TLS first would cost a round trip.
            sslmode="disable",
            gssencmode="disable",
        )

    async def connect(self, database: str) -> Connection:
        """A superuser's connection, autocommitting."""
        return await psycopg.AsyncConnection.connect(self.conninfo(database), autocommit=True)


def database_name(project_id: str) -> str:
    """The project's database and its role have the same name: `pod-16f` -> `tenant_pod_16f`."""
    return "tenant_" + project_id.replace("-", "_")


async def prepare_server(server: Server, installation: Installation) -> None:
    """Make control and template database where they are missing. May be interrupted and run again."""
    async with await server.connect("postgres") as connection:
        present = await _database_names(connection)
        if control.DATABASE not in present:
            for shared in ("postgres", "template1"):
                await _close_to_public(connection, shared)
            await _create_database(connection, control.DATABASE, "template0")
        await _ensure_uuid_ossp(connection, installation)
        if control.TEMPLATE not in present:
            await _create_template(server, connection)


async def extension_versions(server: Server) -> dict[str, str]:
    async with await server.connect(control.TEMPLATE) as connection:
        cursor = await connection.execute(
            "SELECT extname, extversion FROM pg_extension WHERE extname <> 'plpgsql'"
        )
        return dict(await cursor.fetchall())


async def create_project_database(server: Server, project_id: str, password: str) -> None:
    """Role and database of a project. Each step is done only where it is missing, so a crash is resumed."""
    name = database_name(project_id)
    async with await server.connect("postgres") as connection:
        await _ensure_role(connection, name, password)
        if name not in await _database_names(connection):
            await _create_database(connection, name, control.TEMPLATE, owner=name)
        else:
            await _open_database(connection, name)


async def drop_project_database(server: Server, project_id: str) -> None:
    """Drop database and role, cutting off who is connected. Nothing happens where they don't exist."""
    name = sql.Identifier(database_name(project_id))
    async with await server.connect("postgres") as connection:
        await connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        await connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(name))


async def _create_template(server: Server, connection: Connection) -> None:
    """Built under another name, so that a template with its name is complete."""
    draft = control.TEMPLATE + "_new"
    await connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(draft)))
    await _create_database(connection, draft, "template0")
    async with await server.connect(draft) as inside:
        for extension in EXTENSIONS:
            await inside.execute(sql.SQL("CREATE EXTENSION {}").format(sql.Identifier(extension)))
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    await connection.execute(rename.format(sql.Identifier(draft), sql.Identifier(control.TEMPLATE)))


async def _ensure_uuid_ossp(connection: Connection, installation: Installation) -> None:
    if has_sql_uuid_ossp(installation):
        return
    try:
        await connection.execute("LOAD 'uuid-ossp'")
    except psycopg.Error:
        install_sql_uuid_ossp(installation)


async def _ensure_role(connection: Connection, name: str, password: str) -> None:
    cursor = await connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name])
    verb = "ALTER" if await cursor.fetchone() else "CREATE"
    statement = sql.SQL(
        "{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT {} PASSWORD {}"
    )
    role = sql.Identifier(name)
    limit = sql.Literal(ROLE_CONNECTIONS)
    await connection.execute(statement.format(sql.SQL(verb), role, limit, sql.Literal(password)))


async def _create_database(connection: Connection, name: str, template: str, owner: str = SUPERUSER) -> None:
    """Closed to everyone until the right of all roles to connect is taken away."""
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} ALLOW_CONNECTIONS false")
    identifiers = (sql.Identifier(part) for part in (name, template, owner))
    await connection.execute(statement.format(*identifiers))
    await _open_database(connection, name)


async def _open_database(connection: Connection, name: str) -> None:
    await _close_to_public(connection, name)
    await connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(name)))


async def _close_to_public(connection: Connection, name: str) -> None:
    await connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))


async def _database_names(connection: Connection) -> set[str]:
    cursor = await connection.execute("SELECT datname FROM pg_database")
    return {row[0] for row in await cursor.fetchall()}
