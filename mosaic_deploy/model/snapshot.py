"""The state of a project: desired (from disk) or live (from the API)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from operator import attrgetter
from types import MappingProxyType
from urllib.parse import urlsplit


class ObjectState(StrEnum):
    """The state of a live object compared with the ledger. Desired objects are always LIVE."""

    LIVE = "live"
    PENDING = "pending"
    """An upload was started and its result is unknown."""
    MISSING = "missing"
    """In the ledger, but not listed by the platform."""
    DRIFTED = "drifted"
    """The platform lists another size than the ledger."""
    UNMANAGED = "unmanaged"
    """Listed by the platform, but not in the ledger."""
    UNSENT = "unsent"
    """An upload was started, but the platform lists no such object."""
    ALTERED = "altered"
    """Its live content was fetched and differs from the ledger's digest."""
    KEPT = "kept"
    """Deployed by this project, no longer in the folder, and kept live."""
    KEPT_CHANGED = "kept_changed"
    """Kept, but what is live now isn't what was deployed: somebody else's."""
    REPLACED = "replaced"
    """An upload was started, but what is live is neither its content nor what was live before: somebody else's."""


NOTHING_LIVE = -1
OTHERS_STATES = frozenset({ObjectState.UNMANAGED, ObjectState.KEPT_CHANGED, ObjectState.REPLACED})
"""States of live objects that this project didn't deploy as they are."""
NOT_LIVE_STATES = frozenset({ObjectState.MISSING, ObjectState.UNSENT})
"""States of objects that aren't live."""


@dataclass(frozen=True, slots=True)
class Object:
    """A static file or storage file. `path` is its name on the platform, with `/` as separator.

    `sha256` is in lower-case hex, empty if unknown; `size` is in bytes. Of an unmanaged object, `sha256` is known if its
    live content was compared with the folder's.
    """

    path: str
    sha256: str
    size: int
    state: ObjectState = ObjectState.LIVE
    listed_size: int | None = None
    """The size listed by the platform, if it differs from the ledger's or the ledger has none."""
    manifest: str = ""
    """Of the ledger's rows: the manifest that deployed it; empty if that wasn't recorded."""
    size_before: int | None = None
    """Of a pending one: the size of what was live before; NOTHING_LIVE if nothing was, None if unknown."""
    retired_at: float | None = None
    """Of a kept one that is to be deleted: when it left the folder, in seconds since the epoch by the database's clock."""
    retired_for: float = 0.0
    """The seconds since then, when the row was read."""

    @property
    def live(self) -> bool:
        """Whether it is known to be live, with whatever content."""
        return self.state not in NOT_LIVE_STATES and self.state is not ObjectState.PENDING


def unmanaged_object(path: str, size: int | None) -> Object:
    """A live object without a row, with its size as listed."""
    return Object(path, "", size or 0, ObjectState.UNMANAGED, listed_size=size)


def live_size(found: Object | None) -> int | None:
    """The size of what is live under its name; NOTHING_LIVE if nothing is, None if the platform doesn't say."""
    if found is None or found.state in NOT_LIVE_STATES:
        return NOTHING_LIVE
    return (
        found.size
        if found.listed_size is None and found.state is not ObjectState.UNMANAGED
        else found.listed_size
    )


@dataclass(frozen=True, slots=True)
class StorageUsage:
    """Storage used and its limit, in bytes. `exact` is False if the platform reports rounded values such as `1.2 GB`."""

    used: int
    limit: int
    exact: bool = True


Order = tuple[tuple[int, ...], tuple[int, str], int]
"""Where a migration comes: its number's parts, its name with the number at its start, and a rank among equal ones."""
BEFORE_ALL: Order = ((), (-1, ""), 0)
VERSION = re.compile(r"[\w.][\w./-]{0,249}")
"""Characters of a version: none that a shell or a command line reads as something else."""
_NUMBERED = re.compile(r"([0-9]{1,30}(?:\.[0-9]{1,30}){0,9})(?:/(.*))?", re.DOTALL)


@cache
def natural_order(version: str) -> Order:
    """By number, `1.10` after `1.9` and equal to `1.10.0`; then by the name behind the number. Names without one are first."""
    found = _NUMBERED.fullmatch(version)
    number, name = (found[1], found[2] or "") if found else ("", version)
    parts = [int(part) for part in number.split(".") if part]
    parts = parts[: max((at for at, part in enumerate(parts, 1) if part), default=1)]
    leading = re.match("[0-9]{1,30}", name)
    return tuple(parts), (int(leading.group()) if leading else -1, name), 0


@dataclass(frozen=True, slots=True)
class Migration:
    """A migration file. `version` identifies it in the history, `file` is its path in the migrations folder.

    The version is a number without leading zeros (`12`, `1.2`), with the file's name if several files have that number
    (`12/0012_add_price`), or the name of a file without a number. `place` is set if the folder's order isn't that of versions.
    `checksum` is the SHA-256 of the file; `semantic` that of its parse tree, which ignores comments and layout.
    `steps_done` of `steps` are committed. In a live snapshot, `semantic` covers only the committed steps. In a desired
    one, `prefix_checksums` has that value for every number of steps, to detect edits of the committed part of a file.
    """

    version: str
    file: str
    checksum: str
    semantic: str
    steps: int = 1
    steps_done: int = 0
    prefix_checksums: tuple[str, ...] = ()
    words: str = ""
    """What the file does, as text for people. Only set for parsed files."""
    step_begun: int = 0
    """Of a row in the history: the last step started outside a transaction, negative if it failed."""
    place: Order | None = field(default=None, compare=False)

    @property
    def applied(self) -> bool:
        return self.steps_done >= self.steps

    @property
    def unknown(self) -> bool:
        """Whether a step was started outside a transaction and its result is unknown."""
        return self.step_begun > self.steps_done

    @property
    def begun(self) -> bool:
        """Whether some of it is committed, or may be."""
        return self.steps_done > 0 or self.unknown

    def nothing_after(self, steps: int) -> bool:
        """Whether a parsed file has no statement after its first `steps` steps; False for 0."""
        return steps > 0 and self.prefix_checksums[steps - 1 : steps] == self.prefix_checksums[-1:] != ()

    @property
    def order(self) -> Order:
        return self.place or natural_order(self.version)

    @property
    def has_no_statements(self) -> bool:
        """Whether the committed steps have no statement, so nothing was run."""
        return self.semantic == _EMPTY_CHECKSUM


