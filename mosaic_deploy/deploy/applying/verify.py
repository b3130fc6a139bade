"""Runs the checks of `verify` at the end of an apply, and records that they passed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mosaic_deploy.deploy.applying.run import Run
from mosaic_deploy.deploy.checks.outcome import CheckResult, CheckStatus
from mosaic_deploy.deploy.checks.run_checks import run_checks
from mosaic_deploy.diff.check_record import passed_record
from mosaic_deploy.errors import Problem, VerifyFailed
from mosaic_deploy.live.ledger.read import checks_setting
from mosaic_deploy.live.ledger.rows import write_setting_sql
from mosaic_deploy.model.event import Event, Noted, Verified
from mosaic_deploy.model.plan import Note, Severity

_CHECK_TIMEOUT = 10.0
"""Seconds for which failing checks are repeated: the platform may need a moment to serve new files."""


def verify(run: Run) -> Iterator[Event]:
    """Yields Verified for each passed check, Noted for a skipped one, and Waiting once for one that hasn't passed yet.

    Raises VerifyFailed for those that don't pass in time. After a partial plan no checks run, because they
    may depend on what was left out. A magic link is sent only if sign-in or the checks have changed.
    """
    manifest = run.planned.desired.manifest
    if run.planned.plan.partial:
        if manifest.verify:
            yield Noted(Note("checks_postponed", _CHECKS_POSTPONED))
        return
    with_email = run.planned.check_record.sends_link(manifest.verify, sets_auth=run.planned.sets_auth)
    failed: list[CheckResult] = []
    for each in run_checks(
        run.api,
        run.project,
        manifest,
        wait=_CHECK_TIMEOUT,
        with_email=with_email,
        superseded=run.superseded,
    ):
        if not isinstance(each, CheckResult):
            yield each
        elif each.outcome.status is CheckStatus.FAILED:
            failed.append(each)
        else:
            yield _event(each)
    if failed:
        raise _verify_failed(failed, applied=any(run.changes))
    if manifest.verify:
        name = checks_setting(run.planned.desired.snapshot.manifest)
        value = passed_record(manifest.verify)
        run.write(write_setting_sql(name, value, run.claim.token, run.claim.deploy_id))


_CHECKS_POSTPONED = "the checks of verify will run with the next complete apply"


def _event(result: CheckResult) -> Verified | Noted:
    check, outcome = result.check, result.outcome
    if outcome.status is CheckStatus.SKIPPED:
        return Noted(Note("check_skipped", f"{check.name}: {outcome.message}", Severity.WARNING))
    return Verified(check.kind, check.name, outcome.message, result.seconds)


def _verify_failed(failed: Sequence[CheckResult], *, applied: bool) -> VerifyFailed:
    """The error for all failed checks. `applied`: the plan had changes, which are live."""
    done = "everything in the plan was applied; " if applied else ""
    texts = [(f"{one.check.name}: {one.outcome.message}", one.check.location) for one in failed]
    alone = len(texts) == 1
    return VerifyFailed(
        texts[0][0] if alone else f"{len(texts)} checks failed",
        hint=f"{done}fix the project or the check, then apply again",
        location=texts[0][1] if alone else None,
        problems=() if alone else [Problem(text, location) for text, location in texts],
        mutation_state="committed" if applied else "none",
    )
