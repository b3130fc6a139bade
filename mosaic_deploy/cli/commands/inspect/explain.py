"""`mosaic-deploy explain` and `mosaic-deploy schema`: what the installed documentation and schemas say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.render.layout import markdown_lines
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.visible_text import style
from mosaic_deploy.errors import NextAction, UsageInvalid
from mosaic_deploy.schema_files import read_bundled_schema_text
from mosaic_deploy.shipped_docs import (
    Explanation,
    find_explanation,
    read_explanations,
    search_explanations,
    similar_codes,
)


def _complete_codes(_context: click.Context, _: click.Parameter, start: str) -> list[str]:
    return [each.code for each in read_explanations() if each.code.startswith(start)]


@click.command()
@click.argument("codes", nargs=-1, metavar="[CODE...]", shell_complete=_complete_codes)
@options.output
@click.pass_obj
def explain(screen: Screen, codes: tuple[str, ...]) -> None:
    """Explain an error or lint code. Shows what it means, its causes and what to do; runs offline.

    It knows the codes of this program, of the linter and of the platform's API. Words search in all of them. Without
    an argument, lists all codes.

    \b
    Examples:
      mosaic-deploy explain lock_held
      mosaic-deploy explain token_used email_limit_reached
      mosaic-deploy explain magic link
      mosaic-deploy explain
    """
    if not codes:
        _show_list(screen, list(read_explanations()))
        return
    known = [find_explanation(code) for code in codes]
    if not any(known) and not any("_" in code for code in codes) and (found := search_explanations(codes)):
        if len(found) > 1:
            _show_list(screen, found)
            return
        known = [*found]
    explanations = [each or require_explanation(code) for each, code in zip(known, codes, strict=False)]
    documents = [{"code": each.code, "source": each.source, "text": each.text} for each in explanations]
    document = (
        {"type": "explanation", **documents[0]}
        if len(documents) == 1
        else {"type": "explanations", "explanations": documents}
    )
    screen.result(document, _explanation_lines(explanations))


def _explanation_lines(explanations: Sequence[Explanation]) -> Iterator[str]:
    for number, each in enumerate(explanations):
        if number:
            yield from ("", "")
        yield f"{style(each.code, bold=True)} ({each.source})"
        yield ""
        yield from markdown_lines(each.text)


def _show_list(screen: Screen, every: Sequence[Explanation]) -> None:
    codes = [{"code": each.code, "source": each.source, "summary": each.summary} for each in every]
    screen.result({"type": "codes", "codes": codes}, _code_lines(every))


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
        yield f"{_SOURCES.get(source, source)} ({source}):"
        listed = [each for each in every if each.source == source]
        size = max(len(each.code) for each in listed)
        for each in listed:
            yield f"  {each.code}{' ' * (size - len(each.code))}  {each.summary}"
    yield "Explain some of them: mosaic-deploy explain CODE..."


_SOURCES = {"errors.md": "Errors", "lint.md": "Lint rules", "api-errors.md": "Errors of the API"}


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
