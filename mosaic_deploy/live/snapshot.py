"""Reads what is live: the tracking tables and the platform's listings, merged into one Snapshot."""

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
from mosaic_deploy.live.api.transport import is_loopback
from mosaic_deploy.live.ledger import read as ledger
from mosaic_deploy.live.ledger.proofs import Prover
from mosaic_deploy.live.ledger.schema_record import parse_comparison
from mosaic_deploy.live.ledger.tables import check_ledger_version
from mosaic_deploy.live.storage_urls import Listing, StorageUrls, find_storage_urls
from mosaic_deploy.model.catalog import SchemaComparison, SchemaState
from mosaic_deploy.model.manifest_identity import same_manifest
from mosaic_deploy.model.snapshot import (
    Ledger,
    Object,
    Objects,
    ObjectState,
    Project,
    Snapshot,
    StorageUsage,
    UnprovenRows,
    migrations_digest,
    objects_digest,
    unmanaged_object,
)
from mosaic_deploy.sql.execution.records import SEED

_NO_OBJECTS: Objects = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class LiveState:
    """A live Snapshot, with facts for `status` and the notes of a plan."""

    snapshot: Snapshot
    ledger_exists: bool
    storage_files: Listing | None = None
    usage: StorageUsage | None = None
    ledger_facts: Mapping[str, Any] = field(default_factory=dict)
    """`last`: the newest row of `deploys`; `commit`: that of the newest deploy; `policy`: see POLICY_SETTING; `owner`: see
    OWNER_SETTING; `lease`: its current holder; `process`: the holder's process."""
    unproven: Mapping[str, UnprovenRows] = field(default_factory=dict)
    """As in Ledger."""
    empty_projects: tuple[Project, ...] = ()
    """Other projects of the same name, which are empty."""
    schema: SchemaComparison | None = None
    """None without tracking tables, and if the manifest has no migrations."""
    storage_urls: StorageUrls = field(default_factory=StorageUrls)
    """The public URLs of storage files, also of those that aren't uploaded yet."""


def read_live(api: Api, project: Project, desired: Snapshot) -> LiveState:
    """Everything live of a running project, with up to three concurrent requests. Reads only.

    Kinds that aren't in `desired` aren't listed; rows equal to `desired` aren't transferred.
    """
    with ThreadPoolExecutor(3) as pool:
        ledger_read = pool.submit(_read_ledger, api, project.id, desired)
        static = pool.submit(_read_listing, api, endpoints.LIST_STATIC_FILES, project.id, desired.static)
        storage_files = pool.submit(_read_listing, api, endpoints.LIST_STORAGE, project.id, desired.storage)
        known, ledger_facts = ledger_read.result()
        (listed_static, _), (listed_storage, usage) = static.result(), storage_files.result()
    if desired.static is None:
        listed_static = _list_recorded(api, endpoints.LIST_STATIC_FILES, project.id, known.static, desired)
    if desired.storage is None:
        listed_storage = _list_recorded(api, endpoints.LIST_STORAGE, project.id, known.storage, desired)
    snapshot = Snapshot(
        project=project,
        extensions=known.extensions,
        migrations=known.migrations,
        static=merge_listing(known.static, listed_static),
        storage=merge_listing(known.storage, listed_storage),
        auth=known.auth,
        seeds=known.seeds,
        serial=known.serial,
    )
    facts = {name: value for name, value in ledger_facts.items() if name != "schema"}
    schema = ledger_facts.get("schema")
    urls = storage_urls(api, project, listed_storage)
    found = (snapshot, known.exists, listed_storage, usage, facts, known.unproven)
    return LiveState(*found, schema=schema, storage_urls=urls)


def storage_urls(api: Api, project: Project, listed: Listing | None) -> StorageUrls:
    """The URLs of the project's storage files; of one that doesn't exist yet, their paths if they are known."""
    return find_storage_urls(listed, project.url, embedded=is_loopback(api.url))


def _list_recorded(
    api: Api, operation: Operation, project: str, known: Objects, desired: Snapshot
) -> Listing | None:
    """The listing of what `known` has, for a section that the manifest doesn't have (any longer).

    None if it deployed nothing, so a manifest that never had the section needs no request.
    """
    if not any(same_manifest(desired.manifest, row.manifest) for row in known.values()):
        return None
    listed, _ = _read_listing(api, operation, project, _NO_OBJECTS)
    return None if listed is None else {path: listed[path] for path in known if path in listed}


def merge_listing(known: Objects, listed: Listing | None) -> Objects:
    """The ledger's rows `known`, with states corrected by the platform's listing, if there is one.

    Returns `known` itself if there is nothing to correct.
    """
    if listed is None:
        return known
    changed = {
        path: corrected
        for path, row in known.items()
        if (corrected := _compare_with_listing(row, listed)) is not row
    }
    for path, (size, _) in listed.items():
        if path not in known:
            changed[path] = unmanaged_object(path, size)
    return {**known, **changed} if changed else known


