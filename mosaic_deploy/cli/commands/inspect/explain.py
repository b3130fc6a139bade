"""`mosaic-deploy explain` and `mosaic-deploy schema`: what the installed documentation and schemas say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.render.layout import markdown_lines
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.errors import NextAction, UsageInvalid
from mosaic_deploy.schema_files import read_bundled_schema_text
from mosaic_deploy.shipped_docs import Explanation, find_explanation, read_explanations, similar_codes


@click.command()
@click.argument("code", required=False)
@options.output
@click.pass_obj
def explain(screen: Screen, code: str | None) -> None:
    """Explain an error or lint code. Shows what it means, its causes and what to do; runs offline.

    Without CODE, lists all codes.

    \b
    Examples:
      mosaic-deploy explain lock_held
      mosaic-deploy explain
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
    """The explanation of a code. Raises UsageInvalid with similar codes."""
    found = find_explanation(code)
    if found is None:
        near = similar_codes(code)
        suggestion = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UsageInvalid(
            f"unknown code {code!r}{suggestion}",
            hint="`mosaic-deploy explain` lists all codes",
            next_actions=[NextAction(f"explain {each}", f"mosaic-deploy explain {each}") for each in near],
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
@click.argument("name", type=click.Choice(list(_NAMES)), default="manifest", metavar="[NAME]")
@click.pass_obj
def schema(screen: Screen, name: str) -> None:
    """Print a JSON Schema. It is draft 2020-12 and self-contained.

    NAME is manifest (mosaic.yaml, the default), plan, event (a line of ndjson output) or error.

    \b
    Example:
      mosaic-deploy schema > mosaic.schema.json
    """
    screen.text(read_bundled_schema_text(_NAMES[name]))
