"""What `storage put` and `storage rm` share: plan, show, ask, send, and report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from mosaic_deploy.cli.allow_option import NumberedType
from mosaic_deploy.cli.options import F
from mosaic_deploy.cli.render.transfers import show_transfers
from mosaic_deploy.cli.target.api_access import command_line
from mosaic_deploy.cli.terminal.consent import SettingsFiles, refuse_changed_plan, require_plan_confirmation
from mosaic_deploy.errors import PruneUnconfirmed

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.screen import Screen
    from mosaic_deploy.cli.target.session import Session
    from mosaic_deploy.model.plan import Plan
    from mosaic_deploy.source.files.local_file import LocalFile


@dataclass(frozen=True, slots=True)
class ChangeOptions:
    """`yes` and `allow` as in `apply`; `parallelism` is the number of concurrent transfers."""

    yes: bool
    allow: tuple[str, ...]
    dry_run: bool
    parallelism: int


def allow_number(kind: str, what: str) -> Callable[[F], F]:
    """`--allow KIND=N`: approval of exactly N files, given in advance."""
    return click.option(
        "--allow",
        multiple=True,
        type=NumberedType(kind),
        metavar=f"{kind}=N",
        help=f"Pre-approve {what} exactly N files. Needed in scripts and CI.",
    )


managed = click.option(
    "--managed", is_flag=True, help="Also change files that a manifest deploys; its next apply undoes that."
)
dry_run = click.option("--dry-run", is_flag=True, help="Show what would be done and exit.")


def change_storage(
    screen: Screen,
    session: Session,
    make_plan: Callable[[], Plan],
    files: Mapping[str, LocalFile],
    chosen: ChangeOptions,
    question: str,
) -> Plan | None:
    """Makes the plan, asks if it deletes or overwrites, and carries it out. None if nothing is to be done.

    What is asked about is shown before. Raises PolicyDenied, the errors of an unapproved plan, Declined, and PlanStale if
    something changed while the question was open.
    """
    from mosaic_deploy.deploy.storage.send import send
    from mosaic_deploy.diff.policy import refuse_denied
    from mosaic_deploy.model.change import Action

    settings = SettingsFiles(session.manifest.file)
    plan = make_plan()
    if chosen.dry_run:
        screen.plan(plan, final=True)
        return None
    if plan.empty:
        return plan
    refuse_denied(plan)
    if any(change.action is not Action.ADD for change in plan.changes):
        screen.plan(plan, final=False)
        asked = _confirm(session, plan, chosen, question)
        if asked:
            settings.refuse_changed()
            shown, plan = plan, make_plan()
            refuse_changed_plan(shown, plan)
    show_transfers(screen, session.complete_events(send(session.api, plan, files, chosen.parallelism)))
    return plan


def _confirm(session: Session, plan: Plan, chosen: ChangeOptions, question: str) -> bool:
    """As `require_plan_confirmation`. No folder says which files are to go, so no failed build can be the cause."""
    from mosaic_deploy.diff.policy import BUILD_FAILED_HINT

    try:
        return require_plan_confirmation(
            plan,
            session.manifest.policy,
            yes=chosen.yes,
            allow=chosen.allow,
            command=command_line(),
            question=question,
            approval_question=question,
            needs_person=True,
        )
    except PruneUnconfirmed as error:
        error.hint = error.hint and error.hint.removeprefix(BUILD_FAILED_HINT)
        raise
