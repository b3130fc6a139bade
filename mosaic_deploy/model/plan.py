"""A plan: the changes to make, in order, and what should be known before."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from mosaic_deploy.errors import Location, Problem
from mosaic_deploy.model.approval import (
    Approval,
    destroys_rows,
    overwrite_count,
    prune_count,
    required_approvals,
)
from mosaic_deploy.model.catalog import Rehearsal, SchemaDrift
from mosaic_deploy.model.change import (
    Action,
    ApplyMigration,
    Change,
    Delete,
    LoosenPolicy,
    RollBackMigration,
    RunSeed,
    RunsSql,
)
from mosaic_deploy.model.hazard import Hazard, destroying_files, worst_first
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


STATUS_CODES = frozenset({"not_built", *(f"{part}_section_removed" for part in ("static", "storage", "database"))})  # fmt: skip
"""The codes of notes that a status shows, too: about an output, and what deploys left in sections that are gone."""
CHECKS_CHANGED = "checks_changed"
"""The code of the note that the checks aren't those that passed last."""
CHECKS_PENDING = "checks_pending"
"""The code of the note that the last deploy didn't complete the checks, so an apply without changes runs them."""


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
    live_counts: Mapping[str, int] = field(default_factory=dict)
    """By kind, the live files that the manifest controls: those it wants, and those it would delete."""
    drift: SchemaDrift | None = None
    """How the live schema differs from the recorded one; None if the manifest has no migrations, or nothing is deployed."""
    rehearsal: Rehearsal | None = None
    """What the pending migrations did in a rehearsal; None if none was made or wanted."""
    rehearsal_rule: Location | None = None
    """Where the manifest requires a rehearsal; None if it doesn't."""
    held_rules: frozenset[str] = frozenset()
    """As in Manifest."""
    migrations: str = "."
    """The migrations folder, relative to the manifest."""
    storage_urls: Mapping[str, str] = field(default_factory=dict)
    """By name, the public URLs that the storage files to upload have or will have, as far as they are known."""

    @property
    def unrehearsed(self) -> str:
        """Why not all that changes the schema was rehearsed: migrations, and seeds that may; empty if it was, or nothing does."""
        if reason := self._unrehearsed_migrations:
            return reason
        found = self.rehearsal or Rehearsal()
        if found.not_rehearsed and any(isinstance(each, RunSeed) and each.alters for each in self.changes):
            return found.not_rehearsed
        return next(
            (
                f"{each.path} may change the schema, and seeds that follow others can't be rehearsed"
                for each in self.changes
                if isinstance(each, RunSeed) and each.alters and each.address not in found.addresses
            ),
            "",
        )

    @property
    def _unrehearsed_migrations(self) -> str:
        """Why the plan's migrations weren't rehearsed; empty if they were, or there are none."""
        if self._rolls_back:
            return "down migrations can't be rehearsed"
        pending = {change.address for change in self.changes if isinstance(change, ApplyMigration)}
        if not pending:
            return ""
        if self.rehearsal is None:
            return "no rehearsal was made"
        return self.rehearsal.not_rehearsed or (
            "" if pending <= self.rehearsal.addresses else "the rehearsal was of other migrations"
        )

    @property
    def _rolls_back(self) -> bool:
        return any(isinstance(change, RollBackMigration) for change in self.changes)

    @property
    def denials(self) -> tuple[Problem, ...]:
        """Why the policy blocks the plan, also if it requires a rehearsal that wasn't possible."""
        is_final = self.rehearsal is not None or not any(isinstance(c, ApplyMigration) for c in self.changes)
        if self.rehearsal_rule and is_final and (reason := self.unrehearsed):
            name = "policy.rehearsed"
            held = "the policy of the last deploy still requires it" if name in self.held_rules else None
            return (*self.denied, Problem(f"not rehearsed: {reason}", self.rehearsal_rule, name, held))
        return self.denied

    @property
    def unproven(self) -> str:
        """Why the plan's SQL isn't proven by its rehearsal and its checks on live rows; empty if it is, or runs none."""
        sql = {change.address for change in self.changes if isinstance(change, RunsSql)}
        found = self.rehearsal or Rehearsal()
        failing = next((check for check in found.row_checks if not check.passes), None)
        if sql <= found.addresses and failing is None:
            return ""
        if reason := self._unrehearsed_migrations:
            return f"runs migrations that weren't rehearsed ({reason})"
        if failing is None:
            return "runs seeds that weren't rehearsed"
        if failing.rows is None:
            return f"adds a constraint that wasn't checked on the live rows ({failing.constraint}: {failing.reason})"
        return f"adds a constraint that live rows violate ({failing.constraint})"

    @property
    def findings(self) -> tuple[Hazard, ...]:
        """The hazards for people, the worst first: without those that the rehearsal contradicts, with what only it saw.

        What is approved and saved are `hazards`, which don't depend on a rehearsal.
        """
        if self.rehearsal is None:
            return self.hazards
        kept = (hazard for hazard in self.hazards if hazard not in self.rehearsal.refuted)
        return tuple(worst_first((*kept, *self.rehearsal.found)))

    @property
    def partial(self) -> bool:
        """Whether some changes aren't selected."""
        return bool(self.left_out)

    @property
    def empty(self) -> bool:
        return not self.changes

    @property
    def counts(self) -> Counts:
        """The number of changes by action. `destroy` also counts database objects; a rollback is what it destroys.

        What was rehearsed counts as the database objects that it adds, changes and destroys; a file that does none of that, as
        itself: as a change if it destroys rows or values.
        """
        seen = self.rehearsal or Rehearsal()
        destroying = destroying_files(self.hazards)
        as_objects = {address for each in seen.done if each.changes for address in each.addresses}
        tally = Counter(
            Action.CHANGE if destroys_rows(change, self.migrations, destroying) else change.action
            for change in self.changes
            if change.address not in as_objects
            and not (isinstance(change, RollBackMigration) and change.destroys)
        )
        return Counts(
            tally[Action.ADD] + seen.added,
            tally[Action.CHANGE] + seen.changed,
            tally[Action.DESTROY] + len(seen.destroyed) + len(self.destroyed_objects),
        )

    @property
    def destroyed_objects(self) -> tuple[str, ...]:
        """The live database objects that SQL files drop for good: `table old`, `column books.fax`.

        Without those of files that were rehearsed, of which `rehearsal.destroyed` has what they did drop.
        """
        done = self.rehearsal.done if self.rehearsal else ()
        rehearsed = {address for each in done for address in each.addresses}
        sql = (
            change
            for change in self.changes
            if isinstance(change, RunsSql) and change.address not in rehearsed
        )
        return tuple(dict.fromkeys(name for change in sql for name in change.destroys))

    @property
    def row_deletions(self) -> tuple[str, ...]:
        """The live tables (`public.orders`) of which SQL files delete rows, as their text says or as the rehearsal saw."""
        said = (table for change in self.changes if isinstance(change, RunsSql) for table in change.deletes)
        seen = (write.table for write in (self.rehearsal or Rehearsal()).writes if write.deletes)
        return tuple(dict.fromkeys(table.partition(" (")[0] for table in (*said, *seen)))

    @property
    def approvals(self) -> tuple[Approval, ...]:
        """What a person must approve, or `--allow`; the same for every command."""
        return required_approvals(self.changes, self.to_confirm, self.live_counts)

    @property
    def prune_count(self) -> int:
        """The number of deleted files if they must be approved, else 0."""
        return prune_count(self.changes, self.live_counts)

    @property
    def overwrite_count(self) -> int:
        """The number of overwritten files and settings that this project didn't deploy. They must be approved."""
        return overwrite_count(self.changes)

    @property
    def fingerprint(self) -> str:
        """Identifies exactly this plan: these changes between these two states."""
        facts = [self.desired, self.live, [without_estimates(change_facts(c)) for c in self.changes]]
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def consent_digest(self) -> str:
        """Identifies what a person was shown and asked: this plan, where it is applied, and what it must not do silently."""
        hazards = [[hazard.code, hazard.object, str(hazard.location)] for hazard in self.to_confirm]
        approvals = [approval.allow for approval in self.approvals]
        drift = [self.drift.facts] if self.drift and self.drift.changes else []
        facts = [self.fingerprint, self.project.id, hazards, approvals, *drift]
        text = json.dumps(facts, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def approval_digest(self) -> str:
        """Identifies what the approvals are about, whatever else the plan does."""
        hazards = [[hazard.code, hazard.object, str(hazard.location)] for hazard in self.to_confirm]
        harmful = [
            without_estimates(change_facts(change))
            for change in self.changes
            if isinstance(change, LoosenPolicy)
            or (isinstance(change, Delete) and not change.approved)
            or getattr(change, "overwrites", False)
            or (hazards and isinstance(change, RunsSql))
        ]
        approvals = [approval.allow for approval in self.approvals]
        text = json.dumps([self.project.id, hazards, approvals, harmful], sort_keys=True)
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


def without_estimates(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The `change_facts` without the numbers of rows, which change while the plan stays the same."""
    tables = {
        name: [table.partition(" (")[0] for table in facts[name]]
        for name in ("updates", "deletes")
        if facts.get(name)
    }
    return {**facts, **tables}
