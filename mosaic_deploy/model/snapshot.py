"""One shape for both sides: what is desired (from disk) and what is live (from the API)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from operator import attrgetter
from types import MappingProxyType


class ObjectState(StrEnum):
    """How far the digest of an object can be believed. Desired objects are always LIVE."""

    LIVE = "live"
    PENDING = "pending"
    """An upload was begun and its end is not known."""
    MISSING = "missing"
    """The ledger has it, the platform doesn't list it."""
    DRIFTED = "drifted"
    """The platform lists it with another size than the ledger."""
    UNMANAGED = "unmanaged"
    """The platform lists it, the ledger doesn't know it."""
    UNSENT = "unsent"
    """An upload was begun, and the platform lists nothing of that name."""
    ALTERED = "altered"
    """Its live bytes were fetched, and they aren't those of the ledger."""
    KEPT = "kept"
    """Deployed from here earlier, no longer wanted, and left live; the ledger remembers it as that."""


NOT_LIVE_STATES = frozenset({ObjectState.MISSING, ObjectState.UNSENT})
"""States of rows that nothing live stands behind."""


@dataclass(frozen=True, slots=True)
class Object:
    """A static file or stored asset, named by its path on the platform (`/`-separated, NFC as on disk).

    `sha256` is lower-case hex of the bytes, empty where it isn't known; `size` is in bytes.
    """

    path: str
    sha256: str
    size: int
    state: ObjectState = ObjectState.LIVE
    listed_size: int | None = None
    """The size the platform lists, where it differs from the ledger's."""


@dataclass(frozen=True, slots=True)
class StorageUsage:
    """Storage used and allowed, in bytes; `exact` where the platform gave bytes and not `1.2 GB`."""

    used: int
    limit: int
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration file. `version` is its number without leading zeros; versions compare as integers.

    `checksum` is the sha256 of the file's bytes; `semantic` that of its parse tree, so that comments and
    layout don't count. `units_done` of `units` are committed: equal once it is applied. On the live side
    `semantic` is of the committed units; on the desired side `prefix_checksums` has that value for each number of
    units, so that the rest of a file that stopped half-way may be corrected, and only the rest.
    """

    version: str
    file: str
    checksum: str
    semantic: str
    units: int = 1
    units_done: int = 0
    prefix_checksums: tuple[str, ...] = ()
    words: str = ""
    """What the file does, for people; known of files that were parsed."""

    @property
    def applied(self) -> bool:
        return self.units_done >= self.units

    @property
    def order(self) -> int:
        return int(self.version)

    @property
    def has_no_statements(self) -> bool:
        """Whether the committed units are without a statement: nothing of it was ever run."""
        return self.semantic == _EMPTY_CHECKSUM


@dataclass(frozen=True, slots=True)
class Project:
    """`id` is empty for a project that has still to be created; `url` then too."""

    id: str
    name: str
    url: str = ""
    status: str = "running"


Objects = Mapping[str, Object]
AuthSettings = Mapping[str, object]
_EMPTY: Objects = MappingProxyType({})


@dataclass(frozen=True)
class Snapshot:
    """All of one project. A part that the manifest doesn't manage is None on the desired side."""

    project: Project
    extensions: frozenset[str] = frozenset()
    migrations: tuple[Migration, ...] | None = None
    static: Objects | None = None
    storage: Objects | None = None
    auth: AuthSettings | None = None
    seeds: Objects | None = None
    """Seed files by their path below the project folder; live ones with the content that was run last."""
    serial: int = 0
    """How often the ledger's project has been deployed to; lets an apply see that live has moved."""

    def fingerprint(self) -> str:
        """A digest of all facts that a plan is made from: equal snapshots have equal fingerprints.

        What follows from a migration's bytes (`semantic`, `units`) isn't a fact of its own: it is filled in
        only for files that had to be parsed.
        """
        return _sha256(json.dumps(self._facts(), sort_keys=True, separators=(",", ":")))

    def _facts(self) -> dict[str, object]:
        return {
            "project": self.project.id or self.project.name,
            "extensions": sorted(self.extensions),
            "migrations": None if self.migrations is None else _history_facts(self.migrations),
            "static": None if self.static is None else objects_digest(self.static),
            "storage": None if self.storage is None else objects_digest(self.storage),
            "auth": None if self.auth is None else dict(self.auth),
            "seeds": None if self.seeds is None else objects_digest(self.seeds),
            "serial": self.serial,
        }


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the tracking tables say, before it is merged with the platform's listings."""

    serial: int = 0
    extensions: frozenset[str] = frozenset()
    migrations: tuple[Migration, ...] = ()
    static: Objects = field(default_factory=lambda: _EMPTY)
    storage: Objects = field(default_factory=lambda: _EMPTY)
    auth: AuthSettings | None = None
    seeds: Objects = field(default_factory=lambda: _EMPTY)
    exists: bool = False


def objects_digest(objects: Objects) -> str:
    """Digest of a kind's objects: the same value as the ledger's SQL computes from its rows.

    sha256 over `path NL sha256 NL size NL state NL` of each object, by path in UTF-8 byte order.
    """
    digest = hashlib.sha256()
    # Strings compare by code point, which is the order of their bytes in UTF-8.
    for o in sorted(objects.values(), key=_path):
        digest.update(f"{o.path}\n{o.sha256}\n{o.size}\n{o.state}\n".encode())
    return digest.hexdigest()


def migrations_digest(migrations: tuple[Migration, ...]) -> str:
    """Digest of applied migrations: sha256 over `version NL file NL checksum NL` in numeric order."""
    ordered = sorted(migrations, key=lambda m: m.order)
    return _sha256("".join(f"{m.version}\n{m.file}\n{m.checksum}\n" for m in ordered))


_EMPTY_CHECKSUM = hashlib.sha256().hexdigest()
"""The checksum of a parse tree that is empty."""


def _history_facts(migrations: tuple[Migration, ...]) -> list[tuple[str, str, str, int]]:
    return [(m.version, m.file, m.checksum, m.units_done) for m in migrations]


_path = attrgetter("path")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
