"""Files that look as if they would publish a secret. What is told is the place and the kind, never the secret."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mosaic_deploy.errors import Location, Problem, SecretFound
from mosaic_deploy.source.finding import KINDS, Finding, secret_name
from mosaic_deploy.source.walk import Found

_SHOWN = 100


def secret_problems(file: Found, findings: Sequence[Finding]) -> Iterator[Problem]:
    """What is wrong with publishing a file, by its name (also the one that a link leads to) and its content."""
    if rule := secret_name(file.shown) or secret_name(file.real):
        yield Problem(f"looks like {KINDS[rule]}", Location(file.shown))
    for finding in findings:
        yield Problem(finding.message, Location(file.shown, finding.line, finding.column))


def refuse_secrets(static: Sequence[Problem], storage: Sequence[Problem]) -> None:
    """Raises SecretFound for the findings of both sections."""
    problems = [*static, *storage]
    if not problems:
        return
    sections = [name for name, found in (("static", static), ("storage", storage)) if found]
    more = f", and {len(problems) - _SHOWN} more places" if len(problems) > _SHOWN else ""
    raise SecretFound(
        f"some files look as if they held secrets{more}; nothing was sent",
        problems=problems[:_SHOWN],
        hint="take them out, and replace any that was ever public. Where one is meant to be public, or is none, "
        f"name its file in {' or '.join(f'{name}.allow_secrets' for name in sections)}",
    )
