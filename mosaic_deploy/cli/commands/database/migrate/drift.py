"""`migrate drift`."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from mosaic_deploy.cli import folder_option, options
from mosaic_deploy.cli.commands.database.migrate.write_history import (
    ConsentOptions,
    LeaseOptions,
    write_options,
    write_with_consent,
)
from mosaic_deploy.cli.render.schema_documents import drift_document
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.render.text.schema import drift_lines
from mosaic_deploy.cli.target.session import Session
from mosaic_deploy.cli.target.target import TargetOptions
from mosaic_deploy.diff.schema_drift import how_to_keep
from mosaic_deploy.live.catalog.query import NOT_COMPARED
from mosaic_deploy.model.catalog import SchemaDrift, SchemaState

if TYPE_CHECKING:
    from mosaic_deploy.deploy import ApplyOptions, PreparedPlan
    from mosaic_deploy.model.event import Event
    from mosaic_deploy.model.snapshot import Project


@click.command()
@options.target_options
@click.option(
    "--exit-code",
    "--detailed-exitcode",
    "exit_code",
    is_flag=True,
    help="Exit with 0 without drift, 1 if it couldn't be checked, 2 for drift.",
)
@click.option(
    "--accept",
    is_flag=True,
    help="Record the live schema as it is, so that this is no drift any more. Changes nothing in it.",
)
@write_options
@options.output
@click.pass_obj
def drift(
    screen: Screen,
    target_options: TargetOptions,
    exit_code: bool,
    accept: bool,
    yes: bool,
    lock_timeout: float,
    force_unlock: bool,
) -> int:
    """Show how the live schema differs from the last deploy. Each deploy records the schema that it leaves.

    Lists what was changed since in another way: by hand, by an app or by another tool. PATH is a folder with a
    mosaic.yaml, or a manifest; with --project, only --accept needs one.

    \b
    Examples:
      mosaic-deploy migrate drift
      mosaic-deploy migrate drift --exit-code -o json
    """
    if exit_code and accept:
        raise click.UsageError("--exit-code and --accept can't be combined")
    session = target_options.open("required" if accept else "if_there")
    with session:
        if accept:
            return _accept(screen, session, ConsentOptions(yes), LeaseOptions(lock_timeout, force_unlock))
        from mosaic_deploy.deploy.history.drift import read_drift

        project = folder_option.find_project(session)
        found = read_drift(session.api, project.id, session.manifest)
        screen.result(_document(project, found), _lines(session, project, found))
    return _exit_code(found) if exit_code else 0


def _exit_code(found: SchemaDrift) -> int:
    if found.state is SchemaState.DRIFTED:
        return 2
    return 0 if found.state in (SchemaState.UNCHANGED, SchemaState.NOT_RECORDED) else 1


def _accept(screen: Screen, session: Session, consent: ConsentOptions, lease: LeaseOptions) -> int:
    from mosaic_deploy.deploy.history.drift import accept_drift, plan_accept
    from mosaic_deploy.deploy.history.read import read_history_context, require_project

    def make_plan() -> PreparedPlan:
        known = read_history_context(session.api, session.manifest, session.target)
        require_project(known)
        return plan_accept(session.api, known)

    def write(planned: PreparedPlan, wanted: ApplyOptions) -> Generator[Event, None, None]:
        return accept_drift(session.api, planned, wanted)

    consent = replace(
        consent,
        question="Record the live schema as it is? Nothing in it is changed.",
        nothing_to_do=lambda plan: f"Nothing to accept: {_nothing_to_accept(session, plan.drift)}.",
    )
    return write_with_consent(screen, session, make_plan, write, consent, lease)


def _nothing_to_accept(session: Session, found: SchemaDrift | None) -> str:
    """Why there is no drift to accept."""
    message = session.scope.add_scope_to_text(found.message) if found else ""
    return message or "the schema is as the last deploy left it"


def _document(project: Project, found: SchemaDrift) -> dict[str, Any]:
    return {
        "type": "drift",
        "project": asdict(project),
        **(drift_document(found) or {}),
        "not_compared": list(NOT_COMPARED),
    }


def _lines(session: Session, project: Project, found: SchemaDrift) -> Iterator[str]:
    from mosaic_deploy.deploy.history.drift import recorded_since
    from mosaic_deploy.live.ledger.history import read_history

    if found.changes:
        entries = read_history(session.api, project.id).entries
        advice = how_to_keep([entry.migration for entry in entries], recorded_since(entries, found))
        keep = session.scope.add_scope_to_text(advice)
        yield from drift_lines(found, whole=True)
        yield f"  next: undo it in the database; or record the schema as it is:  {session.scope.command('migrate', 'drift', '--accept')}"
        yield f"  to keep the changes and rehearse later plans: {keep}"
    else:
        text = session.scope.add_scope_to_text(found.message) or "the schema is as the last deploy left it"
        yield f"{text[0].upper()}{text[1:]}."
    yield ""
    yield "Not compared:"
    yield from (f"  - {each}" for each in NOT_COMPARED)
