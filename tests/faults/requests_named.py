"""Names of requests that stay the same from run to run, so a fault can be aimed at one of them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from mosaic_deploy.sql.execution.own_session import RESTORE_OWN

_SQL = (
    (r"AS ledger FROM mosaic_deploy", "read tracking tables"),
    (r"UPDATE mosaic_deploy\.settings s", "open recorded schema"),
    (r"'digest', digest\.value, 'server'", "record schema"),
    (r"mosaic_install", "create tracking tables"),
    (r"INSERT INTO mosaic_deploy\.lease", "take lock"),
    (r"DELETE FROM mosaic_deploy\.lease", "record and release lock"),
    (r"UPDATE mosaic_deploy\.lease SET expires_at", "renew lock"),
    (r"mosaic_batch", "batch of steps"),
    (r"mosaic_claim", "claim a step"),
    (r"mosaic_guard", "plain step"),
    (r"mosaic_end|INSERT INTO mosaic_deploy\.migrations", "record a step"),
    (r"INSERT INTO mosaic_deploy\.objects", "mark files"),
    (r"INSERT INTO mosaic_deploy\.settings", "record settings"),
    (r"DELETE FROM mosaic_deploy\.objects", "remove rows"),
    (r"^WITH asked", "look up objects"),
)
"""The first pattern that is found in the text of the SQL names the request."""


@dataclass(frozen=True, order=True)
class Request:
    """The `number`-th request of this name in one run, counted from 1."""

    name: str
    number: int = 1

    @property
    def is_statement(self) -> bool:
        """Whether it is a migration's own statement, sent outside a transaction, or a note before or after it."""
        return re.match(r"SQL (create \w+|drop|vacuum|call|claim|record a step)\b", self.name) is not None

    def __str__(self) -> str:
        return f"{self.name} #{self.number}"


def name_of(method: str, path: str, body: bytes) -> str:
    """For example `POST /files about.html`, `SQL take lock`. Without the project's ID."""
    path = path.partition("?")[0]
    if path.endswith("/sql"):
        return f"SQL {_sql_name(body)}"
    if path == "/v1/project":
        return f"{method} list of endpoints"
    path = re.sub(r"^/v1/project(?:/(?!projects$)[\w-]+(?=/))?|(?<=^/upload)/[\w-]+(?=/)", "", path)
    if method == "POST" and path != "/projects" and (filename := _fields(body).get("filename")):
        return f"{method} {path} {filename}"
    return f"{method} {path or '/'}"


def _sql_name(body: bytes) -> str:
    query = str(_fields(body).get("query", ""))
    if wrapped := _WRAPPED.search(query):
        query = wrapped.group(1).rstrip("; \n")
    for pattern, name in _SQL:
        if re.search(pattern, query):
            return name
    return " ".join(query.split())[:40].partition(" ; ")[0]


_WRAPPED = re.compile(
    rf"^DO \$mosaic_outside\$.*?mosaic_deploy\.migrations.*? END IF; (.*)\n;?{re.escape(RESTORE_OWN)}END\n\$mosaic_outside\$",
    re.DOTALL,
)
"""A CALL in our block."""


def _fields(body: bytes) -> dict[str, object]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
