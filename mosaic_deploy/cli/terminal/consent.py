"""Consent: one question, asked in one place. Everything that writes asks here first."""

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


def is_interactive() -> bool:
    """Whether a person is there to answer: a piped `y` doesn't count."""
    return sys.stdin.isatty() and sys.stderr.isatty() and not os.environ.get("CI")


def require_consent(question: str, *, yes: bool, command: str, needs_person: bool = False) -> None:
    """Returns if `yes` was given or a person agrees (the default is no).

    Raises Declined, and ConfirmationRequired where nobody is there; `command` is shown as the way on, and with
    `needs_person` as one that only a person may decide on.
    """
    if yes:
        return
    if not is_interactive():
        raise ConfirmationRequired(
            "nobody is here to agree, so nothing was changed",
            hint="unattended runs need --yes",
            next_actions=[NextAction("agree beforehand", command, needs_person=needs_person)],
        )
    if not click.confirm(question, default=False, err=True):
        raise Declined("nothing was changed")


DESTRUCTIVE = "destructive"
"""What `--allow` may name."""


def require_plan_consent(
    plan: Plan,
    *,
    yes: bool,
    allow: Collection[str],
    command: str,
    question: str = "Apply these changes?",
    destructive_question: str = "Apply all the same?",
    needs_person: bool = False,
) -> None:
    """Returns if the plan may be applied: the policy doesn't deny it, and whoever has to agree did.

    Data is destroyed, and strangers' files are deleted, only where `allow` names it (`destructive`, `prune=37`) or
    a person says yes to just that (asked by `destructive_question`); `yes` is no such word.
    Raises PolicyDenied, PruneUnconfirmed, DestructiveUnconfirmed, ConfirmationRequired, Declined.
    """
    from mosaic_deploy.diff.policy import refuse_denied

    refuse_denied(plan)
    asked = False
    also = () if yes else ("--yes",)
    if plan.prune_count and f"prune={plan.prune_count}" not in allow:
        _ask_prune(plan, with_options(command, "--allow", f"prune={plan.prune_count}", *also), allow)
        asked = True
    if plan.to_confirm and DESTRUCTIVE not in allow:
        _ask_destructive(plan, destructive_question, with_options(command, "--allow", DESTRUCTIVE, *also))
    elif not asked:
        require_consent(question, yes=yes, command=with_options(command, "--yes"), needs_person=needs_person)


def _ask_prune(plan: Plan, command: str, allow: Collection[str]) -> None:
    """Asks about the number of files; one that was given and isn't the plan's is not asked about again."""
    count = plan.prune_count
    files = "1 file" if count == 1 else f"{count} files"
    if not is_interactive() or any(word.startswith("prune=") for word in allow):
        raise PruneUnconfirmed(
            f"{files} would be deleted, some never deployed from here, and nobody agreed to that number, so nothing "
            "was changed",
            hint="look at the plan; --yes doesn't agree to this: a person at the terminal does, or --allow with the "
            "exact number",
            next_actions=[NextAction("agree beforehand", command, needs_person=True)],
        )
    question = f"This deletes {files}, some of which were never deployed from here. Delete {files}?"
    if not click.confirm(question, default=False, err=True):
        raise Declined("nothing was changed")


def _ask_destructive(plan: Plan, destructive_question: str, command: str) -> None:
    count = len(plan.to_confirm)
    if not is_interactive():
        raise DestructiveUnconfirmed(
            "data would be destroyed, and nobody is here to agree to that, so nothing was changed",
            problems=[Problem(hazard.message, hazard.location) for hazard in plan.to_confirm],
            hint="--yes doesn't agree to this: a person at the terminal does, or --allow destructive",
            next_actions=[NextAction("agree beforehand", command, needs_person=True)],
        )
    question = (
        f"This destroys data: {plan.to_confirm[0].message}{f', and {count - 1} more' if count > 1 else ''}."
    )
    if not click.confirm(f"{question} {destructive_question}", default=False, err=True):
        raise Declined("nothing was changed")
