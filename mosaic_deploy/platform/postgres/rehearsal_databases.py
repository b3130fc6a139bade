"""Databases of rehearsals, and the bases that they are copied from.

A base is named after the digest that its builder gives it. It is built in a rehearsal's database and becomes a base by
being renamed, so there is no incomplete one, and nobody connects to it afterwards. Copying one takes PostgreSQL most of the
time of a rehearsal, so a spare copy is made in advance: the next rehearsal renames it.

Files of any repository are rehearsed, all with one role, which owns the databases of running rehearsals. What they are copied
from is the platform's own: the role could drop it otherwise, or give it settings that all later rehearsals would have.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Sequence
from functools import partial

from psycopg import sql

from mosaic_deploy.platform.postgres.clones import (
    close_and_rename,
    copy_database,
    database_names,
    drop_copies,
    existing_databases,
    use_copy,
)
from mosaic_deploy.platform.postgres.control_database import Pool
from mosaic_deploy.platform.postgres.databases import (
    database_name,
    limit_role,
    retry_without_sessions,
    revoke_public_access,
)
from mosaic_deploy.platform.postgres.server import Connection, Server

MAX_BASES = 16
MAX_SPARES = 4
MAX_SPARE_BYTES = 256 * 1024**2
"""Of a base that has a spare copy: what nobody may ever use takes at most a gigabyte."""
_REHEARSAL = re.compile(r"tenant_\w+_rehearsal_([0-9a-f]+)")
_DIGEST_DIGITS = 32
_BEYOND_NEWEST = "SELECT datname FROM pg_database WHERE starts_with(datname, %s) ORDER BY oid DESC OFFSET %s"
# Also settings for one database, which a role may make for any of them.
_FORGET_SETTINGS = (
    "DELETE FROM pg_db_role_setting WHERE setrole = (SELECT oid FROM pg_roles WHERE rolname = %s)"
)


def rehearsal_database(project_id: str, name: str) -> str:
    return f"{database_name(project_id)}_rehearsal_{name}"


def _base_database(project_id: str, digest: str) -> str:
    return f"{database_name(project_id)}_base_{digest[:_DIGEST_DIGITS]}"


def _spare_database(project_id: str, digest: str) -> str:
    return f"{database_name(project_id)}_spare_{digest[:_DIGEST_DIGITS]}"


async def create(server: Server, project_id: str, name: str, bases: Sequence[str]) -> tuple[str | None, str]:
    """Create a rehearsal's database as a copy of the first of `bases` that exists. Returns that and PostgreSQL's version.

    Without one it is a copy of the project's own database. The caller holds the project's lock.
    """
    owner = database_name(project_id)
    names = {_base_database(project_id, digest): digest for digest in bases}
    async with await server.connect(server.maintenance) as connection:
        existing = await existing_databases(connection, list(names))
        source = next((each for each in names if each in existing), owner)
        await retry_without_sessions(server, project_id, partial(_take_back, connection, owner))
        copy, base = rehearsal_database(project_id, name), names.get(source)
        spare = _spare_database(project_id, base or "")
        if base and await existing_databases(connection, (spare,)):
            await use_copy(connection, source, spare, copy, owner=owner)
        else:
            await copy_database(server, connection, source, copy, owner=owner)
        row = await (await connection.execute("SHOW server_version")).fetchone()
        return base, str(row[0] if row else "")


async def prepare_spare(server: Server, project_id: str, digest: str) -> None:
    """Copy the base of this digest in advance, unless it has a spare copy or is too large, and give up the oldest spares.

    PostgreSQL adds a database to its list when it is complete, so there is no half-made spare. The caller holds the project's
    lock, so a rehearsal that needs the copy waits for the rest of it, and no base is given up meanwhile.
    """
    base, spare = _base_database(project_id, digest), _spare_database(project_id, digest)
    query = (
        "SELECT 1 FROM pg_database WHERE datname = %s AND pg_database_size(oid) <= %s"
        " AND NOT EXISTS (SELECT FROM pg_database WHERE datname = %s)"
    )
    async with await server.connect(server.maintenance) as connection:
        if await (await connection.execute(query, [base, MAX_SPARE_BYTES, spare])).fetchone():
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} ALLOW_CONNECTIONS false")
            await connection.execute(statement.format(sql.Identifier(spare), sql.Identifier(base)))
            await revoke_public_access(connection, spare)
            found = await connection.execute(_BEYOND_NEWEST, [_spare_database(project_id, ""), MAX_SPARES])
            await _give_up(server, connection, project_id, [old for (old,) in await found.fetchall()])


async def _give_up(server: Server, connection: Connection, project_id: str, names: Sequence[str]) -> None:
    """Those that exist are dropped later, as any rehearsal's database that isn't in use."""
    for name in names:
        await close_and_rename(server, connection, name, rehearsal_database(project_id, secrets.token_hex(8)))


async def _take_back(connection: Connection, owner: str) -> None:
    """What a rehearsal has set for the role doesn't reach the next one, and the project's own database isn't the role's."""
    async with connection.transaction():
        await connection.execute("SET LOCAL lock_timeout = '2s'")
        await connection.execute(_FORGET_SETTINGS, [owner])
        await limit_role(connection, sql.Identifier(owner))
        await _own(connection, owner)


async def _own(connection: Connection, database: str) -> None:
    """Make the platform the database's owner."""
    statement = sql.SQL("ALTER DATABASE {} OWNER TO CURRENT_USER")
    await connection.execute(statement.format(sql.Identifier(database)))


async def keep(server: Server, project_id: str, name: str, digest: str) -> None:
    """Make the rehearsal's database the base of this digest, unless there is one, and give up the oldest bases and their spares.

    The caller holds the project's lock.
    """
    base, prefix = _base_database(project_id, digest), _base_database(project_id, "")
    async with await server.connect(server.maintenance) as connection:
        built = rehearsal_database(project_id, name)
        if not await existing_databases(connection, (base,)) and await existing_databases(
            connection, (built,)
        ):
            await _own(connection, built)
            await close_and_rename(server, connection, built, base)
        found = await connection.execute(_BEYOND_NEWEST, [prefix, MAX_BASES])
        for (old,) in await found.fetchall():
            # The spare first: after a crash in between, no later base of this digest has one of another.
            spare = _spare_database(project_id, old.removeprefix(prefix))
            await _give_up(server, connection, project_id, (spare, old))


async def drop_all_but(server: Server, in_use: Collection[str], pool: Pool) -> None:
    """Drop the databases of rehearsals that aren't in `in_use`, which may grow meanwhile.

    Done in the background, because each drop makes PostgreSQL write a checkpoint.
    """
    found = [_REHEARSAL.fullmatch(name) for name in await database_names(pool)]
    await drop_copies(server, [each.group() for each in found if each and each.group(1) not in in_use])


async def grown_beyond(server: Server, project_id: str, names: Collection[str], limit: int) -> list[str]:
    """The names of those rehearsals whose databases have more than `limit` bytes."""
    databases = {rehearsal_database(project_id, name): name for name in names}
    query = "SELECT datname FROM pg_database WHERE datname = ANY(%s) AND pg_database_size(oid) > %s"
    async with await server.connect(server.maintenance) as connection:
        rows = await (await connection.execute(query, [list(databases), limit])).fetchall()
        return [databases[database] for (database,) in rows]
