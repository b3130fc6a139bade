"""`mosaic-deploy storage get`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from mosaic_deploy.cli import folder_option, options
from mosaic_deploy.cli.commands.storage import changing
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.api_access import command_line
from mosaic_deploy.cli.target.target import TargetOptions
from mosaic_deploy.cli.terminal.consent import require_confirmation

if TYPE_CHECKING:
    from mosaic_deploy.deploy.storage.get import DownloadPlan


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--to", default="", metavar="PATH", help="Folder to write to, or the file for a single NAME (default: .)."
)
@click.option("--yes", "-y", is_flag=True, help="Overwrite local files without asking. Required in CI.")
@changing.dry_run
@options.parallelism
@folder_option.target_options
@options.output
@click.pass_obj
def get(
    screen: Screen,
    names: tuple[str, ...],
    to: str,
    yes: bool,
    dry_run: bool,
    parallelism: int,
    target_options: TargetOptions,
) -> None:
    """Download storage files. A local file appears when it is complete.

    NAME is a whole name, FOLDER/ for all files below it, or a glob in quotes. A file is written under its name without the
    folder that NAME begins with. Local files with the same content are skipped; overwriting others must be confirmed.

    \b
    Examples:
      mosaic-deploy storage get images/welcome.png
      mosaic-deploy storage get images/ --to backup
      mosaic-deploy storage get '**/*.pdf' --to docs
    """
    session = target_options.open("project_only")
    from mosaic_deploy.deploy.storage.get import fetch, plan_download
    from mosaic_deploy.deploy.storage.stored import read_stored
    from mosaic_deploy.model.quantities import count_text

    with session:
        project = folder_option.find_project(session)
        plan = plan_download(session.api, read_stored(session.api, project, session.manifest), names, to)
        if plan.overwritten and not dry_run:
            count = count_text(len(plan.overwritten), "local file")
            which = ", ".join(map(str, plan.overwritten[:3])) + (", …" if len(plan.overwritten) > 3 else "")
            require_confirmation(f"Overwrite {count} ({which})?", yes=yes, command=f"{command_line()} --yes")
        if not dry_run:
            with screen.copy_progress("fetched") as on_progress:
                fetch(session.api, plan, parallelism, on_progress)
    done = "would be downloaded" if dry_run else "downloaded"
    document = {
        "type": "storage_get",
        "dry_run": dry_run,
        "files": [
            {
                "filename": each.name,
                "size": each.size,
                "path": str(each.target),
                "overwritten": each.overwrites,
            }
            for each in plan.downloads
        ],
        "unchanged": list(plan.unchanged),
    }
    screen.result(document, _lines(plan, done))


def _lines(plan: DownloadPlan, done: str) -> Iterator[str]:
    from mosaic_deploy.cli.render.transfers import listed_lines
    from mosaic_deploy.model.quantities import count_text

    rows = [(str(each.target), "(overwritten)" if each.overwrites else "") for each in plan.downloads]
    yield from listed_lines(rows, "file")
    parts = [f"{count_text(len(plan.downloads), 'file')} {done}"]
    if plan.unchanged:
        parts.append(f"{count_text(len(plan.unchanged), 'file')} already there")
    yield ", ".join(parts)
