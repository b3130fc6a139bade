"""The commands of a served platform: `prepare`, `cluster`, `work`, `account-…`.

Secrets come from the environment, because every user of a machine sees command lines: MOSAIC_DATABASE_URL,
MOSAIC_SMTP_URL and the AWS_… variables.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Callable
from typing import Any, TypeVar

from mosaic_deploy.installed import install_command
from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.projects.limits import parse_count, parse_limit, parse_size

T = TypeVar("T")

_SERVE_COMMANDS = ("prepare", "take-over", "cluster", "work")
_DATABASE_COMMANDS = (
    "account-create", "account-rotate", "account-tier", "account-list", "account-suspend", "account-resume",
    "account-delete", "rotate-password", "pause-deletions",
)  # fmt: skip
COMMANDS = (*_SERVE_COMMANDS, *_DATABASE_COMMANDS)
DATABASE_VARIABLE = "MOSAIC_DATABASE_URL"

_HELP = {
    "prepare": "check and prepare the database and the object store for `cluster`",
    "take-over": "make an object store that another installation used this one's",
    "cluster": "serve in the foreground, on a PostgreSQL server and an object store",
    "work": argparse.SUPPRESS,
    "account-create": "create an account with an API key",
    "account-rotate": "replace an account's API key",
    "account-tier": "change an account's tier",
    "account-list": "list all accounts, without their keys",
    "account-suspend": "stop serving an account, and keep its data",
    "account-resume": "serve a suspended account again",
    "account-delete": "delete an account with its projects",
    "pause-deletions": "keep deleted objects and databases during a backup",
    "rotate-password": "replace the password of a project's database role",
}


def add_commands(commands: Any) -> None:
    for name in COMMANDS:
        command = commands.add_parser(name, help=_HELP[name])
        if name == "account-create":
            command.add_argument("name")
            command.add_argument("--tier", choices=("free", "pro"), default="free")
        if name.startswith("account-") and name not in ("account-create", "account-list"):
            command.add_argument("account", type=int)
        if name == "account-rotate":
            command.add_argument("--now", action="store_true")
        if name == "pause-deletions":
            command.add_argument("hours", type=float)
        if name == "rotate-password":
            command.add_argument("project")
        if name == "account-tier":
            command.add_argument("tier", choices=("free", "pro"))
        if name in _DATABASE_COMMANDS:
            continue
        command.add_argument("--store", required=True)
        command.add_argument("--base-domain", required=True)
        command.add_argument("--database-host", default="")
        command.add_argument("--host", default="127.0.0.1")
        command.add_argument("--port", type=int, default=8787)
        command.add_argument("--workers", type=int, default=1)
        command.add_argument("--connections", type=int, default=20)
        command.add_argument("--metrics", default="")
        command.add_argument("--trusted-proxies", default="")
        command.add_argument("--stop-timeout", type=int, default=25)
        command.add_argument("--free-storage", type=_argparse_type(parse_size), default=20 * 10**9)
        command.add_argument("--pro-storage", type=_argparse_type(parse_size), default=10**12)
        command.add_argument("--free-emails", type=_argparse_type(parse_count), default=10)
        command.add_argument("--pro-emails", type=_argparse_type(parse_count), default=1000)
        command.add_argument("--limit", type=_argparse_type(parse_limit), action="append", default=[])
        if name == "work":
            command.add_argument("--listener", type=int, required=True)
            command.add_argument("--lifeline", type=int, required=True)
            command.add_argument("--metrics-listener", type=int)
            command.add_argument("--counts-folder", required=True)


def run(options: argparse.Namespace) -> dict[str, Any] | None:
    """The document to print, or None if the command logs instead. Raises ProcessFault."""
    try:
        from mosaic_deploy.platform.cluster import operator_commands, serve_commands
        from mosaic_deploy.platform.http import logs
    except ImportError as error:
        raise ProcessFault(
            "local_not_installed",
            f"serving the platform needs a package that isn't installed: {error.name}",
            install_command("serve"),
        ) from error
    logs.configure(None)
    url = os.environ.get(DATABASE_VARIABLE, "")
    if options.command in _DATABASE_COMMANDS:
        return asyncio.run(operator_commands.run(options, url))
    return serve_commands.run(options, url)


def _argparse_type(parse: Callable[[str], T]) -> Callable[[str], T]:
    """argparse shows the message of an ArgumentTypeError, but not that of a ValueError."""

    def convert(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert
