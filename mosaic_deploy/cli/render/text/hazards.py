"""Hazards for people: in a plan, and as the findings of `migrate lint`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from mosaic_deploy.cli.render.text.error import source_lines
from mosaic_deploy.cli.visible_text import style
from mosaic_deploy.errors import Location
from mosaic_deploy.model.hazard import Hazard, HazardSeverity
from mosaic_deploy.model.plan import Plan
from mosaic_deploy.model.quantities import count_text

_COLORS = {
    HazardSeverity.DESTRUCTIVE: "red",
    HazardSeverity.SECURITY: "magenta",
    HazardSeverity.BLOCKING: "yellow",
    HazardSeverity.RISKY: "yellow",
    HazardSeverity.ADVICE: None,
}
_MAX_SHOWN = 25


def plan_hazard_lines(plan: Plan) -> Iterator[str]:
    """The plan's hazards, the worst first, and whether policy or a person must decide; nothing without hazards."""
    findings = plan.findings
    active = [hazard for hazard in findings if not hazard.suppressed]
    if findings:
        yield ""
        yield "  Hazards"
        yield from (
            f"    {severity_text(hazard, 11)} {hazard.location}: {hazard.message}  [{hazard.code}]{_reason(hazard)}"
            for hazard in active[:_MAX_SHOWN]
        )
    if len(active) > _MAX_SHOWN:
        yield f"    … and {len(active) - _MAX_SHOWN} more; --output json lists all"
    if silenced := len(findings) - len(active):
        yield f"    {silenced} silenced by mosaic-ignore"
    if plan.denials:
        yield ""
        yield style("  Policy: this plan will be refused", fg="red", bold=True)
        yield from (f"    {problem}" for problem in plan.denials)
    elif plan.to_confirm:
        yield "    destructive changes need confirmation, or --allow destructive in CI"


def _reason(hazard: Hazard) -> str:
    return f"  mosaic-ignore: {hazard.ignored}" if hazard.ignored else ""


def lint_lines(hazards: Sequence[Hazard], files: int, width: int | None = None) -> Iterator[str]:
    """Each finding with its source line and what to write instead; the summary last."""
    for hazard in hazards:
        if hazard.ignored:
            continue
        yield f"{hazard.location}: {severity_text(hazard)}[{hazard.code}] {hazard.message}"
        if text := hazard.location.text:
            yield from source_lines(
                Location(hazard.location.file, hazard.location.line, None, text.strip()), width
            )
        yield f"      instead: {hazard.instead}"
    yield lint_summary(hazards, files)


def lint_summary(hazards: Sequence[Hazard], files: int) -> str:
    """`12 files: 1 destructive, 2 advice, 1 silenced.`"""
    counts = Counter("silenced" if hazard.ignored else str(hazard.severity) for hazard in hazards)
    words = [f"{counts[word]} {word}" for word in (*map(str, HazardSeverity), "silenced") if counts[word]]
    return f"{count_text(files, 'file')}: {', '.join(words) or 'no findings'}."


def severity_text(hazard: Hazard, width: int = 0) -> str:
    """The severity in its colour, padded to `width`."""
    return style(f"{hazard.severity:<{width}}", fg=_COLORS[hazard.severity])
