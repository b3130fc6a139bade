"""The pre-installed extensions: created in the template database, owned by each project's role in its own.

PostgreSQL can't change an extension's owner directly, but REASSIGN OWNED can, for every owner except the superuser that
the cluster was made with. So a role that nobody logs in as owns them in the template.
"""

from __future__ import annotations

import contextlib
import logging

import psycopg
from psycopg import sql

from mosaic_deploy.platform.postgres.server import Connection, Server

EXTENSIONS = ("vector", "uuid-ossp", "pgcrypto")
_OWNER_NAME = "mosaic_extensions"
_OWNER = sql.Identifier(_OWNER_NAME)

log = logging.getLogger(__name__)


async def add_extensions(server: Server, database: str) -> None:
    """Create the extensions that the server offers and the template `database` lacks."""
    async with await server.connect(database) as inside:
        await _ensure_owner(inside)
        cursor = await inside.execute(
            "SELECT name, installed_version IS NOT NULL FROM pg_available_extensions WHERE name = ANY(%s)",
            [list(EXTENSIONS)],
        )
        installed: dict[str, bool] = dict(await cursor.fetchall())
        for extension in EXTENSIONS:
            if extension not in installed:
                log.warning(
                    "this PostgreSQL server doesn't offer the %s extension; projects won't have it", extension
                )
            elif not installed[extension]:
                await _create(inside, sql.Identifier(extension))


async def give_extensions(server: Server, database: str, role: str) -> None:
    """Make `role` the owner of the extensions in a database made from the template. Safe to repeat.

    The role can then comment on and drop them, as if it had created them. What they contain belongs to the superuser, as
    with every trusted extension: nobody can replace a function in C.
    """
    statement = sql.SQL("REASSIGN OWNED BY {} TO {}").format(_OWNER, sql.Identifier(role))
    try:
        async with await server.connect(database) as inside:
            await inside.execute(statement)
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedObject) as error:
        log.warning("the project's role doesn't own the pre-installed extensions: %s", error)


async def _ensure_owner(connection: Connection) -> None:
    """Create the owner role, and let it create trusted extensions in this database."""
    query = "SELECT 1 FROM pg_roles WHERE rolname = %s"
    if not await (await connection.execute(query, [_OWNER_NAME])).fetchone():
        # Another worker that starts at the same moment may create it first.
        with contextlib.suppress(psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
            async with connection.transaction():
                await connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(_OWNER))
    # A superuser needs no membership. Another role must be a member to act as the owner.
    with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
        async with connection.transaction():
            await connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(_OWNER))
    database = sql.Identifier(connection.info.dbname)
    await connection.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(database, _OWNER))


async def _create(connection: Connection, extension: sql.Identifier) -> None:
    """Owned by the owner role if the server trusts the extension, else by the platform's role."""
    create = sql.SQL("CREATE EXTENSION {} SCHEMA public").format(extension)
    try:
        async with connection.transaction():
            await connection.execute(sql.SQL("SET LOCAL ROLE {}").format(_OWNER))
            await connection.execute(create)
    except psycopg.errors.InsufficientPrivilege:
        await connection.execute(create)
