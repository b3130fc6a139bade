"""How the platform and its projects connect to a PostgreSQL server."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.postgres.server_process import SUPERUSER

Connection = psycopg.AsyncConnection[psycopg.rows.TupleRow]

PROJECT_OPERATIONS = 2
"""Projects that one worker creates or deletes at the same time."""
MAINTENANCE_CONNECTIONS = 3 * PROJECT_OPERATIONS + 3
"""Connections that a worker makes besides its pools: three for each operation (its lock, its work, another database), two
for a repair, and one for the watch over projects."""
_EXAMPLE = "postgresql://admin:password@db.example.com:5432/postgres"


class Server:
    """An embedded or external server. `maintenance` is a database that always exists.

    `parameters` are libpq's, with host, user and password of a role that may create databases and roles.
    """

    def __init__(self, parameters: Mapping[str, str], *, public_host: str = "") -> None:
        self._parameters = {"application_name": "mosaic-platform", "connect_timeout": "10", **parameters}
        self.maintenance = self._parameters.pop("dbname", "") or "postgres"
        host, port = parameters["host"], parameters.get("port") or "5432"
        if public_host:
            host, _, public_port = (
                public_host.rpartition(":") if _has_port(public_host) else (public_host, "", "")
            )
            port = public_port or "5432"
        self.host = host
        self._ports = port
        self.port = int(port.partition(",")[0] or 5432)
        # They bound the connections besides the pools: MAINTENANCE_CONNECTIONS.
        self.project_operations = asyncio.Semaphore(PROJECT_OPERATIONS)
        self.repairs = asyncio.Semaphore(1)
        self.copies_files = False
        """Whether new databases are copied file by file. It takes half the work of a copy through the WAL, but makes the
        server write a checkpoint, which is cheap only on a small one of our own."""

    @classmethod
    def embedded(cls, port: int, password: str) -> Server:
        server = cls(
            {
                "host": "127.0.0.1",
                "port": str(port),
                "user": SUPERUSER,
                "password": password,
                # Connections stay on this machine; negotiating TLS would only cost a round trip.
                "sslmode": "disable",
                "gssencmode": "disable",
            }
        )
        server.copies_files = True
        return server

    @classmethod
    def from_url(cls, url: str, *, public_host: str = "") -> Server:
        """The server at a `--database-url`. `public_host` is the HOST[:PORT] that projects' clients connect to.

        Raises ProcessFault if the URL isn't valid.
        """
        try:
            given = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
        except psycopg.Error as error:
            raise ProcessFault(
                "database_url_invalid", f"invalid database URL: {error}".strip(), f"for example: {_EXAMPLE}"
            ) from error
        if given.get("host", "/").startswith("/"):
            raise ProcessFault(
                "database_url_invalid",
                "the database URL has no host; projects connect over TCP",
                f"for example: {_EXAMPLE}",
            )
        return cls(given, public_host=public_host)

    def conninfo(self, database: str) -> str:
        return make_conninfo(**{**self._parameters, "dbname": database})

    def project_conninfo(self, name: str, password: str, **more: str) -> str:
        """For a project's role and database, both called `name`; with the platform's own TLS settings."""
        overrides = {"dbname": name, "user": name, "password": password, **more}
        return make_conninfo(**{**self._parameters, **overrides})

    def project_url(self, name: str, password: str, database: str = "") -> str:
        """The URL for a project's own clients: role `name`, and `database`, by default also `name`."""
        hosts, ports = self.host.split(","), self._ports.split(",")
        if len(ports) < len(hosts):
            ports = ports[:1] * len(hosts)
        addresses = [
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            for host, port in zip(hosts, ports, strict=False)
        ]
        url_options = ("sslmode", "target_session_attrs")
        options = {key: self._parameters[key] for key in url_options if key in self._parameters}
        query = "&".join(f"{key}={quote(value)}" for key, value in options.items() if value != "disable")
        return f"postgresql://{name}:{password}@{','.join(addresses)}/{database or name}" + (
            f"?{query}" if query else ""
        )

    async def connect(self, database: str, **settings: int | str) -> Connection:
        """A connection of the platform's own role, in autocommit mode, with these settings of PostgreSQL.

        Only PostgreSQL's own names are found without their schema: where projects' roles may connect, and on a server that
        was upgraded from version 14 even create functions, one of theirs would run with the platform's rights.
        """
        given = self._parameters.get("options", "")
        settings = {"search_path": "pg_catalog", **settings}
        options = " ".join([given, *(f"-c {name}={value}" for name, value in settings.items())]).strip()
        conninfo = make_conninfo(self.conninfo(database), options=options)
        return await psycopg.AsyncConnection.connect(conninfo, autocommit=True)


def was_closed_by_server(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Whether the server has closed an idle connection. Only then does it have something to read."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _has_port(address: str) -> bool:
    return address.rpartition(":")[2].isdecimal() and not address.endswith("]")
