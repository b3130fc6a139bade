"""Events that an apply emits. All renderers (terminal, JSON, NDJSON) use the same events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from mosaic_deploy.errors import MosaicError
from mosaic_deploy.model.change import Change
from mosaic_deploy.model.effects import TableEffect
from mosaic_deploy.model.plan import Note
from mosaic_deploy.model.snapshot import Project


@dataclass(frozen=True, slots=True)
class SqlNotice:
    """What PostgreSQL reported while SQL ran: NOTICE, WARNING or INFO."""

    severity: str
    message: str
    detail: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a step of a migration did: its seconds (None if unknown), rows by verb (`inserted`), and notices.

    `tables` is what it did to tables that held rows before the run.
    """

    seconds: float | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    notices: tuple[SqlNotice, ...] = ()
    tables: tuple[TableEffect, ...] = ()


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
class StillRunning:
    """SQL of `file` has been running for `seconds`.

    `phase` is PostgreSQL's name of what it does for an index, VACUUM or CLUSTER, `fraction` the part of it that is done.
    It comes while the stream of events waits, so not in it.
    """

    file: str
    seconds: float
    phase: str | None
    fraction: float | None
    type: ClassVar[str] = "still_running"


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
    """The platform has confirmed the change. For objects, emitted before their row in the ledger is live.

    A ChangeFailed follows for a storage file that isn't listed afterwards.

    `steps` has what each step did, for migrations and seeds.
    """

    change: Change
    seconds: float
    steps: tuple[StepReport, ...] = ()
    type: ClassVar[str] = "change_done"


@dataclass(frozen=True, slots=True)
class StepDone:
    """Step `number` of a migration's `total` is committed; more follow."""

    change: Change
    number: int
    total: int
    seconds: float
    type: ClassVar[str] = "step_done"


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
    | StepDone
    | ChangeFailed
    | BytesSent
    | ProjectReady
    | Noted
    | Verified
    | ApplyFailed
    | ApplyDone
)