def _compare_with_listing(row: Object, listed: Listing) -> Object:
    if row.path not in listed:
        return replace(
            row, state=ObjectState.UNSENT if row.state is ObjectState.PENDING else ObjectState.MISSING
        )
    size, _ = listed[row.path]
    if size is None or size == row.size:
        return row
    if row.state is ObjectState.PENDING and size == row.size_before:
        return replace(row, listed_size=size)
    if state := _CHANGED_TO.get(row.state):
        return replace(row, state=state, listed_size=size)
    return replace(row, state=ObjectState.DRIFTED, listed_size=size)


_CHANGED_TO = {
    ObjectState.PENDING: ObjectState.REPLACED,
    ObjectState.KEPT: ObjectState.KEPT_CHANGED,
}
"""The states of rows of which another size is live."""


def read_storage_sizes_and_usage(
    api: Api, project: str
) -> tuple[Mapping[str, int | None], StorageUsage] | None:
    """The sizes of listed storage files by name, and the storage usage; None if the platform doesn't return both."""
    listed, usage = _read_listing(api, endpoints.LIST_STORAGE, project, _NO_OBJECTS)
    return (
        None
        if listed is None or usage is None
        else ({name: size for name, (size, _) in listed.items()}, usage)
    )


def _read_listing(
    api: Api, operation: Operation, project: str, wanted: Objects | None
) -> tuple[Listing | None, StorageUsage | None]:
    """The platform's listing; None if the manifest doesn't manage the kind or the platform can't list it."""
    if wanted is None:
        return None, None
    try:
        # The URLs of static files aren't needed, and there may be very many.
        object_hook = (
            responses.shorten_file_size
            if operation is endpoints.LIST_STATIC_FILES
            else responses.shorten_file
        )
        payload = api.call(operation, project=project, object_hook=object_hook)
    except OperationUnknown:
        return None, None
    except (NotFound, RequestRefused) as error:
        if error.status in (404, 405):
            return None, None
        raise
    return responses.parse_files(payload), responses.parse_usage(payload)


def read_storage_sizes(api: Api, project: str) -> Mapping[str, int | None] | None:
    """The sizes of listed storage files by name; None if the platform can't list them."""
    listed = read_storage_listing(api, project)
    return None if listed is None else {name: size for name, (size, _) in listed.items()}


def read_storage_listing(api: Api, project: str) -> Listing | None:
    """The listed storage files; None if the platform can't list them."""
    return _read_listing(api, endpoints.LIST_STORAGE, project, _NO_OBJECTS)[0]


def _read_ledger(api: Api, project: str, desired: Snapshot) -> tuple[Ledger, Mapping[str, Any]]:
    """The ledger and its facts; `schema` is a SchemaComparison. The schema is compared if the manifest has migrations.

    If the database rejects the query, it is sent without the comparison, which must stop no deploy.
    """
    if desired.migrations is None:
        return _query_ledger(api, project, desired, compare_schema=False)
    try:
        return _query_ledger(api, project, desired, compare_schema=True)
    except (SqlFailed, ServerFailed, RequestRefused) as error:
        found, facts = _query_ledger(api, project, desired, compare_schema=False)
        unreadable = SchemaComparison(SchemaState.UNREADABLE, reason=error.message)
        return found, {**facts, "schema": unreadable} if found.exists else facts


def _query_ledger(
    api: Api, project: str, desired: Snapshot, *, compare_schema: bool
) -> tuple[Ledger, Mapping[str, Any]]:
    prover = Prover(api.key.reveal(), project)
    query = ledger.ledger_query(
        {
            "migrations": migrations_digest(desired.migrations or ()),
            ledger.STATIC: objects_digest(desired.static or _NO_OBJECTS),
            ledger.STORAGE: objects_digest(desired.storage or _NO_OBJECTS),
            SEED: objects_digest(desired.seeds or _NO_OBJECTS),
        },
        desired.manifest,
        prover.key_name,
        compare_schema=compare_schema,
    )
    try:
        rows = api.sql(project, query)
    except (SqlFailed, ServerFailed) as error:
        return _read_missing_ledger(api, project, error), {}
    if not rows:
        return _read_missing_ledger(api, project, None), {}
    found, facts = ledger.parse_ledger(rows[0]["ledger"], desired, prover)
    return found, {**facts, "schema": parse_comparison(facts["schema"])} if compare_schema else facts


def _read_missing_ledger(api: Api, project: str, error: ApiError | None) -> Ledger:
    """An empty ledger if there are no tracking tables, which is looked up; otherwise raises `error`.

    Raises TrackingTablesOlder or TrackingTablesNewer if they have another layout.
    """
    rows = api.sql(project, ledger.probe_query())
    if error and rows and rows[0].get("ledger"):
        for row in api.sql(project, ledger.version_query()):
            check_ledger_version(int(str(row["version"])))
        raise error
    return Ledger(extensions=ledger.extensions(rows[0].get("extensions")) if rows else frozenset())
