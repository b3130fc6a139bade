"""`mosaic-deploy watch`: keeps a target in step with the folder."""

from __future__ import annotations

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.deploying import Wish
from mosaic_deploy.cli.meant import Meant
from mosaic_deploy.cli.render.screen import Screen


@click.command()
@options.meant
@click.option(
    "--yes",
    "-y",
    "--auto-approve",
    is_flag=True,
    help="Apply without asking, the first time and with every edit. Needed where nobody can answer.",
)
@options.allow
@options.lease
@options.parallelism
@options.poll
@options.output
@click.pass_obj
def watch(
    screen: Screen,
    meant: Meant,
    yes: bool,
    allow: tuple[str, ...],
    lock_timeout: float,
    break_lease: bool,
    parallelism: int,
    poll: bool,
) -> int:
    """Apply, then follow edits: save a file, and it is live a moment later.

    PATH is a folder with a mosaic.yaml, or a manifest. Asks once; what destroys data is asked about each time. An
    error is shown, and the next save tries again. Ctrl-C ends it; what is under way is finished or left whole.
    """
    refuse_one_document(screen)
    from mosaic_deploy.cli.watching import Wanted, keep_in_step
    from mosaic_deploy.deploy import PlanOptions

    wish = Wish(
        PlanOptions(parallelism=parallelism, patient=True),
        yes=yes,
        allow=allow,
        lock_timeout=lock_timeout,
        break_lease=break_lease,
    )
    opened = Wanted(
        meant.open,
        wish,
        poll,
    )
    return keep_in_step(screen, opened)


def refuse_one_document(screen: Screen) -> None:
    """Raises UsageError for `--output json`: what has no end is no document."""
    if screen.format == "json":
        raise click.UsageError("--output json is one document, and this goes on; take ndjson")
