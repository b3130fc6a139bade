"""Plans, results and errors as Markdown, for a pull request's comment and a job summary."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from mosaic_deploy.cli.render.text.error import error_lines, progress_text
from mosaic_deploy.cli.render.text.hazards import plan_hazard_lines
from mosaic_deploy.cli.render.text.plan import plan_lines, summary_line
from mosaic_deploy.cli.render.text.row_checks import failing_check_lines
from mosaic_deploy.cli.render.text.schema import drift_lines
from mosaic_deploy.cli.visible_text import unstyle
from mosaic_deploy.errors import MosaicError
from mosaic_deploy.model.plan import Plan

if TYPE_CHECKING:
    from mosaic_deploy.model.event import ApplyDone, ApplyFailed

_SIGN = re.compile(r"^    ([+~-]) ", re.MULTILINE)
_DIFF = {"+": "+", "-": "-", "~": "!"}
_LINKED = re.compile(r"@|#|:(?=//)|\bwww(?=\.)|\b(?:GH|mailto|xmpp)(?=\\?[-:])", re.IGNORECASE)
"""Where a mention, a reference or a bare address begins. An escape doesn't keep GitHub from making a link of it, but a comment
inside it does."""
_TRUNCATED = "… truncated; the job's log has the rest"


def plan_markdown(plan: Plan, footer: str, longest: int) -> str:
    """A heading with the counts, the constraints that would fail, the hazards, and the plan in a folded block.

    At most `longest` characters.
    """
    head = [f"### {_heading(plan)}", ""]
    checks = plan.rehearsal.row_checks if plan.rehearsal else ()
    if failing := _unstyled(failing_check_lines(checks)):
        head += [_fenced(failing, "text"), ""]
    if hazards := _unstyled(plan_hazard_lines(plan)):
        head += [_fenced(hazards, "text"), ""]
    if plan.drift and plan.drift.changes:
        drifted = _SIGN.sub(_as_diff, _unstyled(drift_lines(plan.drift)))
        head += [_fenced(_truncate(drifted, longest // 4), "diff"), ""]
    tail = ["", f"<sub>{_inline(footer)}</sub>"]
    room = longest - sum(len(line) + 1 for line in (*head, *tail)) - 200
    return _truncate("\n".join([*head, _folded_plan(plan, room), *tail]), longest)


def _folded_plan(plan: Plan, room: int) -> str:
    shown = _truncate(_SIGN.sub(_as_diff, _unstyled(plan_lines(plan))), room)
    return "\n".join(["<details><summary>Plan</summary>", "", _fenced(shown, "diff"), "", "</details>"])


def _as_diff(sign: re.Match[str]) -> str:
    """The sign of a line at its start, as GitHub colors it."""
    return f"{_DIFF[sign.group(1)]}   "


def applied_markdown(plan: Plan, last: ApplyDone | ApplyFailed, footer: str, longest: int) -> str:
    """What an apply did, or how far it got."""
    from mosaic_deploy.model.event import ApplyFailed

    if isinstance(last, ApplyFailed):
        body = [
            f"### ❌ {_inline(_plan_title(plan))}: the apply stopped ({progress_text(last)})",
            "",
            _error_block(last.error),
        ]
    else:
        counts = plan.counts
        done = f"{counts.add} added, {counts.change} changed, {counts.destroy} destroyed"
        body = [f"### ✅ {_inline(_plan_title(plan))}: {done}", "", f"<{last.project.url}>"]
    return _truncate("\n".join([*body, "", f"<sub>{_inline(footer)}</sub>"]), longest)


def failed_markdown(error: MosaicError, footer: str, longest: int, rest: Plan | None = None) -> str:
    """An error without a plan, or with the `rest` of the plan that it blocks."""
    body = [f"### ❌ {_inline(error.code)}", "", _error_block(error), ""]
    if rest is not None:
        body += [_folded_plan(rest, longest - sum(len(line) + 1 for line in body) - len(footer) - 300), ""]
    return _truncate("\n".join([*body, f"<sub>{_inline(footer)}</sub>"]), longest)


def _heading(plan: Plan) -> str:
    fails = plan.rehearsal is not None and any(check.fails for check in plan.rehearsal.row_checks)
    sign = "⛔" if plan.denials else "⚠️" if plan.approvals or fails else "📋"
    return f"{sign} {_inline(_plan_title(plan))}: {_inline(summary_line(plan).removeprefix('Plan: ').rstrip('.'))}"


def _plan_title(plan: Plan) -> str:
    environment = f" ({plan.environment})" if plan.environment else ""
    return f"{plan.project.name}{environment}"


def _error_block(error: MosaicError) -> str:
    return _fenced(_unstyled(error_lines(error)), "text")


def _unstyled(lines: Iterable[str] | Iterator[str]) -> str:
    return "\n".join(unstyle(line) for line in lines).strip("\n")


def _fenced(text: str, language: str) -> str:
    """A code block that its content can't close."""
    longest = max((len(found) for found in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _inline(text: str) -> str:
    """Plain text on one line: no markup, and nothing that GitHub turns into a mention or a link."""
    escaped = re.sub(r"([\\`*_{}\[\]()#+!|<>~@&-])", r"\\\1", " ".join(text.split()))
    return _LINKED.sub(lambda found: f"{found[0]}<!-- -->", escaped)


def _truncate(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    kept = text[: max(0, longest - len(_TRUNCATED) - 1)].rpartition("\n")[0]
    return f"{kept}\n{_TRUNCATED}"
