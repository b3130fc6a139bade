"""`mosaic-deploy dev`: the embedded platform, the project on it, and pages that follow edits."""

from __future__ import annotations

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.deploying import Wish
from mosaic_deploy.cli.meant import Meant
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.watch import refuse_one_document


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
    from mosaic_deploy.cli.following_pages import FollowingPages
    from mosaic_deploy.cli.watching import Wanted, keep_in_step
    from mosaic_deploy.deploy import PlanOptions

    wish = Wish(PlanOptions(parallelism=parallelism, patient=True), yes=True, allow=allow)
    wanted = Wanted(
        Meant(path, environment, local=True, project_id=None, timeout=30.0).open,
        wish,
        poll,
        asks=False,
    )
    return keep_in_step(screen, wanted, FollowingPages(screen, opens=opens))
