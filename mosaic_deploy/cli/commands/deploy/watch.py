"""`mosaic-deploy watch`: keeps a target in step with the folder."""

from __future__ import annotations

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.run_apply import DeployOptions
from mosaic_deploy.cli.target.target import TargetOptions


@click.command()
@options.target_options
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
    target_options: TargetOptions,
    yes: bool,
    allow: tuple[str, ...],
    lock_timeout: float,
    force_unlock: bool,
    parallelism: int,
    poll: bool,
) -> int:
    """Apply, then follow edits: save a file, and it is live a moment later.

    PATH is a folder with a mosaic.yaml, or a manifest. Asks once; what destroys data is asked about each time. An
    error is shown, and the next save tries again. Ctrl-C ends it; what is under way is finished or left whole.
    """
    refuse_json_output(screen)
    from mosaic_deploy.cli.watch.loop import WatchOptions, run_watch
    from mosaic_deploy.deploy import PlanOptions

    deploy_options = DeployOptions(
        PlanOptions(parallelism=parallelism, postpone_empty_migrations=True),
        yes=yes,
        allow=allow,
        lock_timeout=lock_timeout,
        force_unlock=force_unlock,
    )
    watch_options = WatchOptions(
        target_options.open,
        deploy_options,
        poll,
    )
    return run_watch(screen, watch_options)


def refuse_json_output(screen: Screen) -> None:
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
    refuse_json_output(screen)
    from mosaic_deploy.cli.watch.live_reload import LiveReload
    from mosaic_deploy.cli.watch.loop import WatchOptions, run_watch
    from mosaic_deploy.deploy import PlanOptions

    deploy_options = DeployOptions(
        PlanOptions(parallelism=parallelism, postpone_empty_migrations=True), yes=True, allow=allow
    )
    watch_options = WatchOptions(
        TargetOptions(path, environment, local=True, project_id=None, timeout=30.0).open,
        deploy_options,
        poll,
        asks_consent=False,
    )
    return run_watch(screen, watch_options, LiveReload(screen, opens=opens))
