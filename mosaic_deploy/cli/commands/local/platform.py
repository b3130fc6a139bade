"""`mosaic-deploy platform`: the platform on your own PostgreSQL server and object store."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TypeVar

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.lazy_groups import Group
from mosaic_deploy.cli.render.layout import table
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.embedded import run_platform_command

F = TypeVar("F", bound=Callable[..., object])


def _refuse_empty(_ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Refuses an empty environment variable; a missing one is reported by `_require` when the command runs."""
    if value == "":
        raise click.BadParameter("is empty", param=parameter)
    return value


def _require(value: str | None, option: str, variable: str) -> str:
    if value is None:
        raise click.UsageError(f"{option} is required (or set {variable})")
    return value


def _database_url_option(command: F) -> F:
    return click.option(
        "--database-url",
        envvar="MOSAIC_DATABASE_URL",
        callback=_refuse_empty,
        metavar="URL",
        help="PostgreSQL URL of a role that may create databases and roles (also: MOSAIC_DATABASE_URL).",
    )(command)


def _database_environment(url: str | None) -> dict[str, str]:
    return {"MOSAIC_DATABASE_URL": _require(url, "--database-url", "MOSAIC_DATABASE_URL")}


@click.group(cls=Group)
def platform() -> None:
    """Self-host the platform. It runs on your own PostgreSQL server and object store."""


@platform.command()
@_database_url_option
@click.option(
    "--store",
    required=True,
    metavar="URL",
    help="Object store URL: s3://bucket, s3://bucket/prefix or file:///folder.",
)
@click.option(
    "--smtp",
    envvar="MOSAIC_SMTP_URL",
    callback=_refuse_empty,
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
        **_database_environment(database_url),
        "MOSAIC_SMTP_URL": _require(smtp, "--smtp", "MOSAIC_SMTP_URL"),
    }
    # Problems with the database, store or domain are reported here, like those of any command.
    screen.platform(run_platform_command("prepare", *arguments, environment=secrets, embedded=False))
    sys.stdout.flush()
    # Replaces this process, so signals and the exit code are the platform's.
    command = [sys.executable, "-m", "mosaic_deploy.platform", "cluster", *arguments]
    os.execve(sys.executable, command, {**os.environ, **secrets})  # noqa: S606


@platform.group()
def account() -> None:
    """Manage the accounts of a self-hosted platform."""


@account.command()
@click.argument("name")
@_database_url_option
@click.option(
    "--tier",
    type=click.Choice(["free", "pro"]),
    default="free",
    help="Limits of the account (default: free).",
)
@options.output
@click.pass_obj
def create(screen: Screen, name: str, database_url: str | None, tier: str) -> None:
    """Create an account and print its API key. The key can't be shown again: only its hash is stored.

    \b
    Example:
      mosaic-deploy platform account create ada --tier pro
    """
    secrets = _database_environment(database_url)
    screen.platform(
        run_platform_command("account-create", name, "--tier", tier, environment=secrets, embedded=False)
    )


@account.command()
@click.argument("account_id", type=click.IntRange(min=1), metavar="ACCOUNT_ID")
@_database_url_option
@options.output
@click.pass_obj
def rotate(screen: Screen, account_id: int, database_url: str | None) -> None:
    """Create a new API key and print it. The previous one stays valid for 7 days.

    \b
    Example:
      mosaic-deploy platform account rotate 1
    """
    secrets = _database_environment(database_url)
    screen.platform(
        run_platform_command("account-rotate", str(account_id), environment=secrets, embedded=False)
    )


@account.command()
@click.argument("account_id", type=click.IntRange(min=1), metavar="ACCOUNT_ID")
@click.argument("tier", type=click.Choice(["free", "pro"]))
@_database_url_option
@options.output
@click.pass_obj
def tier(screen: Screen, account_id: int, tier: str, database_url: str | None) -> None:
    """Change the tier of an account. Applies to all its projects from the next request on.

    \b
    Example:
      mosaic-deploy platform account tier 1 pro
    """
    secrets = _database_environment(database_url)
    screen.platform(
        run_platform_command("account-tier", str(account_id), tier, environment=secrets, embedded=False)
    )


@account.command("list")
@_database_url_option
@options.output
@click.pass_obj
def list_accounts(screen: Screen, database_url: str | None) -> None:
    """List the accounts with tier, projects and key expiry.

    \b
    Example:
      mosaic-deploy platform account list
    """
    secrets = _database_environment(database_url)
    found = run_platform_command("account-list", environment=secrets, embedded=False)["accounts"]
    names = ("id", "name", "tier", "projects", "rotate key by", "key expires")
    rows = [
        tuple(each[name] for name in ("account_id", "name", "tier", "projects", "key_due", "key_expires"))
        for each in found
    ]
    screen.result(
        {"type": "accounts", "accounts": found}, table(names, rows) if rows else ["no accounts yet"]
    )
