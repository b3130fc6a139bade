"""`mosaic-deploy verify`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from mosaic_deploy.cli import folder_option, options
from mosaic_deploy.cli.render.json_documents import location_document
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import TargetOptions
from mosaic_deploy.cli.visible_text import style
from mosaic_deploy.errors import ChecksNotConfigured
from mosaic_deploy.model.quantities import count_text

if TYPE_CHECKING:
    from mosaic_deploy.cli.target.session import Session
    from mosaic_deploy.deploy.checks.outcome import CheckResult
    from mosaic_deploy.model.snapshot import Project


@click.command()
@options.target_options
@click.option(
    "--wait",
    type=options.NumberRange(click.FloatRange(0, 600)),
    default=0.0,
    metavar="SECONDS",
    help="Repeat a failing check for up to N seconds (default: 0). Requests that may change something run once.",
)
@options.output
@click.pass_obj
def verify(screen: Screen, target_options: TargetOptions, wait: float) -> int:
    """Run the checks of the manifest against the live project. Exits with 1 if one fails.

    Runs all checks of the verify section, and deploys nothing. The sign-in check sends one email.
    PATH is a folder with a mosaic.yaml, or a manifest.

    \b
    Examples:
      mosaic-deploy verify
      mosaic-deploy verify --env production --wait 30
    """
    session = target_options.open()
    with session:
        if not session.manifest.verify:
            raise ChecksNotConfigured(
                f"{session.manifest.file.name} has no checks",
                hint="add some under verify, for example: verify: {http: [{path: /}]}",
            )
        screen.address_notice(session.address_notice)
        project = folder_option.find_project(session)
        results = list(_results(screen, session, project, wait))
    screen.result(_document(project, results), _lines(results))
    return 1 if _count(results, "failed") else 0


def _results(screen: Screen, session: Session, project: Project, wait: float) -> Iterator[CheckResult]:
    from mosaic_deploy.deploy.checks.run_checks import run_checks
    from mosaic_deploy.model.event import Waiting

    for each in run_checks(session.api, project, session.manifest, wait=wait):
        if isinstance(each, Waiting):
            screen.waiting(each)
        else:
            yield each


def _document(project: Project, results: Sequence[CheckResult]) -> dict[str, Any]:
    return {
        "type": "verify",
        "project": asdict(project),
        "passed": not _count(results, "failed"),
        "checks": [
            {
                "kind": each.check.kind,
                "check": each.check.name,
                "status": each.outcome.status,
                "message": each.outcome.message,
                "location": location_document(each.check.location),
                "seconds": round(each.seconds, 3),
            }
            for each in results
        ],
    }


_MARKS = {"passed": ("ok", "green"), "failed": ("fail", "red"), "skipped": ("skip", "yellow")}


def _lines(results: Sequence[CheckResult]) -> Iterator[str]:
    for each in results:
        mark, color = _MARKS[each.outcome.status]
        place = f"  ({each.check.location})" if each.outcome.status == "failed" else ""
        text = f"{each.check.name}: {each.outcome.message}"
        yield f"{style(f'{mark:<6}', fg=color)}{text}{place}"
    counts = [(_count(results, status), status) for status in _MARKS]
    yield f"{count_text(len(results), 'check')}: {', '.join(f'{count} {status}' for count, status in counts if count)}"


def _count(results: Sequence[CheckResult], status: str) -> int:
    return sum(each.outcome.status == status for each in results)
