"""The checks of a manifest, in order: requests, queries, the magic link."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import groupby

from mosaic_deploy.deploy.checks.http_check import REPEATABLE_METHODS, check_http
from mosaic_deploy.deploy.checks.http_check import check_name as http_check_name
from mosaic_deploy.deploy.checks.magic_link_check import check_magic_link
from mosaic_deploy.deploy.checks.outcome import Check, CheckResult, CheckStatus, Outcome
from mosaic_deploy.deploy.checks.sql_check import check_name as sql_check_name
from mosaic_deploy.deploy.checks.sql_check import check_sql
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.model.event import Waiting
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.model.snapshot import Project
from mosaic_deploy.model.variable_value import VariableValue, hide_values, revealed_text

_POLL_INTERVAL = 0.25


def run_checks(
    api: Api,
    project: Project,
    manifest: Manifest,
    *,
    wait: float,
    with_email: bool = True,
    superseded: Callable[[], bool] = lambda: False,
) -> Iterator[Waiting | CheckResult]:
    """Runs all checks, also after one has failed. Those that fail run again until they pass, for `wait` seconds.

    Yields each result when it is known, so those that fail in the end come last, and Waiting once for each check
    that doesn't pass at first. A check that isn't repeatable runs once, when all before it have ended.
    The wait also ends when `superseded`: another deploy will run them again.
    Without `with_email`, the check of the magic link is left out: a project may send only a few emails a day.
    """
    hidden = manifest.verify.variable_values()
    checks = (
        replace(check, run=partial(_run_hiding, check.run, hidden))
        for check in _checks(api, project, manifest, with_email=with_email)
    )
    for repeatable, group in groupby(checks, key=lambda check: check.repeatable):
        yield from _run_group(group, wait if repeatable else 0, superseded)


def _run_hiding(run: Callable[[], Outcome], hidden: frozenset[VariableValue]) -> Outcome:
    """The outcome, without values of variables: a response or PostgreSQL's message may repeat what was sent."""
    outcome = run()
    return replace(outcome, message=hide_values(outcome.message, hidden))


def _run_group(
    checks: Iterator[Check], wait: float, superseded: Callable[[], bool]
) -> Iterator[Waiting | CheckResult]:
    """Runs each check once, then those that failed again. They share the `wait` seconds."""
    failing: list[tuple[Check, float]] = []
    for check in checks:
        began = time.monotonic()
        result = _attempt(check, began)
        if wait and result.outcome.status is CheckStatus.FAILED:
            failing.append((check, began))
            reason = f"for {check.name}, up to {wait:.0f} s: {result.outcome.message}"
            yield Waiting(reason, result.seconds)
        else:
            yield result
    end = time.monotonic() + wait
    while failing:
        time.sleep(_POLL_INTERVAL)
        # Decided for all at once, so that they come in their order.
        is_last = time.monotonic() >= end or superseded()
        repeated, failing = failing, []
        for check, began in repeated:
            result = _attempt(check, began)
            if result.outcome.status is CheckStatus.FAILED and not is_last:
                failing.append((check, began))
            else:
                yield result


def _attempt(check: Check, began: float) -> CheckResult:
    return CheckResult(check, check.run(), time.monotonic() - began)


def _checks(api: Api, project: Project, manifest: Manifest, *, with_email: bool) -> Iterator[Check]:
    for number, http in enumerate(manifest.verify.http):
        yield Check(
            "http",
            http_check_name(project.url, http),
            manifest.locate(f"verify.http[{number}].path"),
            partial(check_http, api, project.url, http),
            repeatable=revealed_text(http.method) in REPEATABLE_METHODS,
        )
    for number, sql in enumerate(manifest.verify.sql):
        yield Check(
            "sql",
            sql_check_name(sql),
            manifest.locate(f"verify.sql[{number}].query"),
            partial(check_sql, api, project.id, sql),
        )
    link = manifest.verify.magic_link
    if link is None or not with_email:
        return
    settings = manifest.magic_link
    page = revealed_text(link.redirect_url or (settings.redirect_url if settings else "/"))
    yield Check(
        "magic_link",
        f"magic link to {link.email}",
        manifest.locate("verify.magic_link"),
        partial(check_magic_link, api, project, revealed_text(link.email), page),
        repeatable=False,
    )
