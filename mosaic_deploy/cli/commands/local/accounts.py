"""`mosaic-deploy platform account` and `rotate-password`: what only needs a self-hosted platform's database."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TypeVar

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.lazy_groups import Group
from mosaic_deploy.cli.render.layout import table
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.platform_process import run_platform_command
from mosaic_deploy.cli.terminal.consent import require_confirmation

F = TypeVar("F", bound=Callable[..., object])


def refuse_empty(_ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Refuses an empty environment variable; a missing one is reported by `require` when the command runs."""
    if value == "":
        raise click.BadParameter("is empty", param=parameter)
    return value


def require(value: str | None, option: str, variable: str) -> str:
    if value is None:
        raise click.UsageError(f"{option} is required (or set {variable})")
    return value


def database_url_option(command: F) -> F:
    return click.option(
        "--database-url",
        envvar="MOSAIC_DATABASE_URL",
        callback=refuse_empty,
        metavar="URL",
        help="PostgreSQL URL of a role that may create databases and roles (also: MOSAIC_DATABASE_URL).",
    )(command)


def database_environment(url: str | None) -> dict[str, str]:
    return {"MOSAIC_DATABASE_URL": require(url, "--database-url", "MOSAIC_DATABASE_URL")}


def _run(screen: Screen, database_url: str | None, *arguments: str) -> None:
    secrets = database_environment(database_url)
    screen.platform(run_platform_command(*arguments, environment=secrets, embedded=False))


@click.command("pause-deletions")
@database_url_option
@click.option(
    "--hours",
    type=options.NumberRange(click.FloatRange(0, 168)),
    required=True,
    metavar="N",
    help="For how long, at most 168. 0 resumes deletions.",
)
@options.output
@click.pass_obj
def pause_deletions(screen: Screen, database_url: str | None, hours: float) -> None:
    """Keep deleted data for a consistent backup. Users can delete files and projects; the rest is done later.

    \b
    Example:
      mosaic-deploy platform pause-deletions --hours 6
    """
    _run(screen, database_url, "pause-deletions", str(hours))


@click.command("rotate-password")
@click.argument("project_id")
@database_url_option
@options.output
@click.pass_obj
def rotate_password(screen: Screen, project_id: str, database_url: str | None) -> None:
    """Replace a project's database password. Its clients find the new one with `mosaic-deploy credentials`.

    \b
    Example:
      mosaic-deploy platform rotate-password brook-7hv
    """
    _run(screen, database_url, "rotate-password", project_id)


@click.group(cls=Group)
def account() -> None:
    """Manage the accounts of a self-hosted platform."""


@account.command()
@click.argument("name")
@database_url_option
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
    _run(screen, database_url, "account-create", name, "--tier", tier)


@account.command()
@click.argument("account_id", type=click.IntRange(min=1), metavar="ACCOUNT_ID")
@database_url_option
@click.option("--now", is_flag=True, help="The previous keys stop working within 5 seconds.")
@options.output
@click.pass_obj
def rotate(screen: Screen, account_id: int, database_url: str | None, now: bool) -> None:
    """Create a new API key and print it. The previous one stays valid for 7 days, unless you pass --now.

    \b
    Examples:
      mosaic-deploy platform account rotate 1
      mosaic-deploy platform account rotate 1 --now
    """
    _run(screen, database_url, "account-rotate", str(account_id), *(["--now"] if now else []))


@account.command()
@click.argument("account_id", type=click.IntRange(min=1), metavar="ACCOUNT_ID")
@database_url_option
@options.output
@click.pass_obj
def suspend(screen: Screen, account_id: int, database_url: str | None) -> None:
    """Stop serving an account. Ends its API, sites, uploads and database logins; its data is kept.

    \b
    Example:
      mosaic-deploy platform account suspend 1
    """
    _run(screen, database_url, "account-suspend", str(account_id))


@account.command()
@click.argument("account_id", type=click.IntRange(min=1), metavar="ACCOUNT_ID")
@database_url_option
@options.output
@click.pass_obj
def resume(screen: Screen, account_id: int, database_url: str | None) -> None:
    """Serve a suspended account again.

    \b
    Example:
      mosaic-deploy platform account resume 1
    """
    _run(screen, database_url, "account-resume", str(account_id))


@account.command()
@click.argument("account_id", type=click.IntRange(min=1), metavar="ACCOUNT_ID")
@database_url_option
@click.option("--yes", "-y", is_flag=True, help="Delete without asking.")
@options.output
@click.pass_obj
def delete(screen: Screen, account_id: int, database_url: str | None, yes: bool) -> None:
    """Delete an account with all its projects. Its keys stop working within 5 seconds.

    \b
    Example:
      mosaic-deploy platform account delete 1
    """
    secrets = database_environment(database_url)
    require_confirmation(
        f"Delete account {account_id} with all its projects? This can't be undone.",
        yes=yes,
        command=shlex.join(["mosaic-deploy", "platform", "account", "delete", str(account_id), "--yes"]),
        needs_person=True,
    )
    screen.platform(
        run_platform_command("account-delete", str(account_id), environment=secrets, embedded=False)
    )


@account.command()
@click.argument("account_id", type=click.IntRange(min=1), metavar="ACCOUNT_ID")
@click.argument("tier", type=click.Choice(["free", "pro"]))
@database_url_option
@options.output
@click.pass_obj
def tier(screen: Screen, account_id: int, tier: str, database_url: str | None) -> None:
    """Change the tier of an account. Applies to all its projects from the next request on.

    \b
    Example:
      mosaic-deploy platform account tier 1 pro
    """
    _run(screen, database_url, "account-tier", str(account_id), tier)


@account.command("list")
@database_url_option
@options.output
@click.pass_obj
def list_accounts(screen: Screen, database_url: str | None) -> None:
    """List the accounts with tier, projects and key expiry.

    \b
    Example:
      mosaic-deploy platform account list
    """
    secrets = database_environment(database_url)
    found = run_platform_command("account-list", environment=secrets, embedded=False)["accounts"]
    names = ("id", "name", "tier", "status", "projects", "rotate key by", "key expires")
    rows = [
        tuple(
            each[name]
            for name in ("account_id", "name", "tier", "status", "projects", "key_due", "key_expires")
        )
        for each in found
    ]
    screen.result(
        {"type": "accounts", "accounts": found}, table(names, rows) if rows else ["no accounts yet"]
    )
