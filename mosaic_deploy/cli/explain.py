"""`mosaic-deploy explain CODE`: cause and cure of an error's or a finding's code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.shipped_docs import Explanation, explanation, explanations, near_codes


@click.command()
@click.argument("code", required=False)
@options.output
@click.pass_obj
def explain(screen: Screen, code: str | None) -> None:
    """Tell what an error's or a lint finding's CODE means, what causes it and what to do.

    Without CODE: list them all. Needs no network.
    """
    if code is None:
        every = list(explanations())
        document = {"type": "codes", "codes": [{"code": each.code, "source": each.source} for each in every]}
        screen.answer(document, _code_lines(every))
        return
    found = explanation(code)
    if found is None:
        near = near_codes(code)
        meant = f" Did you mean {' or '.join(near)}?" if near else ""
        raise click.UsageError(f"there is no code {code!r}.{meant} `mosaic-deploy explain` lists them.")
    document = {"type": "explanation", "code": found.code, "source": found.source, "text": found.text}
    screen.answer(document, [f"{found.code} ({found.source})", "", *found.text.splitlines()])


def _code_lines(every: Sequence[Explanation]) -> Iterator[str]:
    for source in dict.fromkeys(each.source for each in every):
        yield f"{source}:"
        yield from (f"  {each.code}" for each in every if each.source == source)
