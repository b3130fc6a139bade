"""What an apply reports while it runs. Every renderer (terminal, JSON, NDJSON) reads the same events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mosaic_deploy.errors import MosaicError
from mosaic_deploy.model.change import Change
from mosaic_deploy.model.plan import Note
from mosaic_deploy.model.snapshot import Project


@dataclass(frozen=True, slots=True)
class ApplyStarted:
    """First event. `total` counts changes; `total_bytes` what will be uploaded."""

    total: int
    total_bytes: int
    deploy_id: str
    type: ClassVar[str] = "apply_started"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing is wrong, but something has to come first. Repeats while the wait goes on."""

    reason: str
    seconds: float
    type: ClassVar[str] = "waiting"


@dataclass(frozen=True, slots=True)
class HashProgress:
    """`done` of `total` bytes of a folder have been read for the plan; the one event that comes before it."""

    done: int
    total: int
    type: ClassVar[str] = "hashed"


@dataclass(frozen=True, slots=True)
class ChangeStarted:
    change: Change
    type: ClassVar[str] = "change_started"


@dataclass(frozen=True, slots=True)
class ChangeDone:
    """Said only after the platform has confirmed it and, for objects, before the ledger's row is live."""

    change: Change
    seconds: float
    type: ClassVar[str] = "change_done"


@dataclass(frozen=True, slots=True)
class ChangeFailed:
    """This change was not made, or its end isn't known; the run goes on only to finish what is under way."""

    change: Change
    error: MosaicError
    type: ClassVar[str] = "change_failed"


@dataclass(frozen=True, slots=True)
class BytesSent:
    """`sent` bytes of the object at `address` have been handed to the platform so far."""

    address: str
    sent: int
    type: ClassVar[str] = "bytes_sent"


@dataclass(frozen=True, slots=True)
class ProjectReady:
    """`created` is true where this run made it; its id should then be pinned in the manifest."""

    project: Project
    created: bool
    type: ClassVar[str] = "project_ready"


@dataclass(frozen=True, slots=True)
class Noted:
    note: Note
    type: ClassVar[str] = "note"


@dataclass(frozen=True, slots=True)
class Verified:
    """One HTTP check that passed."""

    url: str
    status: int
    seconds: float
    type: ClassVar[str] = "verified"


@dataclass(frozen=True, slots=True)
class ApplyFailed:
    """Last event of a failed apply: partial failure as a value."""

    error: MosaicError
    done: tuple[str, ...]
    failed: str | None
    remaining: tuple[str, ...]
    seconds: float
    type: ClassVar[str] = "apply_failed"


@dataclass(frozen=True, slots=True)
class ApplyDone:
    """Last event of an apply that did everything it could."""

    project: Project
    done: tuple[str, ...]
    requests: int
    bytes_sent: int
    """Of all requests' bodies: files, SQL, and what was sent again."""
    seconds: float
    type: ClassVar[str] = "apply_done"


Event = (
    ApplyStarted
    | Waiting
    | HashProgress
    | ChangeStarted
    | ChangeDone
    | ChangeFailed
    | BytesSent
    | ProjectReady
    | Noted
    | Verified
    | ApplyFailed
    | ApplyDone
)
