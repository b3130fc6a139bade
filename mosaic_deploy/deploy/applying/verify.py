"""Runs the checks of `verify.http` after an apply."""

from __future__ import annotations

import time
from collections.abc import Iterator

from mosaic_deploy.deploy.applying.run import Run
from mosaic_deploy.errors import Location, MosaicError, VerifyFailed
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.model.event import Event, Noted, Verified, Waiting
from mosaic_deploy.model.manifest import HttpCheck
from mosaic_deploy.model.plan import Note

_CHECK_TIMEOUT = 10.0
"""Seconds in which a check must pass: the platform may need a moment to serve new files."""
_POLL_INTERVAL = 0.25


def verify(run: Run) -> Iterator[Event]:
    """Yields Verified for each passed check, and Waiting once for a check that hasn't passed yet.

    Raises VerifyFailed for the first one that doesn't pass in time. After a partial plan no checks run, because they
    may depend on what was left out.
    """
    if run.planned.plan.partial:
        if run.planned.desired.manifest.verify:
            yield Noted(Note("checks_postponed", _CHECKS_POSTPONED))
        return
    manifest = run.planned.desired.manifest
    for number, check in enumerate(manifest.verify):
        place = manifest.locate(f"verify.http[{number}].path")
        yield from _await_check(run.api, run.project.url + check.path, check, place)


_CHECKS_POSTPONED = "the checks of verify.http will run with the next complete apply"


def _await_check(api: Api, url: str, check: HttpCheck, place: Location) -> Iterator[Waiting | Verified]:
    began = time.monotonic()
    reported = False
    while True:
        found, status = _run_check(api, url, check)
        waited = time.monotonic() - began
        if found is None:
            yield Verified(url, status, waited)
            return
        if waited > _CHECK_TIMEOUT:
            raise VerifyFailed(
                f"{url}: {found}",
                hint="everything in the plan was applied; fix the page or the check, then apply again",
                location=place,
                mutation_state="committed",
            )
        if not reported:
            reported = True
            yield Waiting(f"for {url}, up to {_CHECK_TIMEOUT:.0f} s: {found}", waited)
        time.sleep(_POLL_INTERVAL)


def _run_check(api: Api, url: str, check: HttpCheck) -> tuple[str | None, int]:
    """Why the check fails (None if it passes), and the HTTP status."""
    try:
        response = api.fetch(url)
    except MosaicError as error:
        return error.message, 0
    if response.status_code != check.status:
        return f"status {response.status_code}, expected {check.status}", response.status_code
    if check.contains is not None and check.contains not in response.text:
        return f"the page doesn't contain {check.contains!r}", response.status_code
    return None, response.status_code
