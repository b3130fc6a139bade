"""Where a PostgreSQL server is, and how the platform and the projects enter it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.postgres.cluster import SUPERUSER

Connection = psycopg.AsyncConnection[psycopg.rows.TupleRow]

_EXAMPLE = "postgresql://admin:password@db.example.com:5432/postgres"


class Server:
    """A server, embedded or somebody's cluster. `maintenance` is the database that is always there.

    `parameters` are libpq's, with host, user and password of a role that may create databases and roles.
    """

    def __init__(self, parameters: Mapping[str, str], *, public_host: str = "") -> None:
        self._parameters = {"application_name": "mosaic-platform", "connect_timeout": "10", **parameters}
        self.maintenance = self._parameters.pop("dbname", "") or "postgres"
        host, port = parameters["host"], parameters.get("port") or "5432"
        if public_host:
            host, _, named = public_host.rpartition(":") if _has_port(public_host) else (public_host, "", "")
            port = named or "5432"
        self.host = host
        self._ports = port
        self.port = int(port.partition(",")[0] or 5432)

    @classmethod
    def embedded(cls, port: int, password: str) -> Server:
        return cls(
            {
                "host": "127.0.0.1",
                "port": str(port),
                "user": SUPERUSER,
                "password": password,
                # The wire stays on this machine; asking for TLS first would cost a round trip.
                "sslmode": "disable",
                "gssencmode": "disable",
            }
        )

    @classmethod
    def from_url(cls, url: str, *, public_host: str = "") -> Server:
        """The server of a `--database-url`. `public_host` is HOST[:PORT] as the projects' own clients reach it."""
        try:
            given = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
        except psycopg.Error as error:
            raise ProcessFault(
                "database_url_invalid", f"the database URL can't be read: {error}".strip(), f"e.g. {_EXAMPLE}"
            ) from error
        if given.get("host", "/").startswith("/"):
            raise ProcessFault(
                "database_url_invalid",
                "the database URL names no host; projects are reached over TCP",
                f"e.g. {_EXAMPLE}",
            )
        return cls(given, public_host=public_host)

    def conninfo(self, database: str) -> str:
        return make_conninfo(**{**self._parameters, "dbname": database})

    def project_conninfo(self, name: str, password: str, **more: str) -> str:
        """For the role and database `name` of a project; with TLS where the platform itself uses it."""
        own = {"dbname": name, "user": name, "password": password, **more}
        return make_conninfo(**{**self._parameters, **own})

    def project_url(self, name: str, password: str, database: str = "") -> str:
        """What a project's own clients connect with: to the database `name`, or another one of that role's."""
        hosts, ports = self.host.split(","), self._ports.split(",")
        if len(ports) < len(hosts):
            ports = ports[:1] * len(hosts)
        places = [
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            for host, port in zip(hosts, ports, strict=False)
        ]
        url_options = ("sslmode", "target_session_attrs")
        kept = {key: self._parameters[key] for key in url_options if key in self._parameters}
        query = "&".join(f"{key}={quote(value)}" for key, value in kept.items() if value != "disable")
        return f"postgresql://{name}:{password}@{','.join(places)}/{database or name}" + (
            f"?{query}" if query else ""
        )

    async def connect(self, database: str) -> Connection:
        """A connection of the platform's own role, autocommitting."""
        return await psycopg.AsyncConnection.connect(self.conninfo(database), autocommit=True)


def _has_port(address: str) -> bool:
    return address.rpartition(":")[2].isdecimal() and not address.endswith("]")
