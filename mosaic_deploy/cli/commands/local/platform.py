"""`mosaic-deploy platform`: Mosaic served to others, on a PostgreSQL cluster and an object store."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TypeVar

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.lazy_groups import Group
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.embedded import run_platform_command

F = TypeVar("F", bound=Callable[..., object])


def _refuse_empty(_ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Said when the command runs, so that its line can be read without the environment."""
    if value == "":
        raise click.BadParameter("is empty", param=parameter)
    return value


def _require(value: str | None, option: str, variable: str) -> str:
    if value is None:
        raise click.UsageError(f"{option}, or {variable} in the environment, is needed")
    return value


def _database_url_option(command: F) -> F:
    return click.option(
        "--database-url",
        envvar="MOSAIC_DATABASE_URL",
        callback=_refuse_empty,
        metavar="URL",
        help="A role that may create databases and roles (also: MOSAIC_DATABASE_URL).",
    )(command)


def _database_environment(url: str | None) -> dict[str, str]:
    return {"MOSAIC_DATABASE_URL": _require(url, "--database-url", "MOSAIC_DATABASE_URL")}


@click.group(cls=Group)
def platform() -> None:
    """Serve Mosaic to others, where one machine is outgrown."""


@platform.command()
@_database_url_option
@click.option(
    "--store",
    required=True,
    metavar="URL",
    help="Where bytes lie: s3://bucket, s3://bucket/prefix, file:///folder.",
)
@click.option(
    "--smtp",
    envvar="MOSAIC_SMTP_URL",
    callback=_refuse_empty,
    metavar="URL",
    help="The mail server (also: MOSAIC_SMTP_URL).",
)
@click.option(
    "--base-domain",
    required=True,
    metavar="DOMAIN",
    help="The API is at https://api.DOMAIN, projects at https://ID.DOMAIN.",
)
@click.option(
    "--workers", type=click.IntRange(1, 256), default=1, show_default=True, metavar="N", help="Processes."
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Listen at this address."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8787, show_default=True, metavar="N", help="Listen here."
)
@click.option(
    "--database-host",
    metavar="HOST[:PORT]",
    help="The database as projects' own clients reach it (default: as in --database-url).",
)
@click.option(
    "--connections",
    type=click.IntRange(2, 1000),
    default=20,
    show_default=True,
    metavar="N",
    help="Connections to projects' databases, per worker at most.",
)
@click.option(
    "--free-storage", default="20GB", show_default=True, metavar="SIZE", help="Storage of a free project."
)
@click.option(
    "--pro-storage", default="1TB", show_default=True, metavar="SIZE", help="Storage of a pro project."
)
@click.option(
    "--free-emails",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    metavar="N",
    help="Sign-in mails a day of a free project.",
)
@click.option(
    "--pro-emails",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    metavar="N",
    help="Sign-in mails a day of a pro project.",
)
@options.output
@click.pass_obj
def serve(screen: Screen, /, database_url: str | None, smtp: str | None, **chosen: str | int | None) -> None:
    """Serve in the foreground until SIGTERM. Start as many as you like, on any machines, with the same options.

    A PostgreSQL and a folder of one machine do for a trial: --store file:///FOLDER --base-domain
    http://localhost:8787. The API is at http://api.localhost:8787 then.

    S3's endpoint, region and credentials come from AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and
    AWS_SECRET_ACCESS_KEY. The log goes to stderr, one JSON object per line.
    """
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in chosen.items() if value is not None]
    secrets = {
        **_database_environment(database_url),
        "MOSAIC_SMTP_URL": _require(smtp, "--smtp", "MOSAIC_SMTP_URL"),
    }
    # What is wrong with database, store or domain is said here, as every command says it.
    screen.platform(run_platform_command("prepare", *arguments, environment=secrets, embedded=False))
    sys.stdout.flush()
    # In our place, not below us: signals and the exit code are its own.
    command = [sys.executable, "-m", "mosaic_deploy.platform", "cluster", *arguments]
    os.execve(sys.executable, command, {**os.environ, **secrets})  # noqa: S606


@platform.group()
def account() -> None:
    """The accounts of a served platform."""


@account.command()
@click.argument("name")
@_database_url_option
@click.option(
    "--tier", type=click.Choice(["free", "pro"]), default="free", show_default=True, help="Which limits hold."
)
@options.output
@click.pass_obj
def create(screen: Screen, name: str, database_url: str | None, tier: str) -> None:
    """Make an account and print its API key. The key is kept as a hash: it can't be shown again."""
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
    """Give an account its next API key and print it. The one before is good for seven days more."""
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
    """Move an account to another TIER. It holds for all its projects, from the next request on."""
    secrets = _database_environment(database_url)
    screen.platform(
        run_platform_command("account-tier", str(account_id), tier, environment=secrets, embedded=False)
    )


@account.command("list")
@_database_url_option
@options.output
@click.pass_obj
def list_accounts(screen: Screen, database_url: str | None) -> None:
    """List the accounts with their tiers, and until when their keys are good."""
    secrets = _database_environment(database_url)
    found = run_platform_command("account-list", environment=secrets, embedded=False)["accounts"]
    lines = [
        f"{one['account_id']:>6}  {one['tier']:<4}  {one['projects']:>5} project{' ' if one['projects'] == 1 else 's'}  key due {one['key_due']},"
        f" refused from {one['key_expires']}  {one['name']!r}"
        for one in found
    ]
    screen.result({"type": "accounts", "accounts": found}, lines or ["There are no accounts yet."])
