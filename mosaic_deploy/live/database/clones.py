"""Databases beside those of projects, which the embedded platform makes for migration drafts and for rehearsals."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from mosaic_deploy.errors import DraftBlocked, NotFound, OperationUnknown, RequestRefused, ResponseInvalid
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.catalog.names import SET_SEARCH_PATH
from mosaic_deploy.live.ledger import tables as ledger_tables
from mosaic_deploy.sql.quote import literal

_CONFLICT = 409
_REHEARSALS = "/rehearsal"


@dataclass(frozen=True, slots=True)
class DraftStatus:
    """Whether apps use this draft's clone (`served`), or another draft `replaced` it."""

    served: bool
    replaced: bool
    database: str


@dataclass(frozen=True, slots=True)
class DraftClone:
    """The clone of one `dev`. `name` is random and known only to this run. Methods raise ApiError."""

    api: Api
    project: str
    name: str

    @property
    def clone_api(self) -> Api:
        """The API whose SQL goes to the clone in preparation."""
        return self.api.for_database(f"draft {self.name}")

    def create(self) -> None:
        """Makes a fresh clone; apps don't see it yet. Raises DraftBlocked while the database is in use."""
        with conflict_as_draft_blocked():
            self._post("clone")

    def serve(self) -> DraftStatus:
        """Shows the clone to apps. Raises DraftBlocked if another draft was served in the meantime."""
        with conflict_as_draft_blocked():
            return self._post("serve")

    def keep_alive(self) -> DraftStatus:
        """Keeps the draft alive: the platform drops one without a recent call."""
        return self._post("keep")

    def drop(self) -> DraftStatus:
        """Drops the clone; apps use the real database again."""
        return self._post("drop")

    def _post(self, action: str) -> DraftStatus:
        place = f"/dev/{quote(self.project, safe='')}/draft"
        payload = self.api.call_embedded("draft", "POST", place, {"step": action, "name": self.name})
        return DraftStatus(bool(payload["served"]), bool(payload["another"]), str(payload["database"]))


@contextmanager
def conflict_as_draft_blocked() -> Iterator[None]:
    """Turns the platform's HTTP 409 into DraftBlocked."""
    try:
        yield
    except RequestRefused as error:
        if error.status != _CONFLICT:
            raise
        message = error.message.partition(": ")[2].removesuffix(f" (HTTP {_CONFLICT})")
        raise DraftBlocked(message or error.message, hint="this is retried automatically") from None


@dataclass(frozen=True, slots=True)
class RehearsalDatabase:
    """A database to rehearse on, until `keep` or `drop`. Methods raise ApiError.

    `api` sends SQL to it, as that of `project`, whose role is `owner`. `base` is the digest of the base that it was copied
    from; None if it was new. `server` is PostgreSQL's version.
    """

    api: Api
    project: str
    owner: str
    name: str
    base: str | None
    server: str

    def keep(self, digest: str) -> None:
        """Makes it the base of this digest, which ends its use."""
        _update_rehearsal(self.api, "keep", self.name, base=digest)

    def drop(self, *, spare: bool = False) -> None:
        """Ends its use. If `spare`, the platform makes another copy of its base for the next rehearsal, after it has answered."""
        wanted = {"spare": self.base} if spare and self.base else {}
        _update_rehearsal(self.api, "drop", self.name, **wanted)


def open_rehearsal(api: Api, bases: Sequence[str]) -> RehearsalDatabase:
    """A new database on the embedded platform: a copy of the first of `bases` that exists there, or an empty one.

    Raises ApiError; OperationUnknown if the platform is older than rehearsals.
    """
    name = secrets.token_hex(8)
    found = _update_rehearsal(api, "open", name, bases=list(bases))
    base = found["base"]
    return RehearsalDatabase(
        api.for_database(f"rehearsal {name}"),
        str(found["project_id"]),
        str(found["owner"]),
        name,
        None if base is None else str(base),
        str(found["server_version"]).partition(" ")[0],
    )


def _update_rehearsal(api: Api, step: str, name: str, **fields: object) -> dict[str, object]:
    try:
        found = api.call_embedded("rehearsal", "POST", _REHEARSALS, {"step": step, "name": name, **fields})
    except NotFound as error:
        raise OperationUnknown(
            "the embedded platform is older than this mosaic-deploy and can't rehearse; restart it with "
            "`mosaic-deploy local stop`"
        ) from error
    if not isinstance(found, dict) or not {"project_id", "owner", "base", "server_version"} <= found.keys():
        raise ResponseInvalid("the embedded platform's response to a rehearsal has an unexpected format")
    return found


def hold_lease(api: Api, project: str, holder: str, token: str) -> None:
    """Takes the lease of a copy of a database for good: SQL can then run there as a deploy does, and deploys are refused."""
    api.sql(project, ledger_tables.install_sql())
    api.sql(
        project,
        "INSERT INTO mosaic_deploy.lease (holder, token, acquired_at, expires_at) "
        f"VALUES ({literal(holder)}, {literal(token)}, pg_catalog.clock_timestamp(), 'infinity') "
        "ON CONFLICT (one) DO UPDATE SET holder = EXCLUDED.holder, token = EXCLUDED.token, "
        "acquired_at = EXCLUDED.acquired_at, expires_at = EXCLUDED.expires_at",
    )


@dataclass(frozen=True, slots=True)
class LiveDatabase:
    """What a copy of the database must know about it.

    `versions`: its migrations in the order in which they were applied; `owner`: the role that owns the database; `server`:
    PostgreSQL's version, such as `18.1`; `search_path`: what a new session begins with; `set_search_path`: the same if the role or
    the database sets it, else empty.
    """

    versions: tuple[str, ...]
    owner: str
    server: str
    search_path: str
    set_search_path: str


_SEARCH_PATH = (
    f"COALESCE(NULLIF({SET_SEARCH_PATH}, ''), "
    "(SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'search_path'))"
)
"""An SQL expression: what a new session begins with. Of a session that a pool has kept, `reset_val` may be older."""


def read_live_database(api: Api, project: str, *, ledger_exists: bool) -> LiveDatabase:
    """One request, which reads only. Raises ResponseInvalid."""
    order = (
        "SELECT pg_catalog.json_agg(version::text ORDER BY applied_at, version) FROM mosaic_deploy.migrations"
    )
    query = (
        f"SELECT pg_catalog.json_build_object('versions', {f'({order})' if ledger_exists else 'NULL'}, "
        "'owner', (SELECT pg_catalog.pg_get_userbyid(datdba) FROM pg_catalog.pg_database "
        "WHERE datname = pg_catalog.current_database()), "
        "'server', pg_catalog.current_setting('server_version'), "
        f"'search_path', {_SEARCH_PATH}, 'set_search_path', {SET_SEARCH_PATH})::text AS facts"
    )
    rows = api.sql(project, query)
    try:
        facts: Any = json.loads(rows[0]["facts"])
        versions = tuple(map(str, facts["versions"] or ()))
        server = str(facts["server"]).split()[0]
        return LiveDatabase(
            versions, str(facts["owner"]), server, str(facts["search_path"]), str(facts["set_search_path"])
        )
    except (LookupError, TypeError, ValueError):
        raise ResponseInvalid(
            "the SQL endpoint returned the database's facts in an unexpected format"
        ) from None