@dataclass(frozen=True, slots=True)
class Project:
    """A project. `id` and `url` are empty if it doesn't exist yet."""

    id: str
    name: str
    url: str = ""
    status: str = "running"

    @property
    def is_local(self) -> bool:
        """Whether its site is on this machine. The ID of such a project is unknown to an account."""
        host = urlsplit(self.url).hostname or ""
        return host in ("localhost", "127.0.0.1", "::1") or host.endswith(".localhost")


Objects = Mapping[str, Object]
AuthSettings = Mapping[str, object]
_EMPTY: Objects = MappingProxyType({})


@dataclass(frozen=True)
class Snapshot:
    """The state of one project. In a desired snapshot, parts that the manifest doesn't manage are None."""

    project: Project
    extensions: frozenset[str] = frozenset()
    migrations: tuple[Migration, ...] | None = None
    static: Objects | None = None
    storage: Objects | None = None
    auth: AuthSettings | None = None
    seeds: Objects | None = None
    """Seeds and repeatable files by path relative to the project folder. Live ones have the content that was run last."""
    repeatable: frozenset[str] = frozenset()
    """Of a desired snapshot: the paths of those that are repeatable; the sha256 of these is that of their meaning."""
    serial: int = 0
    """The ledger's deploy counter, which shows an apply that the live state has changed."""
    unmanaged_auth: AuthSettings | None = None
    """Live settings other than those that this project deployed last; empty if those are gone. Only read if the plan
    changes them, or if live contents are compared; else None, as if they are those."""
    manifest: str = ""
    """Of a desired snapshot: identifies its manifest among those that deploy to the project."""
    former_manifest: str = ""
    """As `manifest`, before its folder became a git repository; empty if it can't have been another one."""
    moved_from: str = ""
    """Of a desired snapshot: the manifest whose migrations folder was moved here; empty if none was."""

    def fingerprint(self) -> str:
        """A digest of everything that plans depend on: equal snapshots have equal fingerprints.

        Values that are derived from a migration's bytes are left out, because they are set only for parsed files.
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
            "unmanaged_auth": None if self.unmanaged_auth is None else dict(self.unmanaged_auth),
            "seeds": None if self.seeds is None else objects_digest(self.seeds),
            "serial": self.serial,
        }


@dataclass(frozen=True, slots=True)
class UnprovenRows:
    """Rows of one kind of file in the ledger that can't be proven to be from a deploy; see `live/ledger/proofs.py`.

    `paths` aren't in the folder, so they count as not deployed. `stale`: some proofs are missing, or of another API key.
    """

    paths: tuple[str, ...] = ()
    stale: bool = False
    other_key: tuple[Object, ...] = ()
    """Rows that aren't in `paths`, because they have a proof with another API key, as before a rotation."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The content of the tracking tables, before it is merged with the platform's listings."""

    serial: int = 0
    extensions: frozenset[str] = frozenset()
    migrations: tuple[Migration, ...] = ()
    static: Objects = field(default_factory=lambda: _EMPTY)
    storage: Objects = field(default_factory=lambda: _EMPTY)
    auth: AuthSettings | None = None
    seeds: Objects = field(default_factory=lambda: _EMPTY)
    exists: bool = False
    unproven: Mapping[str, UnprovenRows] = field(default_factory=dict)
    """By kind: `static`, `storage`."""


def objects_digest(objects: Objects) -> str:
    """Digest of objects of one kind, equal to the one that the ledger's SQL computes from its rows.

    SHA-256 over `path NL sha256 NL size NL state NL` of each object, sorted by path in UTF-8 byte order.
    """
    digest = hashlib.sha256()
    # Comparing strings by code point gives the order of their UTF-8 bytes.
    for o in sorted(objects.values(), key=_path):
        digest.update(f"{o.path}\n{o.sha256}\n{o.size}\n{o.state}\n".encode())
    return digest.hexdigest()


def migrations_digest(migrations: tuple[Migration, ...]) -> str:
    """Digest of applied migrations: SHA-256 over `version NL file NL checksum NL`, in the order of the versions' bytes."""
    ordered = sorted(migrations, key=lambda m: m.version)
    return _sha256("".join(f"{m.version}\n{m.file}\n{m.checksum}\n" for m in ordered))


_EMPTY_CHECKSUM = hashlib.sha256().hexdigest()
"""The checksum of an empty parse tree."""


def _history_facts(migrations: tuple[Migration, ...]) -> list[tuple[str, str, str, int]]:
    return [(m.version, m.file, m.checksum, m.steps_done) for m in migrations]


_path = attrgetter("path")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
