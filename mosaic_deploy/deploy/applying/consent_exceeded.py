"""The error for a step that the guard stopped: it did more than was agreed to."""

from __future__ import annotations

from mosaic_deploy.deploy.applying.run import Run
from mosaic_deploy.errors import (
    EffectsExceedConsent,
    EffectsNotMeasured,
    Location,
    MigrationError,
    NextAction,
    Problem,
)
from mosaic_deploy.live.database.failed_step import StepFailed
from mosaic_deploy.model.approval import DESTRUCTIVE
from mosaic_deploy.model.command_line import with_approvals

_MAX_NAMED = 3


def consent_exceeded(run: Run, failure: StepFailed, file: str, rolled_back: str) -> MigrationError | None:
    """The error, with all that the step did beyond the agreement; None if it failed for another reason.

    `rolled_back` says what was: `rolled back with the 2 migrations before it`.
    """
    if failure.effects is None:
        return None
    approve = NextAction(
        "if that is meant, approve it", with_approvals(run.retry_command, [DESTRUCTIVE]), needs_person=True
    )
    if not failure.effects:
        return EffectsNotMeasured(
            f"what {file} destroys can't be measured: track_counts is off, or it resets the session's settings ({rolled_back})",
            location=Location(file),
            hint="turn track_counts on for the role or the database, leave out RESET ALL, or approve destroying data",
            next_actions=[approve],
        )
    texts = failure.effects.texts
    more = f"; and {len(texts) - _MAX_NAMED} more" if len(texts) > _MAX_NAMED else ""
    return EffectsExceedConsent(
        f"{file} does more than the plan says: {'; '.join(texts[:_MAX_NAMED])}{more} ({rolled_back})",
        location=Location(file),
        problems=[Problem(text, Location(file)) for text in texts],
        hint="a trigger, a foreign key, a function or dynamic SQL may do this; the numbers were measured in its transaction",
        next_actions=[approve],
    )
