"""Databases of rehearsals, and the bases that they are copied from.

A base is named after the digest that its builder gives it. It is built in a rehearsal's database and becomes a base by
being renamed, so there is no incomplete one, and nobody connects to it afterwards.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Sequence

import psycopg
from psycopg import sql

from mosaic_deploy.platform.postgres.clones import close_and_rename, copy_database, existing_databases
from mosaic_deploy.platform.postgres.databases import database_name, limit_role
from mosaic_deploy.platform.postgres.server import Server

MAX_BASES = 16
_REHEARSAL = re.compile(r"tenant_\w+_rehearsal_([0-9a-f]+)")
_DIGEST_DIGITS = 32


def rehearsal_database(project_id: str, name: str) -> str:
    return f"{database_name(project_id)}_rehearsal_{name}"


def _base_database(project_id: str, digest: str) -> str:
    return f"{database_name(project_id)}_base_{digest[:_DIGEST_DIGITS]}"


async def create(server: Server, project_id: str, name: str, bases: Sequence[str]) -> tuple[str | None, str]:
    """Create a rehearsal's database as a copy of the first of `bases` that exists. Returns that and PostgreSQL's version.

    Without one it is a copy of the project's own database. The caller holds the project's lock.
    """
    owner = database_name(project_id)
    names = {_base_database(project_id, digest): digest for digest in bases}
    async with await server.connect(server.maintenance) as connection:
        existing = await existing_databases(connection, list(names))
        source = next((each for each in names if each in existing), owner)
        # All rehearsals share the role; what one of them set may not change what the next one does.
        await connection.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(sql.Identifier(owner)))
        await limit_role(connection, sql.Identifier(owner))
        copy = rehearsal_database(project_id, name)
        await copy_database(server, connection, source, copy, owner=owner)
        row = await (await connection.execute("SHOW server_version")).fetchone()
        return names.get(source), str(row[0] if row else "")


async def keep(server: Server, project_id: str, name: str, digest: str) -> None:
    """Make the rehearsal's database the base of this digest, unless there is one, and give up the oldest bases.

    The caller holds the project's lock.
    """
    base, prefix = _base_database(project_id, digest), _base_database(project_id, "")
    async with await server.connect(server.maintenance) as connection:
        if not await existing_databases(connection, (base,)):
            await close_and_rename(server, connection, rehearsal_database(project_id, name), base)
        query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s) ORDER BY oid DESC OFFSET %s"
        oldest = await (await connection.execute(query, [prefix, MAX_BASES])).fetchall()
        for (old,) in oldest:
            # Dropped later, as any rehearsal's database that isn't in use.
            unused = rehearsal_database(project_id, secrets.token_hex(8))
            await close_and_rename(server, connection, old, unused)


async def drop_all_but(server: Server, in_use: Collection[str]) -> None:
    """Drop the databases of rehearsals that aren't in `in_use`, which may grow meanwhile.

    Done in the background, because each drop makes PostgreSQL write a checkpoint.
    """
    async with await server.connect(server.maintenance) as connection:
        names = await (await connection.execute("SELECT datname FROM pg_database")).fetchall()
        for (database,) in names:
            found = _REHEARSAL.fullmatch(database)
            if found and found.group(1) not in in_use:
                statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
                try:
                    await connection.execute(statement.format(sql.Identifier(database)))
                except psycopg.errors.ObjectInUse:
                    # The next call tries it again.
                    continue
