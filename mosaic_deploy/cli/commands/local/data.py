"""`mosaic-deploy local backup`, `restore`, `reset` and `prune`: all data of the embedded platform."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.platform_process import platform_home, run_platform_command
from mosaic_deploy.cli.terminal.consent import require_confirmation
from mosaic_deploy.errors import WriteFailed
from mosaic_deploy.model.quantities import count_text, size_text


@click.command()
@click.argument("file", type=click.Path(dir_okay=False))
@options.output
@click.pass_obj
def backup(screen: Screen, file: str) -> None:
    """Back up the platform to FILE. Includes databases, roles, files, emails, tickets and keys.

    A running platform is stopped for a few seconds so the backup is consistent. FILE contains secrets; an existing
    file is not overwritten.

    \b
    Example:
      mosaic-deploy local backup mosaic-backup.tgz
    """
    _refuse_stream(file)
    folder = Path(file).absolute().parent
    if not folder.is_dir():
        raise WriteFailed(
            f"can't write {file}: there is no folder {folder}",
            hint=f"create it first: mkdir -p {shlex.quote(str(folder))}",
        )
    with screen.copy_progress("written") as on_progress:
        document = run_platform_command("backup", file, timeout=None, on_progress=on_progress)
    screen.platform(document)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--yes", "-y", is_flag=True, help="Replace the current data without asking.")
@options.output
@click.pass_obj
def restore(screen: Screen, file: str, yes: bool) -> None:
    """Restore a backup made by `local backup`. Asks before it replaces existing data.

    FILE is checked completely before anything is replaced.

    \b
    Example:
      mosaic-deploy local restore mosaic-backup.tgz
    """
    _refuse_stream(file)
    replaces = run_platform_command("status")["api_key"] is not None
    if replaces:
        question = f"Replace the embedded platform in {platform_home()} with {file}? All its current data is deleted."
        confirmed = shlex.join(["mosaic-deploy", "local", "restore", file, "--yes"])
        require_confirmation(question, yes=yes, command=confirmed, needs_person=True)
    with screen.copy_progress("read") as on_progress:
        overwrite = ["--overwrite"] if replaces else []
        document = run_platform_command("restore", file, *overwrite, timeout=None, on_progress=on_progress)
    screen.platform(document)


def _refuse_stream(file: str) -> None:
    """Raises UsageError for `-`: a backup is renamed into place when written, and read twice when restored."""
    if file == "-":
        raise click.UsageError(
            "a backup needs a file; it can't go through a pipe (for a file called - use ./-)"
        )


@click.command()
@click.argument("project", required=False)
@click.option("--yes", "-y", is_flag=True, help="Delete without asking.")
@options.output
@click.pass_obj
def reset(screen: Screen, project: str | None, yes: bool) -> None:
    """Delete all data on the platform, or one PROJECT. PROJECT is a project ID.

    \b
    Examples:
      mosaic-deploy local reset
      mosaic-deploy local reset --yes
    """
    what = f"project {project}" if project else "all projects, emails and keys of the embedded platform"
    confirmed = shlex.join(["mosaic-deploy", "local", "reset", *([project] if project else []), "--yes"])
    require_confirmation(
        f"Delete {what}? This can't be undone.", yes=yes, command=confirmed, needs_person=True
    )
    screen.platform(run_platform_command("reset", *(["--project", project] if project else [])))


@click.command()
@click.option("--yes", "-y", is_flag=True, help="Delete without asking.")
@options.output
@click.pass_obj
def prune(screen: Screen, yes: bool) -> None:
    """Delete databases whose platform is gone. Shows their folders and sizes, and asks.

    Only root's PostgreSQL is outside the data folder, so it stays behind if that folder is deleted by hand.

    \b
    Example:
      mosaic-deploy local prune
    """
    found = run_platform_command("leftovers")
    removable = [each for each in found["folders"] if each["pid"] is None]
    if removable:
        screen.print_notice(_leftover_lines(removable))
        require_confirmation(
            "Delete these folders? If a data folder was moved, or its disk isn't mounted, start the platform there first.",
            yes=yes,
            command="mosaic-deploy local prune --yes",
            needs_person=True,
        )
        chosen = [word for each in removable for word in ("--remove", str(each["folder"]))]
        found = run_platform_command("leftovers", *chosen)
    document = {"type": "local_prune", "removed": found["removed"], "left": found["folders"]}
    screen.result(document, _pruned_lines(found["removed"], found["folders"]))


def _leftover_lines(folders: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for each in folders:
        size = size_text(each["bytes"])
        yield f"{each['folder']} ({size}): of a platform in {each['home']}, which has no data there any more"


def _pruned_lines(removed: Sequence[Mapping[str, Any]], left: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    size = size_text(sum(each["bytes"] for each in removed))
    yield f"deleted {count_text(len(removed), 'folder')} ({size})" if removed else "nothing to delete"
    for each in left:
        why = (
            f"its PostgreSQL runs; stop it first: kill {each['pid']}"
            if each["pid"]
            else "it can't be deleted"
        )
        yield f"left: {each['folder']}: {why}"
