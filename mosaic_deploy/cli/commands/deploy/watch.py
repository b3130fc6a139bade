"""`mosaic-deploy watch` and `mosaic-deploy dev`."""

from __future__ import annotations

import click

from mosaic_deploy.cli import allow_option, options
from mosaic_deploy.cli.builds.step import build_option, when_wanted
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
    help="Apply without asking. Required without a terminal.",
)
@allow_option.allow
@build_option
@options.lease
@options.parallelism
@options.poll
@options.stream_output
@click.pass_obj
def watch(
    screen: Screen,
    target_options: TargetOptions,
    yes: bool,
    allow: tuple[str, ...],
    build_wanted: bool | None,
    lock_timeout: float,
    force_unlock: bool,
    parallelism: int,
    poll: bool,
) -> int:
    """Deploy every change on save. Asks before the first deploy, and before each change that destroys data.

    PATH is a folder with a mosaic.yaml, or a manifest. After an error, the next save tries again. Ctrl-C stops
    watching; a step that is running is finished first.

    \b
    Examples:
      mosaic-deploy watch
      mosaic-deploy watch --env staging --yes
    """
    from mosaic_deploy.cli.watch.loop import WatchOptions, run_watch
    from mosaic_deploy.deploy import PlanOptions

    deploy_options = DeployOptions(
        PlanOptions(parallelism=parallelism, postpone_empty_migrations=True),
        yes=yes,
        allow=allow,
        lock_timeout=lock_timeout,
        force_unlock=force_unlock,
        build=when_wanted(build_wanted),
    )
    watch_options = WatchOptions(
        target_options.open,
        deploy_options,
        poll,
    )
    return run_watch(screen, watch_options)


@click.command()
@options.manifest
@click.option("--open", "open_browser", is_flag=True, help="Open the site in a browser.")
@allow_option.allow_without_yes
@build_option
@options.parallelism
@options.poll
@options.stream_output
@click.pass_obj
def dev(
    screen: Screen,
    path: str,
    environment: str | None,
    open_browser: bool,
    allow: tuple[str, ...],
    build_wanted: bool | None,
    parallelism: int,
    poll: bool,
) -> int:
    """Run the project on this machine with live reload. Uses only the embedded platform; needs no account.

    Starts the platform, deploys, then deploys every change on save and reloads the browser. An error is shown in
    the page with its file and line until fixed. Runs the manifest's dev.command, the project's own backend, with
    DATABASE_URL in its environment. Ctrl-C stops both; the platform keeps running.
    PATH is a folder with a mosaic.yaml, or a manifest.

    \b
    Examples:
      mosaic-deploy dev
      mosaic-deploy dev --open
    """
    from mosaic_deploy.cli.watch.live_reload import LiveReload, Observers
    from mosaic_deploy.cli.watch.loop import WatchOptions, run_watch
    from mosaic_deploy.cli.watch.own_backend import OwnBackend
    from mosaic_deploy.deploy import PlanOptions

    deploy_options = DeployOptions(
        PlanOptions(parallelism=parallelism, postpone_empty_migrations=True),
        yes=True,
        allow=allow,
        build=when_wanted(build_wanted),
    )
    watch_options = WatchOptions(
        TargetOptions(path, environment, local=True, project_id=None, timeout=30.0).open,
        deploy_options,
        poll,
        asks_consent=False,
    )
    observer = Observers(LiveReload(screen, opens=open_browser), OwnBackend(screen))
    return run_watch(screen, watch_options, observer)
