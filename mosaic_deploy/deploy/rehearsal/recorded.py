"""The recorded history of the live database: what a base is built from, and the digest that names it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from mosaic_deploy.deploy.planning.planned import PreparedPlan
from mosaic_deploy.errors import ApiError
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.database.clones import LiveDatabase, read_live_database
from mosaic_deploy.live.ledger.applied_sources import read_applied_sources
from mosaic_deploy.live.ledger.tables import LEDGER_VERSION
from mosaic_deploy.model.catalog import SchemaChange
from mosaic_deploy.model.snapshot import Migration

_FORMAT = 2
"""Part of the digest; to be raised when the same history is built into another base."""
_NO_DATABASE = LiveDatabase((), "", "", "", "")


class NotRehearsed(Exception):
    """The plan can't be rehearsed, which says nothing about its files. The text says why; `differences` are from the live schema.

    `remedy` says what to do about it, if that is known.
    """

    def __init__(self, why: str, differences: tuple[SchemaChange, ...] = (), remedy: str = "") -> None:
        super().__init__(why)
        self.differences = differences
        self.remedy = remedy


@contextmanager
def time_limit(seconds: float, what: str) -> Iterator[float]:
    """The value of `time.monotonic()` at which it is over. Then an ApiError of the block becomes NotRehearsed.

    PostgreSQL has no limit for an endless loop, and a plan mustn't wait for one.
    """
    deadline = time.monotonic() + seconds
    try:
        yield deadline
    except ApiError:
        if time.monotonic() < deadline:
            raise
        raise NotRehearsed(
            f"{what} took longer than {seconds / 60:g} minutes and was stopped; to plan without a rehearsal: --no-rehearse"
        ) from None


@dataclass(frozen=True, slots=True)
class RecordedHistory:
    """The live migrations in the order in which they were applied, and the manifest's extensions that are live.

    `project` is empty if there is no live database yet.
    """

    api: Api
    project: str
    rows: tuple[Migration, ...]
    extensions: tuple[str, ...]
    database: LiveDatabase

    @property
    def digests(self) -> tuple[str, ...]:
        """The digest of the history without rows, with the first one, with two, … and with all."""
        found = [_digest([_FORMAT, LEDGER_VERSION, *self.extensions])]
        for row in self.rows:
            found.append(_digest([found[-1], row.version, row.checksum, row.semantic, row.steps_done]))
        return tuple(found)

    def aided_digests(self, facts: object) -> tuple[str, ...]:
        """As `digests`, of bases that were also given tables that the files don't make; `facts` is what these depend on."""
        given = _digest([facts])
        return tuple(_digest([each, given]) for each in self.digests)

    def read_texts(self, first: int) -> Mapping[str, str]:
        """Version → the text of each row from the index `first` on, as recorded. Texts that can't be read are left out."""
        wanted = [row.version for row in self.rows[first:]]
        return read_applied_sources(self.api, self.project, wanted) if wanted else {}


def live_project(planned: PreparedPlan) -> str:
    """The ID of the live project; empty if it has no database yet."""
    project = planned.live.snapshot.project
    return "" if project.status in ("absent", "provisioning") else project.id


def read_recorded(api: Api, planned: PreparedPlan) -> RecordedHistory:
    """One request to the live API; none if there is no live database. Raises ApiError."""
    live, project = planned.live.snapshot, live_project(planned)
    database = (
        read_live_database(api, project, ledger_exists=planned.live.ledger_exists)
        if project
        else _NO_DATABASE
    )
    place = {version: number for number, version in enumerate(database.versions)}
    begun = [row for row in live.migrations or () if row.steps_done]
    rows = tuple(sorted(begun, key=lambda row: place.get(row.version, len(place))))
    extensions = tuple(sorted(planned.desired.snapshot.extensions & live.extensions)) if project else ()
    return RecordedHistory(api, project, rows, extensions, database)


def _digest(facts: list[object]) -> str:
    return hashlib.sha256(json.dumps(facts, separators=(",", ":")).encode()).hexdigest()
