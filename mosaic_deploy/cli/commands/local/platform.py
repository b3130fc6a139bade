"""`mosaic-deploy platform`: the platform on your own PostgreSQL server and object store."""

from __future__ import annotations

import os
import shlex
import sys

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.commands.local.accounts import (
    account,
    database_environment,
    database_url_option,
    pause_deletions,
    refuse_empty,
    require,
    rotate_password,
)
from mosaic_deploy.cli.lazy_groups import Group
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.platform_process import run_platform_command
from mosaic_deploy.cli.terminal.consent import require_confirmation


@click.group(cls=Group)
def platform() -> None:
    """Self-host the platform. It runs on your own PostgreSQL server and object store."""


@platform.command()
@database_url_option
@click.option(
    "--store",
    required=True,
    metavar="URL",
    help="Object store URL: s3://bucket, s3://bucket/prefix or file:///folder.",
)
@click.option(
    "--smtp",
    envvar="MOSAIC_SMTP_URL",
    callback=refuse_empty,
    metavar="URL",
    help="Email server (also: MOSAIC_SMTP_URL).",
)
@click.option(
    "--base-domain",
    required=True,
    metavar="DOMAIN",
    help="The API is served at https://api.DOMAIN, projects at https://ID.DOMAIN.",
)
@click.option(
    "--workers",
    type=options.NumberRange(click.IntRange(1, 256)),
    default=1,
    metavar="N",
    help="Number of processes (default: 1, at most 256).",
)
@click.option(
    "--host", default="127.0.0.1", metavar="ADDRESS", help="Address to listen on (default: 127.0.0.1)."
)
@click.option(
    "--port",
    type=options.NumberRange(click.IntRange(0, 65535)),
    default=8787,
    metavar="N",
    help="Port to listen on (default: 8787).",
)
@click.option(
    "--database-host",
    metavar="HOST[:PORT]",
    help="Database host shown in credentials (default: the one in --database-url).",
)
@click.option(
    "--connections",
    type=options.NumberRange(click.IntRange(2, 1000)),
    default=20,
    metavar="N",
    help="Maximum connections to project databases, per worker (default: 20, from 2 to 1000).",
)
@click.option(
    "--metrics",
    metavar="HOST:PORT",
    help="Serve metrics of all workers at this address (default: nowhere).",
)
@click.option(
    "--trusted-proxies",
    metavar="NETWORKS",
    help="Load balancers whose X-Forwarded-For is believed, such as 10.0.0.0/8,192.0.2.7 (default: none).",
)
@click.option(
    "--stop-timeout",
    type=options.NumberRange(click.IntRange(1, 3600)),
    default=25,
    metavar="SECONDS",
    help="How long running requests may take after SIGTERM (default: 25).",
)
@click.option(
    "--free-storage", default="20GB", metavar="SIZE", help="Storage per free project (default: 20GB)."
)
@click.option("--pro-storage", default="1TB", metavar="SIZE", help="Storage per pro project (default: 1TB).")
@click.option(
    "--free-emails",
    type=options.NumberRange(click.IntRange(min=1)),
    default=10,
    metavar="N",
    help="Magic-link emails per free project and day (default: 10).",
)
@click.option(
    "--pro-emails",
    type=options.NumberRange(click.IntRange(min=1)),
    default=1000,
    metavar="N",
    help="Magic-link emails per pro project and day (default: 1000).",
)
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another limit, such as free-database=10GB (repeatable; names: docs/self-hosting.md, Limits).",
)
@options.output
@click.pass_obj
def serve(
    screen: Screen,
    /,
    database_url: str | None,
    smtp: str | None,
    limits: tuple[str, ...],
    **chosen: str | int | None,
) -> None:
    """Serve the platform in the foreground until SIGTERM. Run it on several machines with the same options to scale.

    S3 endpoint, region and credentials come from AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and
    AWS_SECRET_ACCESS_KEY. Logs go to stderr, one JSON object per line.

    \b
    Example, for a trial on one machine (the API is at http://api.localhost:8787):
      MOSAIC_DATABASE_URL=postgresql://USER:PASSWORD@HOST/postgres \\
      MOSAIC_SMTP_URL=smtp://localhost/?from=YOU@example.com \\
      mosaic-deploy platform serve --store file:///FOLDER \\
        --base-domain http://localhost:8787
    """
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in chosen.items() if value is not None]
    arguments += [f"--limit={limit}" for limit in limits]
    secrets = {
        **database_environment(database_url),
        "MOSAIC_SMTP_URL": require(smtp, "--smtp", "MOSAIC_SMTP_URL"),
    }
    # Problems with the database, store or domain are reported here, like those of any command.
    screen.platform(run_platform_command("prepare", *arguments, environment=secrets, embedded=False))
    sys.stdout.flush()
    # Replaces this process, so signals and the exit code are the platform's.
    command = [sys.executable, "-P", "-m", "mosaic_deploy.platform", "cluster", *arguments]
    os.execve(sys.executable, command, {**os.environ, **secrets})  # noqa: S606


@platform.command("take-over")
@database_url_option
@click.option("--store", required=True, metavar="URL", help="Object store URL, as for platform serve.")
@click.option("--yes", "-y", is_flag=True, help="Take over without asking.")
@options.output
@click.pass_obj
def take_over(screen: Screen, database_url: str | None, store: str, yes: bool) -> None:
    """Take over the object store of another installation. Needed after restoring a backup.

    \b
    Example:
      mosaic-deploy platform take-over --store s3://bucket
    """
    secrets = database_environment(database_url)
    require_confirmation(
        f"Take over {store}? Stop all other installations that use it first.",
        yes=yes,
        command=shlex.join(["mosaic-deploy", "platform", "take-over", "--store", store, "--yes"]),
        needs_person=True,
    )
    # The domain isn't used.
    arguments = ("--store", store, "--base-domain", "example.com")
    screen.platform(run_platform_command("take-over", *arguments, environment=secrets, embedded=False))


platform.add_command(account)
platform.add_command(pause_deletions)
platform.add_command(rotate_password)
