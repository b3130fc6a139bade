"""How the live schema differs from the one that the last deploy recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mosaic_deploy.model.catalog import Catalog, SchemaChange


class SchemaState(StrEnum):
    """What a comparison of the live schema with the recorded one said."""

    UNCHANGED = "unchanged"
    DRIFTED = "drifted"
    NOT_RECORDED = "not_recorded"
    """No deploy has recorded a schema yet, so the next one records the baseline."""
    UNFINISHED = "unfinished"
    """A deploy began to change the schema, and didn't record the result."""
    SERVER_CHANGED = "server_changed"
    """Another major version of PostgreSQL, which may write the same definitions otherwise."""
    UNREADABLE = "unreadable"
    """The database rejected the comparison."""

    @property
    def is_compared(self) -> bool:
        return self in (SchemaState.UNCHANGED, SchemaState.DRIFTED)


@dataclass(frozen=True, slots=True)
class SchemaComparison:
    """The objects that differ: as recorded (`before`) and as they are now (`after`), each without those that don't exist.

    `digest` is of the whole live schema, empty if it wasn't compared. `deploy_id` and `recorded_at` are of the deploy that
    recorded the schema; if that is UNFINISHED, `open_by` is the deploy that didn't.
    """

    state: SchemaState
    before: Catalog = field(default_factory=dict)
    after: Catalog = field(default_factory=dict)
    digest: str = ""
    deploy_id: str = ""
    recorded_at: str = ""
    open_by: str = ""
    servers: tuple[int, int] = (0, 0)
    """The major version of PostgreSQL that recorded, and the one that runs now."""
    reason: str = ""
    """Why it is UNREADABLE."""
    truncated: bool = False
    """Whether there are more differences than these."""


@dataclass(frozen=True, slots=True)
class SchemaDrift:
    """A comparison for people: the differences as changes since the last deploy. `message` says why there are none to see."""

    state: SchemaState
    changes: tuple[SchemaChange, ...] = ()
    message: str = ""
    deploy_id: str = ""
    recorded_at: str = ""
    digest: str = ""
    truncated: bool = False

    @property
    def facts(self) -> Mapping[str, object]:
        """What identifies the drift: equal for equal differences."""
        return {str(change.object): [change.before, change.after] for change in self.changes}
