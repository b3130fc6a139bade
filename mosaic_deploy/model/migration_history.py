"""The migration history: its rows, and how a file relates to its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mosaic_deploy.errors import NextAction
from mosaic_deploy.model.snapshot import Migration


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One row of the ledger.

    `origin` is the kind of run that wrote the row (`apply`, `baseline`, `import`, `repair`). `at` is in ISO 8601. `cause`
    is the error if that run failed in this migration; empty if it didn't, or if the error is unknown.
    """

    migration: Migration
    at: str = ""
    by: str = ""
    origin: str = "apply"
    cause: str = ""

    @property
    def attempt(self) -> int:
        """The last step started outside a transaction, negative if it failed."""
        return self.migration.step_begun

    @property
    def unknown(self) -> bool:
        """Whether a step was started outside a transaction and its result is unknown."""
        return self.migration.unknown

    @property
    def failed(self) -> bool:
        """Whether PostgreSQL rejected a step outside a transaction."""
        return -self.attempt > self.migration.steps_done


class MigrationState(StrEnum):
    APPLIED = "applied"
    PENDING = "pending"
    OUT_OF_ORDER = "out_of_order"
    """Pending, but a newer one is applied; it isn't run without `--allow-out-of-order`."""
    NUMBER_TAKEN = "number_taken"
    """Pending, but in the history its number belongs to a migration whose file is gone or has another number."""
    REFORMATTED = "reformatted"
    """Applied; only comments, layout or the down section changed since."""
    EDITED = "edited"
    """Applied; its statements changed since."""
    RENUMBERED = "renumbered"
    """Applied; the number in its file's name has changed since."""
    SQUASHED = "squashed"
    """Applied; its file is gone, and another file contains its statements."""
    MISSING = "missing"
    """Applied, but no longer in the folder."""
    PARTIAL = "partial"
    """Some of its steps are committed."""
    FAILED = "failed"
    """A step outside a transaction was rejected; the next apply retries it."""
    UNKNOWN = "unknown"
    """A step was sent outside a transaction, and its result is unknown."""


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """The state of one migration. `version` is the one in the history, of a pending migration its file's. `applied_as` is the file name under which it was applied, if that differs.

    `next_actions` are commands that fix its problems.
    """

    version: str
    file: str
    state: MigrationState
    entry: HistoryEntry | None = None
    applied_as: str = ""
    next_actions: Sequence[NextAction] = ()
    steps: int = 0
    """Of a partly applied migration: the steps that its file has now, if it was edited."""
    number_of: str = ""
    """The file that was applied under the number of this pending one."""

    @property
    def needs_attention(self) -> bool:
        """Whether the next apply would stop at it, or has to finish what an earlier one began."""
        return self.state not in _SETTLED_STATES


_SETTLED_STATES = frozenset({MigrationState.APPLIED, MigrationState.REFORMATTED, MigrationState.PENDING})
