"""The context that every step of an apply gets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mosaic_deploy.deploy.planning.planned import PreparedPlan
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.responses import Row
from mosaic_deploy.live.ledger.lease import Heartbeat, lease_lost_error
from mosaic_deploy.live.ledger.lease_sql import LeaseRequest
from mosaic_deploy.model.change import Change
from mosaic_deploy.model.event import StillRunning
from mosaic_deploy.model.snapshot import Project


@dataclass(frozen=True, slots=True)
class Run:
    """A running apply, with its lease."""

    api: Api
    planned: PreparedPlan
    project: Project
    claim: LeaseRequest
    heartbeat: Heartbeat
    parallelism: int
    on_running: Callable[[StillRunning], None] | None = None
    """As in ApplyOptions."""

    @property
    def created(self) -> bool:
        """Whether this run created the project, so nothing live was read before."""
        return not self.planned.plan.project.id

    @property
    def changes(self) -> Iterable[Change]:
        return self.planned.plan.changes

    def write(self, statement: str) -> None:
        """Sends a statement that writes to the ledger and checks the lease. Raises LockLost if it is lost."""
        self.heartbeat.check()
        rows: list[Row] = self.api.sql(self.project.id, statement)
        if rows and "held" in rows[0] and int(rows[0]["held"]) == 0:
            raise lease_lost_error()
