"""`mosaic-deploy storage put`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mosaic_deploy.cli import folder_option, options
from mosaic_deploy.cli.commands.storage import changing
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import TargetOptions

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.schema_documents import Document
    from mosaic_deploy.deploy.storage.put import Sources
    from mosaic_deploy.live.storage_urls import Listing
    from mosaic_deploy.model.plan import Plan


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--to",
    default="",
    metavar="NAME|PREFIX/",
    help="Name in storage; with a slash at its end, what precedes the names (default: the file's own name).",
)
@click.option(
    "--recursive", "-r", is_flag=True, help="Upload the files in folders, with their paths below the folder."
)
@changing.allow_number("overwrite", "overwriting")
@changing.managed
@click.option("--allow-secrets", is_flag=True, help="Upload files that appear to contain secrets.")
@changing.dry_run
@options.parallelism
@folder_option.target_options
@options.output
@click.pass_obj
def put(
    screen: Screen,
    files: tuple[str, ...],
    to: str,
    recursive: bool,
    allow: tuple[str, ...],
    managed: bool,
    allow_secrets: bool,
    dry_run: bool,
    parallelism: int,
    target_options: TargetOptions,
) -> None:
    """Upload files to storage. Prints their public URLs.

    Files that are there already with the same content are skipped; overwriting others must be confirmed. No apply changes
    or prunes what is uploaded here. Files that the manifest deploys are refused: change those in its folder.

    \b
    Examples:
      mosaic-deploy storage put photo.jpg
      mosaic-deploy storage put *.pdf --to docs/
      mosaic-deploy storage put photos --recursive --to images/
    """
    session = target_options.open("project_only")
    from mosaic_deploy.cli.render.text.plan import note_line
    from mosaic_deploy.cli.render.transfers import listed_lines
    from mosaic_deploy.deploy.storage.put import plan_put, read_sources
    from mosaic_deploy.deploy.storage.stored import read_stored
    from mosaic_deploy.live.api.operations import read_storage_files
    from mosaic_deploy.model.change import Action
    from mosaic_deploy.model.plan import Severity
    from mosaic_deploy.model.quantities import count_text

    with screen.hash_progress() as on_hashed:
        sources = read_sources(files, to, on_hashed, recursive=recursive, allow_secrets=allow_secrets)
    with session:
        project = folder_option.find_project(session)

        def make_plan() -> Plan:
            stored = read_stored(session.api, project, session.manifest)
            return plan_put(session.api, stored, sources, managed=managed)

        # A new file harms nothing: only what is overwritten is asked about.
        chosen = changing.ChangeOptions(yes=True, allow=allow, dry_run=dry_run, parallelism=parallelism)
        plan = changing.change_storage(
            screen, session, make_plan, sources.files, chosen, "Overwrite what is live?"
        )
        if plan is None:
            return
        listed, _ = read_storage_files(session.api, project.id)
    document = put_document(plan, sources, listed)
    actions = [change.action for change in plan.changes]
    changed = actions.count(Action.CHANGE)
    counts = {
        "uploaded": len(actions) - changed,
        "replaced": changed,
        "already there": len(sources.files) - len(actions),
    }
    summary = ", ".join(f"{count_text(n, 'file')} {what}" for what, n in counts.items() if n)
    rows = [(str(each["filename"]), str(each["url"] or "")) for each in document["files"]]
    shown = (note for note in plan.notes if note.code != "storage_usage" or note.severity is Severity.WARNING)
    lines = (*(note_line(note) for note in shown), *listed_lines(rows, "file"), summary or "no files found")
    screen.result(document, lines)


def put_document(plan: Plan, sources: Sources, listed: Listing) -> Document:
    """The result for what `plan` has uploaded of `sources`; `listed` is what is in storage now."""
    actions = {change.address.partition(":")[2]: change.action for change in plan.changes}
    files = [
        {
            "filename": name,
            "size": file.object.size,
            "url": listed.get(name, (None, ""))[1] or None,
            "action": str(actions.get(name, "unchanged")),
        }
        for name, file in sources.files.items()
    ]
    return {"type": "storage_put", "files": files}
