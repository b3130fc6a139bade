"""Settings of a served platform, and the state that all its workers share."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg_pool import PoolTimeout

from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.http.hosts import Hosts, domain_hosts
from mosaic_deploy.platform.machine.state_folder import PlatformState
from mosaic_deploy.platform.postgres import control_database, databases
from mosaic_deploy.platform.postgres.control_database import Pool
from mosaic_deploy.platform.postgres.server import Server
from mosaic_deploy.platform.projects.limits import Limits
from mosaic_deploy.platform.storage.object_store import ObjectStore, open_store
from mosaic_deploy.platform.storage.store_claim import StoreClaim

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClusterSettings:
    """The operator's options. Workers have no other local state: everything else is in the database and the store."""

    database_url: str
    store_url: str = ""
    base_domain: str = ""
    # HOST[:PORT] under which projects' clients reach the database, if it differs from database_url.
    database_host: str = ""
    host: str = "127.0.0.1"
    port: int = 8787
    workers: int = 1
    # To projects' databases, per worker.
    connections: int = 20
    limits: Limits = field(default_factory=Limits)
    stop_seconds: int = 25
    trusted_proxies: tuple[str, ...] = ()

    def server(self) -> Server:
        return Server.from_url(self.database_url, public_host=self.database_host)

    def store(self) -> ObjectStore:
        return open_store(self.store_url)

    def hosts(self) -> Hosts:
        return domain_hosts(self.base_domain)


async def prepare(cluster: ClusterSettings) -> None:
    """Checks domain, database and store, and migrates the control database. Workers may run this concurrently.

    Raises ProcessFault.
    """
    cluster.hosts()
    store = cluster.store()
    async with open_control_database(cluster) as pool:
        await store.check()
        await (await store_claim(cluster, pool, store)).acquire()


async def take_over_store(cluster: ClusterSettings) -> str:
    """Makes the store this database's; returns which installation used it before. Raises ProcessFault."""
    store = cluster.store()
    async with open_control_database(cluster) as pool:
        await store.check()
        return await (await store_claim(cluster, pool, store)).take_over()


async def store_claim(cluster: ClusterSettings, pool: Pool, store: ObjectStore) -> StoreClaim:
    return StoreClaim(pool, store, cluster.store_url, (await load_shared_state(pool)).home_id)


_NEEDED_RIGHTS = "the role in the URL needs CREATEDB and CREATEROLE"
_CHECK_URL = "check the URL's host, port, role, password and database, and that PostgreSQL is running there"


@asynccontextmanager
async def open_control_database(cluster: ClusterSettings) -> AsyncIterator[Pool]:
    """A pool for the control database, which is created and migrated first. Raises ProcessFault."""
    server = cluster.server()
    try:
        await databases.prepare_server(server, None)
        await control_database.migrate(server.conninfo(control_database.DATABASE))
    except psycopg.Error as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        # PostgreSQL's code is unknown if no connection was made.
        hint = _NEEDED_RIGHTS if error.sqlstate else _CHECK_URL
        raise ProcessFault("database_unusable", f"can't use the database server: {reason}", hint) from error
    try:
        async with control_database.create_pool(server.conninfo(control_database.DATABASE)) as pool:
            await _warn_of_prepared_transactions(pool)
            yield pool
    except PoolTimeout as error:
        raise ProcessFault("database_unusable", f"the control database didn't answer: {error}") from error


async def _warn_of_prepared_transactions(pool: Pool) -> None:
    for row in await control_database.fetch(pool, "SHOW max_prepared_transactions"):
        if row["max_prepared_transactions"] != "0":
            log.warning(
                "max_prepared_transactions isn't 0: projects can keep locks that no session's end releases;"
                " set it to 0"
            )


async def load_shared_state(pool: Pool) -> PlatformState:
    """The platform's ID and signing key, created by the first worker and the same for all."""
    generated = {
        "home_id": secrets.token_hex(8),
        "signing_key": secrets.token_hex(32),
    }
    for name, value in generated.items():
        await control_database.fetch(
            pool,
            "INSERT INTO setting (name, value) VALUES (%(name)s, %(value)s) ON CONFLICT DO NOTHING",
            {"name": name, "value": value},
        )
    rows = await control_database.fetch(
        pool, "SELECT name, value FROM setting WHERE name = ANY(%(names)s)", {"names": list(generated)}
    )
    shared = {row["name"]: row["value"] for row in rows}
    # A served platform looks keys up in the database. This random key belongs to no account.
    return PlatformState(
        home_id=shared["home_id"],
        signing_key=shared["signing_key"],
        api_key=secrets.token_urlsafe(32),
        postgres_password="",
        postgres_folder="",
    )
