"""`mosaic-deploy doctor`: what stands in the way of a deploy, each with its cure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.account import parameters
from mosaic_deploy.cli.account.checkup import Finding, Verdict, examine
from mosaic_deploy.cli.render.screen import Screen

_MARKS = {Verdict.GOOD: ("ok", "green"), Verdict.ODD: ("odd", "yellow"), Verdict.BAD: ("bad", "red")}


@click.command(cls=parameters.InFolder)
@click.option(
    "--in",
    "path",
    type=click.Path(),
    default=".",
    show_default=True,
    metavar="PATH",
    help="The project's folder.",
)
@click.option("--local", is_flag=True, help="Examine the embedded platform instead of the account.")
@options.output
@click.pass_obj
def doctor(screen: Screen, path: str, local: bool) -> int:
    """Examine key, API, clock, versions, folders and the embedded platform, and tell the cure of what is wrong.

    Changes nothing. The exit code is 1 where something would stop a deploy.
    """
    found = list(examine(Path(path), local=local))
    screen.answer({"type": "doctor", "findings": [asdict(each) for each in found]}, _lines(found))
    return 1 if any(each.verdict is Verdict.BAD for each in found) else 0


def _lines(found: Sequence[Finding]) -> Iterator[str]:
    width = max(len(each.subject) for each in found)
    for each in found:
        mark, color = _MARKS[each.verdict]
        yield f"{click.style(f'{mark:<4}', fg=color)}{each.subject:<{width}}  {each.told}"
        if each.cure:
            yield f"    {'':<{width}}  → {each.cure}"
