"""What is live: the ledger and the platform's listings, read side by side and merged into one Snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from mosaic_deploy.errors import ApiError, NotFound, OperationUnknown, RequestRefused, ServerFailed, SqlFailed
from mosaic_deploy.live.api import endpoints, responses
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.endpoints import Operation
from mosaic_deploy.live.ledger import read as ledger
from mosaic_deploy.model.snapshot import (
    Ledger,
    Object,
    Objects,
    Project,
    Snapshot,
    State,
    Usage,
    migrations_digest,
    objects_digest,
)
from mosaic_deploy.sql.execution.records import SEED

Listing = Mapping[str, tuple[int | None, str]]
"""Filename → (size or None, url), as the platform lists it."""
_NOTHING: Objects = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Live:
    """A live Snapshot with what only status and the plan's notes want to know."""

    snapshot: Snapshot
    ledger_exists: bool
    assets: Listing | None = None
    usage: Usage | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    """`last` (the newest deploy's row), `lease` (whoever holds it now) and `process` (what that one told of itself)."""


def read_live(api: Api, project: Project, desired: Snapshot) -> Live:
    """All of a running project, in one round trip: the ledger's one call and up to two listings at once.

    `desired` tells which kinds matter (a kind the manifest leaves out isn't listed), and lets the ledger
    leave out rows that are equal. Writes nothing.
    """
    with ThreadPoolExecutor(3) as pool:
        tables = pool.submit(_read_ledger, api, project.id, desired)
        static = pool.submit(_listing, api, endpoints.LIST_FILES, project.id, desired.static)
        assets = pool.submit(_listing, api, endpoints.LIST_STORAGE, project.id, desired.storage)
        known, facts = tables.result()
        (listed_static, _), (listed_assets, usage) = static.result(), assets.result()
    snapshot = Snapshot(
        project=project,
        extensions=known.extensions,
        migrations=known.migrations,
        static=merge(known.static, listed_static),
        storage=merge(known.storage, listed_assets),
        auth=known.auth,
        seeds=known.seeds,
        serial=known.serial,
    )
    return Live(snapshot, known.exists, listed_assets, usage, facts)


def merge(known: Objects, listed: Listing | None) -> Objects:
    """The ledger's rows corrected by what the platform lists; without a listing the ledger is believed.

    `known` itself where there is nothing to correct.
    """
    if listed is None:
        return known
    other = {path: seen for path, row in known.items() if (seen := _seen(row, listed)) is not row}
    for path, (size, _) in listed.items():
        if path not in known:
            other[path] = Object(path, "", size or 0, State.UNMANAGED)
    return {**known, **other} if other else known


def _seen(row: Object, listed: Listing) -> Object:
    if row.path not in listed:
        return replace(row, state=State.UNSENT if row.state is State.PENDING else State.MISSING)
    size, _ = listed[row.path]
    if row.state is State.PENDING or size is None or size == row.size:
        return row
    if row.state is State.KEPT:
        return replace(row, sha256="", size=size)
    return replace(row, state=State.DRIFTED, listed_size=size)


def read_stored(api: Api, project: str) -> tuple[Mapping[str, int | None], Usage] | None:
    """What storage lists now, sizes by name, and how full it is; None where the platform doesn't tell both."""
    listed, usage = _listing(api, endpoints.LIST_STORAGE, project, _NOTHING)
    return (
        None
        if listed is None or usage is None
        else ({name: size for name, (size, _) in listed.items()}, usage)
    )


def _listing(
    api: Api, operation: Operation, project: str, wanted: Objects | None
) -> tuple[Listing | None, Usage | None]:
    """The platform's listing; None where the manifest doesn't manage the kind or the platform can't list it."""
    if wanted is None:
        return None, None
    try:
        # Of static files, which may be very many, nobody wants the URLs.
        shorten = responses.listed_size if operation is endpoints.LIST_FILES else responses.listed_file
        answer = api.call(operation, project=project, shorten=shorten)
    except OperationUnknown:
        return None, None
    except (NotFound, RequestRefused) as error:
        if error.status in (404, 405):
            return None, None
        raise
    return responses.files(answer), responses.usage(answer)


def read_stored_sizes(api: Api, project: str) -> Mapping[str, int | None] | None:
    """What storage lists now: sizes by name; None where the platform can't list."""
    listed, _ = _listing(api, endpoints.LIST_STORAGE, project, _NOTHING)
    return None if listed is None else {name: size for name, (size, _) in listed.items()}


def _read_ledger(api: Api, project: str, desired: Snapshot) -> tuple[Ledger, Mapping[str, Any]]:
    query = ledger.read(
        {
            "migrations": migrations_digest(desired.migrations or ()),
            ledger.STATIC: objects_digest(desired.static or _NOTHING),
            ledger.ASSET: objects_digest(desired.storage or _NOTHING),
            SEED: objects_digest(desired.seeds or _NOTHING),
        }
    )
    try:
        rows = api.sql(project, query)
    except (SqlFailed, ServerFailed) as error:
        return _first_time(api, project, error), {}
    if not rows:
        return _first_time(api, project, None), {}
    return ledger.parse(
        rows[0]["ledger"],
        desired.migrations or (),
        desired.static or _NOTHING,
        desired.storage or _NOTHING,
        desired.seeds or _NOTHING,
    )


def _first_time(api: Api, project: str, error: ApiError | None) -> Ledger:
    """An empty ledger, if there really is none: the first error's words aren't trusted for that."""
    rows = api.sql(project, ledger.probe())
    if error and rows and rows[0].get("ledger"):
        raise error
    return Ledger(extensions=ledger.extensions(rows[0].get("extensions")) if rows else frozenset())
