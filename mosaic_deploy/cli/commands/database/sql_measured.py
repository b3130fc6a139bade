"""Runs SQL of a person. What it does to rows and objects that exist is measured; more than was agreed to is rolled back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from mosaic_deploy.cli.commands.database.sql_review import SqlReview, require_sql_approval
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.api_access import command_line
from mosaic_deploy.cli.terminal.consent import is_interactive, require_approvals
from mosaic_deploy.errors import (
    DestructiveUnconfirmed,
    EffectsExceedConsent,
    EffectsNotMeasured,
    Location,
    PolicyDenied,
    Problem,
    SqlFailed,
)
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.error_mapping import MULTIPLE_COMMANDS_ERROR
from mosaic_deploy.live.api.responses import SqlResult
from mosaic_deploy.live.database.existing import read_existing_now, with_rows_before
from mosaic_deploy.model.approval import DESTRUCTIVE, Approval
from mosaic_deploy.model.effects import EffectKind, Effects, parse_effects
from mosaic_deploy.model.manifest import PolicySpec
from mosaic_deploy.sql.execution.failure import parse_failure
from mosaic_deploy.sql.guard.agreement import EXCEEDED, NOT_MEASURED, Agreement, Existing, agreed_to
from mosaic_deploy.sql.guard.request import measured_request
from mosaic_deploy.sql.marker import STATEMENT_FAILED
from mosaic_deploy.sql.quote import as_written

_INDIRECT = "changes what exists, by a trigger, rule, function, block or foreign key"
_QUESTION = "Run it anyway?"


def run_reviewed(
    screen: Screen,
    api: Api,
    project: str,
    review: SqlReview,
    allow: Collection[str],
    refuse_changed: Callable[[], None],
) -> SqlResult:
    """The result of SQL that may be sent as far as its text shows. Raises as `_run_measured`."""
    if review.measurable:
        result = _run_measured(screen, api, project, review, allow, refuse_changed)
        if result is not None:
            return result
        review = replace(review, measurable=False)
        if require_sql_approval(screen, review, allow):
            refuse_changed()
    return api.run_sql(project, review.text, idempotent=False)


def _run_measured(
    screen: Screen,
    api: Api,
    project: str,
    review: SqlReview,
    allow: Collection[str],
    refuse_changed: Callable[[], None],
) -> SqlResult | None:
    """The result; None if this endpoint accepts one statement per request, so nothing can be measured, and nothing ran.

    The first attempt may do what is agreed to by the text and by `allow`. If it does more, it is rolled back, a person is asked
    with the real numbers, `refuse_changed` is called, what exists is read again, and it runs again, bound to the numbers.
    Raises PolicyDenied, DestructiveUnconfirmed, Declined, EffectsExceedConsent, SqlFailed, ApiError.
    """
    policy = review.policy or PolicySpec()
    # Rows may move to partitions without rows, which is no delete if these are watched too.
    filled = review.writes.moves if review.writes else ()
    existing = read_existing_now(api, project, policy.protected_tables, filled)
    by_option = DESTRUCTIVE in allow and policy.destructive != "deny"
    agreed = review.agreement(anything=by_option or policy.destructive == "allow")
    try:
        return _run(api, project, review.text, existing, agreed)
    except _Exceeded as exceeded:
        effects = exceeded.effects
    except SqlFailed as error:
        if MULTIPLE_COMMANDS_ERROR in error.message:
            return None
        raise
    _refuse_denied(review, effects, existing, policy)
    effects = with_rows_before(api, project, existing, effects)
    found = review.plan.to_confirm if review.plan else ()
    problems = (
        *(Problem(text, Location(review.name)) for text in effects.texts),
        *(Problem(hazard.message, hazard.location) for hazard in found),
    )
    # The effects are listed once: in a terminal above the question, else as the error's problems.
    what = "changes what exists" if found else _INDIRECT
    if is_listed := is_interactive():
        screen.print_notice(effects.texts)
    approval = Approval(DESTRUCTIVE, DESTRUCTIVE, what, () if is_listed else problems)
    try:
        require_approvals([approval], allow, command_line(), _QUESTION)
    except DestructiveUnconfirmed as error:
        if updated := _only_updated(effects):
            error.hint = f"{error.hint}. To approve only these updates, end the SQL with a line: -- mosaic-updates: {', '.join(updated)}"
        raise
    refuse_changed()
    existing = read_existing_now(api, project, policy.protected_tables, filled)
    try:
        return _run(api, project, review.text, existing, agreed_to(effects, agreed))
    except _Exceeded as exceeded:
        raise EffectsExceedConsent(
            f"the data changed while the question was open; now this {'; '.join(exceeded.effects.texts)} (rolled back)",
            hint="run the same command again to be asked with the new numbers",
        ) from None


def _only_updated(effects: Effects) -> Sequence[str]:
    """The tables of which rows are updated, as SQL, if nothing else happens to what exists."""
    changed = [one for one in effects.tables if one.kinds]
    if effects.objects or any(one.kinds != {EffectKind.UPDATED} for one in changed):
        return ()
    return [as_written(one.table) for one in changed]


class _Exceeded(Exception):
    def __init__(self, effects: Effects) -> None:
        super().__init__(effects.texts)
        self.effects = effects


def _run(api: Api, project: str, text: str, existing: Existing, agreed: Agreement) -> SqlResult:
    if not existing:
        return api.run_sql(project, text, idempotent=False)
    request = measured_request(text, existing, agreed)
    try:
        return api.run_sql(project, request, idempotent=False)
    except SqlFailed as error:
        failure = parse_failure(error.message)
        if failure is None or failure.code not in (EXCEEDED, NOT_MEASURED):
            if error.position is not None:
                error.position -= len(request) - len(text) - 1
            if failure is not None and failure.code == STATEMENT_FAILED:
                error.message = failure.message
            raise
        if failure.code == NOT_MEASURED:
            raise EffectsNotMeasured(
                "PostgreSQL doesn't count rows here (track_counts is off), so what this SQL destroys can't be measured (rolled back)",
                hint="turn track_counts on for the role or the database, or pass --allow destructive",
            ) from None
        raise _Exceeded(parse_effects(failure.effects)) from None


def _refuse_denied(review: SqlReview, effects: Effects, existing: Existing, policy: PolicySpec) -> None:
    """Raises PolicyDenied if the policy forbids these effects."""
    denied = [one for one in effects.tables if policy.destructive == "deny" or existing.protects(one.table)]
    why = "policy.destructive is deny" if policy.destructive == "deny" else "it is in policy.protected_tables"
    texts = [f"{one.text}; {why}" for one in denied]
    if policy.destructive == "deny":
        texts += [f"drops {name}" for name in effects.objects]
    if texts:
        raise PolicyDenied(
            "the manifest's policy forbids this SQL; it was rolled back",
            problems=[Problem(text, Location(review.name)) for text in texts],
            hint="change the SQL, or the policy in the manifest",
        )
