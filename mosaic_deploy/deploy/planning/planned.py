"""What a plan is asked for with, and what it is: a plan together with what applying it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mosaic_deploy.diff.ledger_cleanup import LedgerCleanup, ledger_cleanup
from mosaic_deploy.diff.selection import ALL, Selection
from mosaic_deploy.live.api.rate_limit import DEFAULT_PARALLELISM
from mosaic_deploy.live.ledger import read as ledger
from mosaic_deploy.live.live_bytes import Progress
from mosaic_deploy.live.snapshot import LiveState
from mosaic_deploy.model.change import DeleteStatic, DeleteStorageFile
from mosaic_deploy.model.plan import Plan
from mosaic_deploy.source.files.digests import OnHashed, ignore_progress
from mosaic_deploy.source.migrations.files import ParsedFile
from mosaic_deploy.source.snapshot import Desired

_SUCCESS_STATUSES = frozenset({"done", "baseline", "import", "repair", "rollback"})
"""How runs end that leave no checks owed; see deploy/applying.py."""


@dataclass(frozen=True, slots=True)
class Target:
    """Which project: `id` wins over `name`. A `hint` is an id that may be another account's: used if it exists."""

    id: str | None
    name: str | None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the command line allows for this plan alone."""

    allow_out_of_order: bool = False
    selection: Selection = ALL
    verify: Progress | None = None
    """Hears how far it is with fetching the live bytes; None for comparing digests of the ledger and sizes."""
    parallelism: int = DEFAULT_PARALLELISM
    on_hashed: OnHashed = ignore_progress
    postpone_empty_migrations: bool = False
    """Whether a pending migration without a statement is waited for: somebody is writing it."""
    files_only: bool = False
    """Whether the database is left as it is, whatever its migrations are like."""


DEFAULTS = PlanOptions()


@dataclass(frozen=True, slots=True)
class PreparedPlan:
    """A plan with what applying it needs: the sources of the bytes, and the parsed migrations."""

    plan: Plan
    desired: Desired
    live: LiveState
    parsed: tuple[ParsedFile, ...] = ()
    seeds: tuple[ParsedFile, ...] = ()
    """The seed files to be run."""
    selection: Selection = ALL
    postponed_migrations: tuple[str, ...] = ()
    """Of a patient plan, the paths that wait: a migration without a statement, and those after it."""

    @property
    def read_during_deploy(self) -> bool:
        """Whether another deploy held the lease while live was read: it may have gone on writing since."""
        return bool(self.live.ledger_facts.get("lease"))

    def ledger_cleanup(self) -> Mapping[str, LedgerCleanup]:
        """By kind, the ledger's rows that no change of the plan is about and that should say something else.

        None for a part of a plan: what it leaves out isn't settled.
        """
        if self.plan.partial:
            return {}
        wanted, live = self.desired.snapshot, self.live.snapshot
        static = {change.path for change in self.plan.changes if isinstance(change, DeleteStatic)}
        storage_files = {change.path for change in self.plan.changes if isinstance(change, DeleteStorageFile)}
        return {
            ledger.STATIC: ledger_cleanup(wanted.static, live.static, static),
            ledger.STORAGE: ledger_cleanup(wanted.storage, live.storage, storage_files),
        }

    @property
    def has_leftover_work(self) -> bool:
        """Whether an apply has something to do even where the plan is empty: checks, or rows of the ledger."""
        return self.checks_pending or any(self.ledger_cleanup().values())

    @property
    def checks_pending(self) -> bool:
        """Whether the last deploy didn't get through its checks: then they are owed, also without changes."""
        last = self.live.ledger_facts.get("last")
        return bool(self.desired.manifest.verify and last and last.get("status") not in _SUCCESS_STATUSES)

    @property
    def has_work(self) -> bool:
        """Whether there is anything to apply: changes, or what is owed and looks at the whole."""
        return not self.plan.empty or (self.has_leftover_work and not self.plan.partial)
