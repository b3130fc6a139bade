"""`mosaic-deploy watch`: keeps a target in step with the folder."""

from __future__ import annotations

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.run_apply import Wish
from mosaic_deploy.cli.target.target import Meant


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
    from mosaic_deploy.cli.watch.loop import Wanted, keep_in_step
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


@click.command()
@options.manifest
@click.option("--open", "opens", is_flag=True, help="Open the site in a browser.")
@options.allow
@options.parallelism
@options.poll
@options.output
@click.pass_obj
def dev(
    screen: Screen,
    path: str,
    environment: str | None,
    opens: bool,
    allow: tuple[str, ...],
    parallelism: int,
    poll: bool,
) -> int:
    """Build on this machine: start the platform, deploy, follow edits, reload the browser.

    PATH is a folder with a mosaic.yaml, or a manifest. Needs no account, and touches nothing but the embedded
    platform. What is broken is shown in the page, with its file and line, until it is mended. Ctrl-C ends it; the
    platform goes on.
    """
    refuse_one_document(screen)
    from mosaic_deploy.cli.watch.live_reload import FollowingPages
    from mosaic_deploy.cli.watch.loop import Wanted, keep_in_step
    from mosaic_deploy.deploy import PlanOptions

    wish = Wish(PlanOptions(parallelism=parallelism, patient=True), yes=True, allow=allow)
    wanted = Wanted(
        Meant(path, environment, local=True, project_id=None, timeout=30.0).open,
        wish,
        poll,
        asks=False,
    )
    return keep_in_step(screen, wanted, FollowingPages(screen, opens=opens))
