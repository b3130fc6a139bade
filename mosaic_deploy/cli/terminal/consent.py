"""Asks for confirmation. Every command that writes asks here first."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection

import click

from mosaic_deploy.errors import (
    ConfirmationRequired,
    Declined,
    DestructiveUnconfirmed,
    NextAction,
    Problem,
    PruneUnconfirmed,
)
from mosaic_deploy.model.command_line import with_options
from mosaic_deploy.model.plan import Plan
from mosaic_deploy.model.quantities import count_text


def is_interactive() -> bool:
    """Whether a person can answer: a terminal, and no CI. A piped `y` doesn't count."""
    return sys.stdin.isatty() and sys.stderr.isatty() and not os.environ.get("CI")


def require_confirmation(question: str, *, yes: bool, command: str, needs_person: bool = False) -> None:
    """Returns if `yes` is set or a person confirms (the default answer is no).

    Raises Declined, and ConfirmationRequired without a terminal, which suggests `command`; with `needs_person` as
    a person's decision.
    """
    if yes:
        return
    if not is_interactive():
        raise ConfirmationRequired(
            "confirmation needed, but there is no terminal; nothing was changed",
            hint="pass --yes in scripts and CI",
            next_actions=[NextAction("to approve this", command, needs_person=needs_person)],
        )
    if not click.confirm(question, default=False, err=True):
        raise Declined("nothing was changed")


DESTRUCTIVE = "destructive"
"""The value of `--allow` for SQL that destroys data."""


def require_plan_confirmation(
    plan: Plan,
    *,
    yes: bool,
    allow: Collection[str],
    command: str,
    question: str = "Apply these changes?",
    destructive_question: str = "Apply anyway?",
    needs_person: bool = False,
) -> None:
    """Returns if the plan may be applied: the policy allows it and it is confirmed.

    Destroying data, and deleting files that this project didn't deploy, must be in `allow` (`destructive`,
    `prune=37`) or be confirmed by a person (`destructive_question`); `yes` doesn't cover it.
    Raises PolicyDenied, PruneUnconfirmed, DestructiveUnconfirmed, ConfirmationRequired, Declined.
    """
    from mosaic_deploy.diff.policy import refuse_denied

    refuse_denied(plan)
    asked = False
    yes_option = () if yes else ("--yes",)
    if plan.prune_count and f"prune={plan.prune_count}" not in allow:
        _ask_prune(plan, with_options(command, "--allow", f"prune={plan.prune_count}", *yes_option), allow)
        asked = True
    if plan.to_confirm and DESTRUCTIVE not in allow:
        _ask_destructive(
            plan, destructive_question, with_options(command, "--allow", DESTRUCTIVE, *yes_option)
        )
    elif not asked:
        require_confirmation(
            question, yes=yes, command=with_options(command, "--yes"), needs_person=needs_person
        )


def _ask_prune(plan: Plan, command: str, allow: Collection[str]) -> None:
    """Asks for confirmation. Raises PruneUnconfirmed without a terminal, or if `allow` has another number."""
    count = plan.prune_count
    files = count_text(count, "file")
    if not is_interactive() or any(value.startswith("prune=") for value in allow):
        raise PruneUnconfirmed(
            f"this would delete {files}, including files that this project didn't deploy, and wasn't approved; nothing "
            "was changed",
            hint="check the plan, then confirm in a terminal or pass --allow with the exact number; --yes doesn't "
            "cover this",
            next_actions=[NextAction("to approve this", command, needs_person=True)],
        )
    question = f"This deletes {files}, including files that this project didn't deploy. Delete {files}?"
    if not click.confirm(question, default=False, err=True):
        raise Declined("nothing was changed")


def _ask_destructive(plan: Plan, destructive_question: str, command: str) -> None:
    count = len(plan.to_confirm)
    if not is_interactive():
        raise DestructiveUnconfirmed(
            "this would destroy data and wasn't approved; nothing was changed",
            problems=[Problem(hazard.message, hazard.location) for hazard in plan.to_confirm],
            hint="confirm in a terminal, or pass --allow destructive; --yes doesn't cover this",
            next_actions=[NextAction("to approve this", command, needs_person=True)],
        )
    question = (
        f"This destroys data: {plan.to_confirm[0].message}{f', and {count - 1} more' if count > 1 else ''}."
    )
    if not click.confirm(f"{question} {destructive_question}", default=False, err=True):
        raise Declined("nothing was changed")
