"""`mosaic-deploy explain CODE`: cause and cure of an error's or a finding's code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.render.text.layout import markdown_lines
from mosaic_deploy.errors import NextAction, UsageInvalid
from mosaic_deploy.schema_files import read_bundled_schema_text
from mosaic_deploy.shipped_docs import Explanation, find_explanation, read_explanations, similar_codes


@click.command()
@click.argument("code", required=False)
@options.output
@click.pass_obj
def explain(screen: Screen, code: str | None) -> None:
    """Tell what an error's or a lint finding's CODE means, what causes it and what to do.

    Without CODE: list them all. Needs no network.
    """
    if code is None:
        every = list(read_explanations())
        document = {"type": "codes", "codes": [{"code": each.code, "source": each.source} for each in every]}
        screen.result(document, _code_lines(every))
        return
    found = require_explanation(code)
    document = {"type": "explanation", "code": found.code, "source": found.source, "text": found.text}
    screen.result(document, [f"{found.code} ({found.source})", "", *markdown_lines(found.text)])


def require_explanation(code: str) -> Explanation:
    """Cause and cure of a code. Raises UsageInvalid with the ones that may be meant."""
    found = find_explanation(code)
    if found is None:
        near = similar_codes(code)
        meant = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UsageInvalid(
            f"there is no code {code!r}{meant}",
            hint="`mosaic-deploy explain` lists them",
            next_actions=[NextAction(f"what {each} means", f"mosaic-deploy explain {each}") for each in near],
        )
    return found


def _code_lines(every: Sequence[Explanation]) -> Iterator[str]:
    for source in dict.fromkeys(each.source for each in every):
        yield f"{source}:"
        yield from (f"  {each.code}" for each in every if each.source == source)


_NAMES = {
    "manifest": "mosaic.schema.json",
    "plan": "plan.schema.json",
    "event": "event.schema.json",
    "error": "error.schema.json",
}


@click.command()
@click.argument("name", type=click.Choice(list(_NAMES)), default="manifest")
@click.pass_obj
def schema(screen: Screen, name: str) -> None:
    """Print a JSON Schema (draft 2020-12): of mosaic.yaml, or of a plan, an ndjson line or an error.

    NAME is manifest (the default), plan, event or error. Each is whole: what it refers to is in it.
    """
    screen.text(read_bundled_schema_text(_NAMES[name]))
