"""The error for a step that the guard stopped: it did more than was agreed to, or the schema isn't as it was rehearsed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mosaic_deploy.deploy.applying.run import Run
from mosaic_deploy.errors import (
    EffectsExceedConsent,
    EffectsNotMeasured,
    Location,
    MigrationError,
    NextAction,
    Problem,
    RehearsalDiffers,
    SchemaChanged,
)
from mosaic_deploy.live.catalog.schema_results import result_differences
from mosaic_deploy.live.catalog.touched_digests import changed_objects, schema_differences
from mosaic_deploy.live.database.existing import with_rows_before
from mosaic_deploy.live.database.failed_step import StepFailed
from mosaic_deploy.model.approval import DESTRUCTIVE
from mosaic_deploy.model.command_line import with_approvals, with_options
from mosaic_deploy.model.effects import EffectKind, Effects
from mosaic_deploy.model.manifest import PolicySpec
from mosaic_deploy.sql.guard.agreement import Agreement, Existing, agreed_to
from mosaic_deploy.sql.quote import as_written

_MAX_NAMED = 3
_CAUSES = "a trigger, a foreign key, a function or dynamic SQL may do this; the numbers were measured in its transaction"


_UNLIKE_REHEARSAL = (
    "somebody changed it since the plan was made. If the change is meant, add it to the files, or record it with "
    "`mosaic-deploy migrate drift --accept`; otherwise undo it"
)


_UNLIKE_RESULT = (
    "with live rows it does something else than without, or somebody changed the schema meanwhile, and policy.{}; make the change of "
    "the schema independent of rows"
)


def stopped_error(run: Run, failure: StepFailed, file: str, rolled_back: str) -> MigrationError | None:
    """The error of a step that the guard stopped; None if it failed for another reason. Arguments as below."""
    if failure.schema:
        return _schema_changed(run, failure, file)
    if failure.result:
        return _result_differs(run, failure, file, rolled_back)
    return _consent_exceeded(run, failure, file, rolled_back)


def _schema_changed(run: Run, failure: StepFailed, file: str) -> MigrationError:
    rehearsal = run.planned.plan.rehearsal
    rehearsed = rehearsal.objects if rehearsal else {}
    texts = schema_differences(failure.schema, rehearsed)
    more = f"; and {len(texts) - _MAX_NAMED} more" if len(texts) > _MAX_NAMED else ""
    step = f"step {failure.step.number} of " if failure.step.number > 1 else ""
    error = SchemaChanged(
        f"the schema isn't as it was rehearsed: {'; '.join(texts[:_MAX_NAMED])}{more} (nothing of {step}{file} ran)",
        location=Location(file),
        problems=[Problem(text, Location(file)) for text in texts] if more else [],
        hint=_UNLIKE_REHEARSAL,
    )
    error.objects = changed_objects(failure.schema, rehearsed)
    return error


def _result_differs(run: Run, failure: StepFailed, file: str, rolled_back: str) -> MigrationError:
    texts = result_differences(failure.result.get("objects"))
    more = f"; and {len(texts) - _MAX_NAMED} more" if len(texts) > _MAX_NAMED else ""
    policy = run.planned.desired.manifest.policy or PolicySpec()
    required = policy.rehearsed == "required"
    return RehearsalDiffers(
        f"{file} doesn't leave the schema that it left in the rehearsal: {'; '.join(texts[:_MAX_NAMED])}{more} ({rolled_back})",
        location=Location(file),
        problems=[Problem(text, Location(file)) for text in texts] if more else [],
        hint=_UNLIKE_RESULT.format("rehearsed is required" if required else "agents is proven"),
        next_actions=() if required else _without_rehearsal(run),
    )


def _without_rehearsal(run: Run) -> Sequence[NextAction]:
    again = "make the plan again" if run.apply_command != run.retry_command else "run it again"
    command = with_options(run.retry_command, "--no-rehearse")
    why = "if it is meant, and you accept that later plans can't be rehearsed"
    return (
        NextAction(f"{again}, once that is corrected", run.retry_command),
        NextAction(why, command, needs_person=True),
    )


def _consent_exceeded(run: Run, failure: StepFailed, file: str, rolled_back: str) -> MigrationError | None:
    """The error, with all that the step did beyond the agreement; None if it failed for another reason.

    `rolled_back` says what was: `rolled back with the 2 migrations before it`.
    """
    if failure.effects is None:
        return None
    denied = _denied_by_policy(run, failure.effects)
    actions = () if denied or run.allows_destroying else tuple(_approve(run))
    if not failure.effects:
        return EffectsNotMeasured(
            f"what {file} destroys can't be measured: track_counts is off, or it resets the session's settings ({rolled_back})",
            location=Location(file),
            hint="turn track_counts on for the role or the database, leave out RESET ALL, or approve destroying data",
            next_actions=actions,
        )
    texts = failure.effects.texts
    more = f"; and {len(texts) - _MAX_NAMED} more" if len(texts) > _MAX_NAMED else ""
    to_list = "" if _protected(run, failure.effects) else _listing_hint(run, failure.effects, file)
    return EffectsExceedConsent(
        f"{file} does more than the plan says: {'; '.join(texts[:_MAX_NAMED])}{more} ({rolled_back})",
        location=Location(file),
        problems=[Problem(text, Location(file)) for text in texts] if more else [],
        hint="; ".join(part for part in (_CAUSES, to_list or denied) if part),
        next_actions=actions,
    )


def approver(run: Run) -> Callable[[StepFailed], tuple[Agreement, Existing] | None]:
    """Asks a person about a step that did more than was agreed to. It returns what the step may do when it runs again, and what
    exists by then; None if
    nobody can be asked, no answer would be enough, or the answer is no.

    It adds to the failure's effects the rows of tables that were emptied or dropped.
    """

    def approve(failure: StepFailed) -> tuple[Agreement, Existing] | None:
        effects = failure.effects
        if run.ask is None or not effects or run.allows_destroying or _denied_by_policy(run, effects):
            return None
        failure.effects = effects = with_rows_before(run.api, run.project.id, run.existing(), effects)
        step = failure.step
        # What an earlier answer allowed was rolled back as well.
        run.approved.pop((step.file, step.number), None)
        if not run.ask(step.file, effects):
            return None
        agreed = agreed_to(effects, step.agreed)
        run.approved[step.file, step.number] = f"{step.file}: {'; '.join(agreed.measured.texts)}"
        return agreed, run.existing_after_question()

    return approve


def _listing_hint(run: Run, effects: Effects, file: str) -> str:
    """How the plan gets to list what is only updates, which then needs no more than `--yes`; "" if anything is lost."""
    if effects.objects or any(one.kinds != {EffectKind.UPDATED} for one in effects.tables):
        return ""
    names = ", ".join(as_written(one.table) for one in effects.tables)
    comment = f"name what {file} updates in a comment in it: -- mosaic-updates: {names}"
    rehearse = "" if run.planned.plan.rehearsal else "make the plan with a rehearsal, or "
    return f"to have the plan list these updates, so that --yes agrees to them, {rehearse}{comment}"


def _approve(run: Run) -> Iterator[NextAction]:
    is_saved = run.apply_command != run.retry_command
    if is_saved:
        yield NextAction("make the plan again", run.retry_command)
    command = with_approvals(run.apply_command, [DESTRUCTIVE])
    why = "then, if that is meant, approve it" if is_saved else "if that is meant, approve it"
    yield NextAction(why, command, needs_person=True)


def _denied_by_policy(run: Run, effects: Effects) -> str:
    """Why no option approves it; "" if one does."""
    policy = run.planned.desired.manifest.policy or PolicySpec()
    if protected := _protected(run, effects):
        return f"policy.protected_tables forbids it for {_listed(protected)}, with any option"
    return "policy.destructive is deny, which no option overrides" if policy.destructive == "deny" else ""


def _protected(run: Run, effects: Effects) -> list[str]:
    existing = run.existing()
    return [one.table.removeprefix("public.") for one in effects.tables if existing.protects(one.table)]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_MAX_NAMED]) + (" and more" if len(names) > _MAX_NAMED else "")
