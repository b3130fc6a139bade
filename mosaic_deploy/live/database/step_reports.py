"""Collects what the steps of migrations report, from the notices of the requests that run them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mosaic_deploy.model.event import SqlNotice, StepReport
from mosaic_deploy.sql.execution.report import StepKey, parse_report
from mosaic_deploy.sql.guard.locks import LocksHeld, parse_locks
from mosaic_deploy.sql.guard.rehearsed import parse_observed


class StepReports:
    """Reports by step. `dropped`: the endpoint returns no notices, so there are none.

    A step's own report comes after its notices. Notices without one belong to the step that was running: it failed, or
    ran outside a transaction.
    """

    def __init__(self) -> None:
        self.dropped = False
        self.locks: dict[StepKey, list[LocksHeld]] = {}
        """In a rehearsal, what each step held after its statements, in order."""
        self.relations: dict[StepKey, Mapping[str, frozenset[str]]] = {}
        """In a rehearsal, what each step locked: SQL names with the modes."""
        self._by_step: dict[StepKey, StepReport] = {}
        self._unclaimed: list[SqlNotice] = []

    def add_response(self, notices: tuple[SqlNotice, ...] | None) -> None:
        """Adds the notices of one response. A step that is run again replaces its report."""
        if notices is None:
            self.dropped = True
            return
        new: dict[StepKey, StepReport] = {}
        locks: dict[StepKey, list[LocksHeld]] = {}
        for notice in notices:
            if notice.severity == "INFO" and (held := parse_locks(notice.message)):
                locks.setdefault((held.version, held.step), []).append(held)
                continue
            if notice.severity == "INFO" and (observed := parse_observed(notice.message)):
                self.relations[observed[0]] = observed[1]
                continue
            report = parse_report(notice.message) if notice.severity == "INFO" else None
            if report is None:
                self._unclaimed.append(notice)
                continue
            before, rows = new.get(report.key, StepReport()), report.rows
            total = {verb: before.rows.get(verb, 0) + rows.get(verb, 0) for verb in {**before.rows, **rows}}
            notices = (*before.notices, *self.take_unclaimed())
            new[report.key] = StepReport(report.seconds, total, notices, report.tables or before.tables)
        self._by_step.update(new)
        self.locks.update(locks)

    def take_unclaimed(self) -> tuple[SqlNotice, ...]:
        """The notices of the step that was running, which are then forgotten."""
        taken, self._unclaimed = tuple(self._unclaimed), []
        return taken

    def of(self, key: StepKey, seconds: float) -> StepReport:
        """The report of a committed step; `seconds` if it has none."""
        found = self._by_step.get(key) or StepReport(notices=self.take_unclaimed())
        return found if found.seconds is not None else replace(found, seconds=seconds)
