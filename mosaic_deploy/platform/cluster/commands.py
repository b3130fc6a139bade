"""The commands of a served platform: `prepare`, `cluster`, `work`, `account-…`.

Secrets come from the environment, because every user of a machine sees command lines: MOSAIC_DATABASE_URL,
MOSAIC_SMTP_URL and the AWS_… variables.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
from collections.abc import Callable
from typing import Any, TypeVar

from mosaic_deploy.installed import install_command
from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.projects.limits import (
    SERVED_LIMITS,
    Limits,
    parse_count,
    parse_limit,
    parse_size,
)

T = TypeVar("T")

COMMANDS = ("prepare", "cluster", "work", "account-create", "account-rotate", "account-tier", "account-list")
DATABASE_VARIABLE = "MOSAIC_DATABASE_URL"

_HELP = {
    "prepare": "check and prepare the database and the object store for `cluster`",
    "cluster": "serve in the foreground, on a PostgreSQL server and an object store",
    "work": argparse.SUPPRESS,
    "account-create": "create an account with an API key",
    "account-rotate": "replace an account's API key",
    "account-tier": "change an account's tier",
    "account-list": "list all accounts, without their keys",
}

log = logging.getLogger("mosaic_deploy.platform")


def add_commands(commands: Any) -> None:
    for name in COMMANDS:
        command = commands.add_parser(name, help=_HELP[name])
        if name == "account-create":
            command.add_argument("name")
            command.add_argument("--tier", choices=("free", "pro"), default="free")
        if name in ("account-rotate", "account-tier"):
            command.add_argument("account", type=int)
        if name == "account-tier":
            command.add_argument("tier", choices=("free", "pro"))
        if name.startswith("account-"):
            continue
        command.add_argument("--store", required=True)
        command.add_argument("--base-domain", required=True)
        command.add_argument("--database-host", default="")
        command.add_argument("--host", default="127.0.0.1")
        command.add_argument("--port", type=int, default=8787)
        command.add_argument("--workers", type=int, default=1)
        command.add_argument("--connections", type=int, default=20)
        command.add_argument("--free-storage", type=_argparse_type(parse_size), default=20 * 10**9)
        command.add_argument("--pro-storage", type=_argparse_type(parse_size), default=10**12)
        command.add_argument("--free-emails", type=_argparse_type(parse_count), default=10)
        command.add_argument("--pro-emails", type=_argparse_type(parse_count), default=1000)
        command.add_argument("--limit", type=_argparse_type(parse_limit), action="append", default=[])
        if name == "work":
            command.add_argument("--listener", type=int, required=True)
            command.add_argument("--lifeline", type=int, required=True)


def run(options: argparse.Namespace) -> dict[str, Any] | None:
    """The document to print, or None if the command logs instead. Raises ProcessFault."""
    try:
        from mosaic_deploy.platform.auth import smtp
        from mosaic_deploy.platform.cluster import settings as cluster
        from mosaic_deploy.platform.cluster import workers
        from mosaic_deploy.platform.http import logs
    except ImportError as error:
        raise ProcessFault(
            "local_not_installed",
            f"serving the platform needs a package that isn't installed: {error.name}",
            install_command("serve"),
        ) from error
    logs.configure(None)
    url = os.environ.get(DATABASE_VARIABLE, "")
    if options.command.startswith("account-"):
        return asyncio.run(_account(options, cluster.ClusterSettings(url)))
    settings = cluster.ClusterSettings(
        database_url=url,
        store_url=options.store,
        base_domain=options.base_domain,
        database_host=options.database_host,
        host=options.host,
        port=options.port,
        workers=options.workers,
        connections=options.connections,
        limits=Limits(
            options.free_storage,
            options.pro_storage,
            options.free_emails,
            options.pro_emails,
            **{**SERVED_LIMITS, **dict(options.limit)},
        ),
    )
    smtp.mailer_from_url(os.environ.get(smtp.SMTP_URL_VARIABLE))
    if options.command == "prepare":
        asyncio.run(cluster.prepare(settings))
        return {"status": "prepared", "url": settings.hosts().url}
    if options.command == "work":
        workers.run_worker(settings, socket.socket(fileno=options.listener), options.lifeline, lambda: None)
        return None
    listener = _bind_address(settings.host, settings.port)
    location = f"{settings.hosts().url}, at {settings.host}:{listener.getsockname()[1]}"
    if settings.workers == 1:
        workers.run_worker(settings, listener, None, lambda: log.info("serving %s", location))
        return None
    asyncio.run(cluster.prepare(settings))
    listener.listen(1024)
    command = workers.worker_command(_worker_arguments(options))
    workers.WorkerSupervisor(command, listener, settings.workers).run(
        lambda: log.info("starting %s", location)
    )
    return None


async def _account(options: argparse.Namespace, settings: Any) -> dict[str, Any]:
    from mosaic_deploy.platform.accounts import accounts
    from mosaic_deploy.platform.cluster import settings as cluster

    async with cluster.open_control_database(settings) as pool:
        try:
            if options.command == "account-create":
                return await accounts.create_account(pool, options.name, options.tier)
            if options.command == "account-tier":
                return await accounts.change_tier(pool, options.account, options.tier)
            if options.command == "account-list":
                return {"accounts": await accounts.list_accounts(pool)}
            key = await accounts.rotate_key(pool, options.account)
        except LookupError as error:
            raise ProcessFault(
                "account_not_found",
                f"account {options.account} doesn't exist",
                "list the accounts with `mosaic-deploy platform account list`",
            ) from error
    return {"account_id": options.account, "api_key": key, "old_key_days": accounts.KEY_GRACE_PERIOD.days}


def _worker_arguments(options: argparse.Namespace) -> list[str]:
    """These options as arguments for a worker."""
    names = (
        "store", "base_domain", "database_host", "host", "port", "workers", "connections", "free_storage", "pro_storage",
        "free_emails", "pro_emails",
    )  # fmt: skip
    limits = [f"--limit={name}={value}" for name, value in options.limit]
    return [*(f"--{name.replace('_', '-')}={getattr(options, name)}" for name in names), *limits]


def _bind_address(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # Without an explicit protocol, asyncio doesn't set TCP_NODELAY.
        opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
    except OSError as error:
        raise ProcessFault(
            "address_unusable",
            f"can't listen on {host}:{port}: {error.strerror or error}",
            "choose another address with --host and --port",
        ) from error
    return opened


def _argparse_type(parse: Callable[[str], T]) -> Callable[[str], T]:
    """argparse shows the message of an ArgumentTypeError, but not that of a ValueError."""

    def convert(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert
