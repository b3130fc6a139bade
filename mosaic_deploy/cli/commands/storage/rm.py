"""`mosaic-deploy storage rm`."""

from __future__ import annotations

import click

from mosaic_deploy.cli import folder_option, options
from mosaic_deploy.cli.commands.storage import changing
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import TargetOptions


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option(
    "--left",
    is_flag=True,
    help="Delete what this manifest deployed earlier and doesn't name any longer; NAME chooses among these.",
)
@click.option("--yes", "-y", is_flag=True, help="Don't ask. Required in CI.")
@changing.allow_number("prune", "deleting")
@changing.managed
@changing.dry_run
@options.parallelism
@folder_option.target_options
@options.output
@click.pass_obj
def rm(
    screen: Screen,
    names: tuple[str, ...],
    left: bool,
    yes: bool,
    allow: tuple[str, ...],
    managed: bool,
    dry_run: bool,
    parallelism: int,
    target_options: TargetOptions,
) -> None:
    """Delete storage files. Shows them and asks before it deletes anything.

    NAME is a whole name, FOLDER/ for all files below it, or a glob in quotes. If one of them matches nothing, nothing is
    deleted. Files that a manifest deploys are refused: delete those in its folder.

    \b
    Examples:
      mosaic-deploy storage rm old.pdf
      mosaic-deploy storage rm 'images/*.tmp' --dry-run
      mosaic-deploy storage rm --left
    """
    if not names and not left:
        raise click.UsageError("pass the names to delete, or --left")
    session = target_options.open("project_only")
    from mosaic_deploy.cli.render.transfers import listed_lines
    from mosaic_deploy.deploy.storage.remove import plan_removal
    from mosaic_deploy.deploy.storage.stored import read_stored
    from mosaic_deploy.model.plan import Plan
    from mosaic_deploy.model.quantities import count_text

    with session:
        project = folder_option.find_project(session)

        def make_plan() -> Plan:
            stored = read_stored(session.api, project, session.manifest)
            return plan_removal(session.api, stored, names, left=left, managed=managed)

        chosen = changing.ChangeOptions(yes=yes, allow=allow, dry_run=dry_run, parallelism=parallelism)
        plan = changing.change_storage(screen, session, make_plan, {}, chosen, "Delete these files?")
    if plan is None:
        return
    deleted = [change.address.partition(":")[2] for change in plan.changes]
    lines = [
        *listed_lines([(name, "") for name in deleted], "file"),
        f"{count_text(len(deleted), 'file')} deleted",
    ]
    screen.result({"type": "storage_rm", "deleted": deleted}, lines if deleted else ["nothing to delete"])
