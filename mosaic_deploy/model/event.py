"""Events that an apply emits. All renderers (terminal, JSON, NDJSON) use the same events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mosaic_deploy.errors import MosaicError
from mosaic_deploy.model.change import Change
from mosaic_deploy.model.plan import Note
from mosaic_deploy.model.snapshot import Project


@dataclass(frozen=True, slots=True)
class ApplyStarted:
    """First event. `total` is the number of changes, `total_bytes` the size of the uploads."""

    total: int
    total_bytes: int
    deploy_id: str
    type: ClassVar[str] = "apply_started"


@dataclass(frozen=True, slots=True)
class Waiting:
    """The apply waits for something. Repeated during the wait."""

    reason: str
    seconds: float
    type: ClassVar[str] = "waiting"


@dataclass(frozen=True, slots=True)
class HashProgress:
    """`done` of `total` bytes of a folder are hashed. The only event before the plan."""

    done: int
    total: int
    type: ClassVar[str] = "hashed"


@dataclass(frozen=True, slots=True)
class ChangeStarted:
    change: Change
    type: ClassVar[str] = "change_started"


@dataclass(frozen=True, slots=True)
class ChangeDone:
    """The platform has confirmed the change. For objects, emitted before their row in the ledger is live."""

    change: Change
    seconds: float
    type: ClassVar[str] = "change_done"


@dataclass(frozen=True, slots=True)
class ChangeFailed:
    """The change failed, or its result is unknown. The run only finishes what has already started."""

    change: Change
    error: MosaicError
    type: ClassVar[str] = "change_failed"


@dataclass(frozen=True, slots=True)
class BytesSent:
    """`sent` bytes of the object at `address` have been sent so far."""

    address: str
    sent: int
    type: ClassVar[str] = "bytes_sent"


@dataclass(frozen=True, slots=True)
class ProjectReady:
    """The project. If this run `created` it, its ID should be pinned in the manifest."""

    project: Project
    created: bool
    type: ClassVar[str] = "project_ready"


@dataclass(frozen=True, slots=True)
class Noted:
    note: Note
    type: ClassVar[str] = "note"


@dataclass(frozen=True, slots=True)
class Verified:
    """A check passed. `kind` is its field in `verify`, `check` names it, `result` is what it found."""

    kind: str
    check: str
    result: str
    seconds: float
    type: ClassVar[str] = "verified"


@dataclass(frozen=True, slots=True)
class ApplyFailed:
    """Last event of a failed apply, with the addresses of the changes by result."""

    error: MosaicError
    done: tuple[str, ...]
    failed: str | None
    remaining: tuple[str, ...]
    seconds: float
    type: ClassVar[str] = "apply_failed"


@dataclass(frozen=True, slots=True)
class ApplyDone:
    """Last event of a successful apply."""

    project: Project
    done: tuple[str, ...]
    requests: int
    bytes_sent: int
    """Size of all request bodies: files, SQL and retries."""
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
