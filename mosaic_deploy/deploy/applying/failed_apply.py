"""What an apply that failed reports: what is done, what isn't, and which commands continue."""

from __future__ import annotations

import time
from collections.abc import Sequence

from mosaic_deploy.deploy.applying.run import ApplyOptions
from mosaic_deploy.errors import (
    EffectsExceedConsent,
    Forbidden,
    LockHeld,
    ManifestInvalid,
    MosaicError,
    NextAction,
    PlanStale,
    RehearsalDiffers,
    RequestBlocked,
    RequestRefused,
    SchemaChanged,
    StatementFailed,
    Unauthorized,
)
from mosaic_deploy.live.database.failed_step import LOCK_NOT_AVAILABLE
from mosaic_deploy.model.change import Change
from mosaic_deploy.model.command_line import with_options
from mosaic_deploy.model.event import ApplyFailed
from mosaic_deploy.sql.execution.empty_tables import ROWS_APPEARED

_NOTHING_TO_CORRECT = frozenset({LOCK_NOT_AVAILABLE, ROWS_APPEARED})
"""SQLSTATEs of statements that are right as they are."""
_NOT_AGAIN = (
    ManifestInvalid,
    EffectsExceedConsent,
    RehearsalDiffers,
    Unauthorized,
    Forbidden,
    RequestBlocked,
    RequestRefused,
)
"""What fails again as long as nothing is corrected."""


def apply_failed(
    error: MosaicError,
    changes: Sequence[Change],
    done: Sequence[Change],
    failing: Change | None,
    options: ApplyOptions,
    began: float,
) -> ApplyFailed:
    finished = {change.address for change in done}
    failed = failing.address if failing else None
    remaining = tuple(c.address for c in changes if c.address not in finished and c.address != failed)
    if done and not remaining and not failed:
        error.mutation_state = "committed"
    elif done and error.mutation_state == "none":
        error.mutation_state = "partial"
    if not error.next_actions:
        error.next_actions = _next_actions(error, options)
    return ApplyFailed(error, tuple(c.address for c in done), failed, remaining, time.monotonic() - began)


def _next_actions(error: MosaicError, options: ApplyOptions) -> tuple[NextAction, ...]:
    is_saved = options.apply_command not in ("", options.retry_command)
    if isinstance(error, PlanStale | SchemaChanged):
        new = "make a new plan" if is_saved else "see the new plan, and apply it"
        return (NextAction(new, options.retry_command),)
    if isinstance(error, LockHeld) and not options.force_unlock:
        force = NextAction(
            "if that deploy is dead", with_options(options.retry_command, "--force-unlock"), needs_person=True
        )
        return (NextAction("continue when it has ended", options.retry_command), force)
    to_correct = isinstance(error, _NOT_AGAIN) or (
        isinstance(error, StatementFailed) and error.sqlstate not in _NOTHING_TO_CORRECT
    )
    again = "make the plan again" if is_saved else "run it again"
    again += ", once that is corrected" if to_correct else ""
    return (NextAction(again, options.retry_command),)
