"""Asks for confirmation. Every command that writes asks here first."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mosaic_deploy.errors import ConfirmationRequired, Declined, NextAction, PlanStale
from mosaic_deploy.model.approval import DESTRUCTIVE, Approval
from mosaic_deploy.model.command_line import with_approvals, with_options
from mosaic_deploy.model.manifest import PolicySpec
from mosaic_deploy.model.plan import Plan

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.screen import Screen
    from mosaic_deploy.deploy.applying.run import AskAboutEffects
    from mosaic_deploy.model.effects import Effects


def is_interactive() -> bool:
    """Whether a person can answer: a terminal, and no CI. A piped `y` doesn't count."""
    return sys.stdin.isatty() and sys.stderr.isatty() and not os.environ.get("CI")


def require_confirmation(question: str, *, yes: bool, command: str, needs_person: bool = False) -> bool:
    """Returns if `yes` is set or a person confirms (the default answer is no); whether a person was asked.

    Raises Declined, and ConfirmationRequired without a terminal, which suggests `command`; with `needs_person` as
    a person's decision.
    """
    if yes:
        return False
    if not is_interactive():
        raise ConfirmationRequired(
            "confirmation needed, but there is no terminal; nothing was changed",
            hint="pass --yes in scripts and CI",
            next_actions=[NextAction("to approve this", command, needs_person=needs_person)],
        )
    if not click.confirm(question, default=False, err=True):
        raise Declined("nothing was changed")
    return True


def missing_approvals(plan: Plan, policy: PolicySpec | None, allow: Collection[str]) -> tuple[Approval, ...]:
    """What of the plan still has to be approved, besides what `--allow` did."""
    from mosaic_deploy.diff.gate import Actor, needs_person

    return needs_person(plan, policy, Actor(frozenset(allow)))


def require_plan_confirmation(
    plan: Plan,
    policy: PolicySpec | None,
    *,
    yes: bool,
    allow: Collection[str],
    command: str,
    question: str = "Apply these changes?",
    approval_question: str = "Apply anyway?",
    needs_person: bool = False,
) -> bool:
    """Returns if the plan may be applied: the policy allows it and it is confirmed.

    Each of the plan's approvals must be in `allow` (`destructive`, `prune=37`) or be confirmed by a person
    (`approval_question`); `yes` doesn't cover them. Returns whether a person was asked: then the files and the project
    may have changed since, so the caller makes the plan again and compares its `consent_digest`.
    Raises PolicyDenied, the errors of `unconfirmed_error`, ConfirmationRequired, Declined.
    """
    from mosaic_deploy.diff.policy import refuse_denied

    refuse_denied(plan)
    missing = missing_approvals(plan, policy, allow)
    if not missing:
        return require_confirmation(
            question, yes=yes, command=with_options(command, "--yes"), needs_person=needs_person
        )
    require_approvals(missing, allow, with_options(command, *(() if yes else ("--yes",))), approval_question)
    return True


def require_approvals(
    missing: Sequence[Approval], allow: Collection[str], command: str, question: str
) -> None:
    """Returns if a person approves each of `missing`. Raises Declined, and the errors of `refuse_unapproved`."""
    refuse_unapproved(missing, allow, command)
    for approval in missing:
        if not click.confirm(approval_text(approval, question), default=False, err=True):
            raise Declined("nothing was changed")


def ask_about_effects(screen: Screen, *, asked: bool) -> AskAboutEffects | None:
    """Asks about a step that did more than the plan says, during an apply. None unless a person was `asked` about the plan.

    An interrupt of the question is a no.
    """
    if not asked or not is_interactive():
        return None

    def ask(file: str, effects: Effects) -> bool:
        with screen.paused():
            heading = (
                f"{file} does more than the plan says, and was rolled back. Measured in its transaction:"
            )
            screen.print_notice([heading, *(f"  {text}" for text in effects.texts)])
            discard_input()
            try:
                return click.confirm("Run it again, with exactly this allowed?", default=False, err=True)
            except click.Abort:
                return False

    return ask


def discard_input() -> None:
    """What was typed before a question is no answer to it."""
    if os.name != "nt":
        import termios

        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


CHANGED_MEANWHILE = (
    "Something changed while the question was open; nothing was applied. This is the plan now:"
)


class SettingsFiles:
    """The manifest, `.env` and `others` as they were read: a question is only about them."""

    def __init__(self, manifest: Path, *others: Path) -> None:
        self._files = (manifest, manifest.parent / ".env", *others)
        self._before = self._read()

    def refuse_changed(self) -> None:
        """Raises PlanStale if one has changed since."""
        changed = [
            file.name
            for file, before in zip(self._files, self._before, strict=True)
            if _content(file) != before
        ]
        if changed:
            raise PlanStale(
                f"{' and '.join(changed)} changed while the question was open; nothing was changed",
                hint="run the command again to see the new plan",
            )

    def _read(self) -> list[bytes]:
        return [_content(file) for file in self._files]


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def refuse_changed_plan(shown: Plan, now: Plan) -> None:
    """Raises PlanStale if `now` isn't the plan that was shown and agreed to."""
    if now.consent_digest != shown.consent_digest:
        raise PlanStale(
            "the plan changed while the question was open; nothing was changed",
            hint="run the command again to see the new plan",
        )


def refuse_unapproved(missing: Sequence[Approval], allow: Collection[str], command: str) -> None:
    """Raises an `unconfirmed_error` if no person can be asked, or if `allow` has another number than the plan.

    It suggests `command` with the missing approvals.
    """
    other_numbers = [value for each in missing for value in allow if value.startswith(f"{each.kind}=")]
    if is_interactive() and not other_numbers:
        return
    from mosaic_deploy.diff.policy import unconfirmed_error

    needed = " ".join(f"--allow {approval.allow}" for approval in missing)
    yes_note = "; --yes doesn't cover this" if "--yes" in command else ""
    raise unconfirmed_error(
        missing,
        f"confirm in a terminal or pass {needed}{yes_note}",
        approving_actions(command, *(approval.allow for approval in missing)),
        other_numbers,
    )


def approving_actions(command: str, *approvals: str) -> list[NextAction]:
    """Suggests the command with the approvals (`prune=4`); nothing if it has several lines, as a query may."""
    if "\n" in command:
        return []
    return [NextAction("to approve this", with_approvals(command, approvals), needs_person=True)]


def approval_text(approval: Approval, question: str) -> str:
    """What the plan does, and the question; if it destroys more than one thing, each on a line of its own."""
    if approval.kind != DESTRUCTIVE or len(approval.problems) < 2:
        return f"This {approval.effect}. {question}"
    lines = [f"  {problem.message}" for problem in approval.problems]
    return "\n".join(("This destroys data:", *lines, question))
