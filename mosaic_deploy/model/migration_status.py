"""The database's history of migrations in full, and how each file stands to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mosaic_deploy.errors import NextAction
from mosaic_deploy.model.snapshot import Migration


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One row of the ledger. `attempt` is the unit last begun outside a transaction, negative where it failed.

    `origin` is the kind of run that wrote it (`apply`, `baseline`, `import`, `repair`); `at` is ISO 8601;
    `cause` is where and why the run that wrote it failed in it, empty where it did not or nobody knows.
    """

    migration: Migration
    attempt: int = 0
    at: str = ""
    by: str = ""
    origin: str = "apply"
    cause: str = ""

    @property
    def unknown(self) -> bool:
        """Whether a unit was begun outside a transaction and its end isn't known."""
        return self.attempt > self.migration.units_done

    @property
    def failed(self) -> bool:
        """Whether PostgreSQL refused a unit outside a transaction."""
        return -self.attempt > self.migration.units_done


class MigrationState(StrEnum):
    APPLIED = "applied"
    PENDING = "pending"
    REFORMATTED = "reformatted"
    """Applied, and edited since in comments or layout only."""
    EDITED = "edited"
    """Applied, and edited since in what it does."""
    MISSING = "missing"
    """Applied, and no longer in the folder."""
    PARTIAL = "partial"
    """Some of its parts are committed."""
    FAILED = "failed"
    """A part outside a transaction was refused; the next apply begins it anew."""
    UNKNOWN = "unknown"
    """A part was sent outside a transaction, and its end isn't known."""


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """One migration's standing. `applied_as` is the name it was applied by, where that is another one.

    `next_actions` are the commands that put right what is wrong with it.
    """

    version: str
    file: str
    state: MigrationState
    entry: HistoryEntry | None = None
    applied_as: str = ""
    next_actions: Sequence[NextAction] = ()
