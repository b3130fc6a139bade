"""Hazards for people: in a plan, and by themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import click

from mosaic_deploy.model.hazard import Hazard, HazardSeverity
from mosaic_deploy.model.plan import Plan

_COLORS = {
    HazardSeverity.DESTRUCTIVE: "red",
    HazardSeverity.SECURITY: "magenta",
    HazardSeverity.BLOCKING: "yellow",
    HazardSeverity.RISKY: "yellow",
    HazardSeverity.ADVICE: None,
}
_MAX_SHOWN = 25


def plan_hazard_lines(plan: Plan) -> Iterator[str]:
    """The plan's hazards, the worst first, and what the policy says to them; nothing where there are none."""
    loud = [hazard for hazard in plan.hazards if not hazard.suppressed]
    if plan.hazards:
        yield ""
        yield "  Hazards"
        yield from (
            f"    {severity_text(hazard, 11)} {hazard.location}: {hazard.message}  [{hazard.code}]{_reason(hazard)}"
            for hazard in loud[:_MAX_SHOWN]
        )
    if len(loud) > _MAX_SHOWN:
        yield f"    … and {len(loud) - _MAX_SHOWN} more; --output json has all"
    if silent := len(plan.hazards) - len(loud):
        yield f"    {silent} silenced by mosaic-ignore"
    if plan.denied:
        yield ""
        yield click.style("  Policy: this plan will be refused", fg="red", bold=True)
        yield from (f"    {problem}" for problem in plan.denied)
    elif plan.to_confirm:
        yield "    a person has to agree to what destroys data; unattended it needs --allow destructive"


def _reason(hazard: Hazard) -> str:
    return f"  mosaic-ignore: {hazard.ignored}" if hazard.ignored else ""


def lint_lines(hazards: Sequence[Hazard], files: int) -> Iterator[str]:
    """Each finding with its line and what to write instead; the summary last."""
    for hazard in hazards:
        if hazard.ignored:
            continue
        yield f"{hazard.location}: {severity_text(hazard)}[{hazard.code}] {hazard.message}"
        if hazard.location.text:
            yield f"{hazard.location.line:>5} | {hazard.location.text.strip()[:110]}"
        yield f"      instead: {hazard.instead}"
    yield lint_summary(hazards, files)


def lint_summary(hazards: Sequence[Hazard], files: int) -> str:
    """`12 files: 1 destructive, 2 advice, 1 silenced.`"""
    counts = Counter("silenced" if hazard.ignored else str(hazard.severity) for hazard in hazards)
    words = [f"{counts[word]} {word}" for word in (*map(str, HazardSeverity), "silenced") if counts[word]]
    return f"{files} {'file' if files == 1 else 'files'}: {', '.join(words) or 'nothing found'}."


def severity_text(hazard: Hazard, width: int = 0) -> str:
    """Its severity, in its colour."""
    return click.style(f"{hazard.severity:<{width}}", fg=_COLORS[hazard.severity])
