"""The checks of a manifest, in order: requests, queries, the magic link."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from mosaic_deploy.deploy.checks.http_check import REPEATABLE_METHODS, check_http
from mosaic_deploy.deploy.checks.http_check import check_name as http_check_name
from mosaic_deploy.deploy.checks.magic_link_check import check_magic_link
from mosaic_deploy.deploy.checks.outcome import Check, CheckResult, Outcome, run_check
from mosaic_deploy.deploy.checks.sql_check import check_name as sql_check_name
from mosaic_deploy.deploy.checks.sql_check import check_sql
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.model.event import Waiting
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.model.snapshot import Project
from mosaic_deploy.model.variable_value import VariableValue, hide_values, revealed_text


def run_checks(
    api: Api, project: Project, manifest: Manifest, *, wait: float, with_email: bool = True
) -> Iterator[Waiting | CheckResult]:
    """Runs all checks, also after one has failed. Each may take `wait` seconds to pass.

    Without `with_email`, the check of the magic link is left out: a project may send only a few emails a day.
    """
    hidden = manifest.verify.variable_values()
    for check in _checks(api, project, manifest, with_email=with_email):
        yield from run_check(replace(check, run=partial(_run_hiding, check.run, hidden)), wait)


def _run_hiding(run: Callable[[], Outcome], hidden: frozenset[VariableValue]) -> Outcome:
    """The outcome, without values of variables: a response or PostgreSQL's message may repeat what was sent."""
    outcome = run()
    return replace(outcome, message=hide_values(outcome.message, hidden))


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
