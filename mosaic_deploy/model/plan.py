"""A plan is data: what will be done, in order, and what should be known before it is done."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, fields
from enum import StrEnum

from mosaic_deploy.errors import Problem
from mosaic_deploy.model.change import Action, Change, Delete
from mosaic_deploy.model.hazard import Hazard
from mosaic_deploy.model.snapshot import Project


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Note:
    """Something the plan doesn't change but a reader should know: unmanaged files, what can't be done, …"""

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
    """Ordered changes with what they were derived from.

    `desired` and `live` are fingerprints of the two snapshots; `serial` is the ledger's deploy counter that
    an apply must still find.
    """

    project: Project
    changes: tuple[Change, ...]
    notes: tuple[Note, ...]
    desired: str
    live: str
    serial: int
    environment: str | None = None
    hazards: tuple[Hazard, ...] = ()
    """Of the pending migrations, the worst first; silenced ones too."""
    denied: tuple[Problem, ...] = ()
    """Why the manifest's policy doesn't let it be applied; empty where it does."""
    to_confirm: tuple[Hazard, ...] = ()
    """The destructive hazards that a person has to agree to, or `--allow destructive`."""
    only: tuple[str, ...] = ()
    """What `--only` named; `excluded` what `--except` did."""
    excluded: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    """Addresses of the changes that those two leave out, in order."""

    @property
    def partial(self) -> bool:
        """Whether something stays undone when this plan is applied."""
        return bool(self.left_out)

    @property
    def empty(self) -> bool:
        return not self.changes

    @property
    def counts(self) -> Counts:
        tally = Counter(change.action for change in self.changes)
        return Counts(tally[Action.ADD], tally[Action.CHANGE], tally[Action.DESTROY])

    @property
    def prune_count(self) -> int:
        """How many files would be deleted, where some were never deployed from here; a person agrees to the number."""
        deletes = [change for change in self.changes if isinstance(change, Delete)]
        return len(deletes) if any(change.unmanaged for change in deletes) else 0

    @property
    def fingerprint(self) -> str:
        """Identifies exactly this plan: the same changes from the same desired and live states."""
        facts = [self.desired, self.live, [change_facts(c) for c in self.changes]]
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def change_facts(change: Change) -> dict[str, object]:
    """A change as JSON-ready facts, with its kind, address, action and reason."""
    named = {
        "kind": change.kind,
        "address": change.address,
        "action": str(change.action),
        "reason": change.reason,
    }
    # Not `asdict`, which copies deeply: of thousands of files that is felt.
    return {**{field.name: getattr(change, field.name) for field in fields(change)}, **named}
