"""A plan: the changes to make, in order, and what should be known before."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, fields
from enum import StrEnum

from mosaic_deploy.errors import Problem
from mosaic_deploy.model.change import Action, Change, Delete, RollBackMigration, RunsSql
from mosaic_deploy.model.hazard import Hazard
from mosaic_deploy.model.snapshot import Project


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth knowing that the plan doesn't change, such as unmanaged files."""

    code: str
    message: str
    severity: Severity = Severity.INFO
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    add: int = 0
    change: int = 0
    destroy: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """Ordered changes, and the states that they were derived from.

    `desired` and `live` are fingerprints of the two snapshots. `serial` is the ledger's deploy counter, which must not
    have changed when the plan is applied.
    """

    project: Project
    changes: tuple[Change, ...]
    notes: tuple[Note, ...]
    desired: str
    live: str
    serial: int
    environment: str | None = None
    hazards: tuple[Hazard, ...] = ()
    """Hazards of the pending migrations, the worst first, including suppressed ones."""
    denied: tuple[Problem, ...] = ()
    """Why the manifest's policy blocks the plan; empty if it doesn't."""
    to_confirm: tuple[Hazard, ...] = ()
    """The destructive hazards that need confirmation, or `--allow destructive`."""
    only: tuple[str, ...] = ()
    """The patterns of `--only`; `excluded` has those of `--except`."""
    excluded: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    """Addresses of the changes that aren't selected, in order."""

    @property
    def partial(self) -> bool:
        """Whether some changes aren't selected."""
        return bool(self.left_out)

    @property
    def empty(self) -> bool:
        return not self.changes

    @property
    def counts(self) -> Counts:
        """The number of changes by action. `destroy` also counts database objects; a rollback is what it destroys."""
        tally = Counter(
            change.action
            for change in self.changes
            if not (isinstance(change, RollBackMigration) and change.destroys)
        )
        return Counts(
            tally[Action.ADD], tally[Action.CHANGE], tally[Action.DESTROY] + len(self.destroyed_objects)
        )

    @property
    def destroyed_objects(self) -> tuple[str, ...]:
        """The live database objects that SQL files drop for good: `table old`, `column books.fax`."""
        sql = (change for change in self.changes if isinstance(change, RunsSql))
        return tuple(dict.fromkeys(name for change in sql for name in change.destroys))

    @property
    def prune_count(self) -> int:
        """The number of deleted files if this project didn't deploy all of them, else 0. It must be confirmed."""
        deletes = [change for change in self.changes if isinstance(change, Delete)]
        return len(deletes) if any(change.unmanaged for change in deletes) else 0

    @property
    def fingerprint(self) -> str:
        """Identifies exactly this plan: these changes between these two states."""
        facts = [self.desired, self.live, [change_facts(c) for c in self.changes]]
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def change_facts(change: Change) -> dict[str, object]:
    """A change as a JSON-ready dict, with its kind, address, action and reason."""
    common = {
        "kind": change.kind,
        "address": change.address,
        "action": str(change.action),
        "reason": change.reason,
    }
    # Not `asdict`: its deep copies are slow for thousands of files.
    return {**{field.name: getattr(change, field.name) for field in fields(change)}, **common}
