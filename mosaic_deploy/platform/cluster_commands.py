"""The process contract of a served platform: `prepare`, `cluster`, `work`, `account-…`.

Secrets come through the environment, where other users of the machine don't see them: MOSAIC_DATABASE_URL,
MOSAIC_SMTP_URL, and the AWS_… names.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import re
import socket
from typing import Any

from mosaic_deploy.platform.faults import ProcessFault

COMMANDS = ("prepare", "cluster", "work", "account-create", "account-rotate")
DATABASE_VARIABLE = "MOSAIC_DATABASE_URL"

_TEXTS = {
    "prepare": "check and prepare database and store for `cluster`",
    "cluster": "serve in the foreground, on a PostgreSQL cluster and an object store",
    "work": argparse.SUPPRESS,
    "account-create": "make an account with an API key",
    "account-rotate": "give an account its next API key",
}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(B|KB|MB|GB|TB)?", re.IGNORECASE)
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}

log = logging.getLogger("mosaic_deploy.platform")


def add_commands(commands: Any) -> None:
    for name in COMMANDS:
        command = commands.add_parser(name, help=_TEXTS[name])
        if name == "account-create":
            command.add_argument("name")
            command.add_argument("--tier", choices=("free", "pro"), default="free")
            continue
        if name == "account-rotate":
            command.add_argument("account", type=int)
            continue
        command.add_argument("--store", required=True)
        command.add_argument("--base-domain", required=True)
        command.add_argument("--database-host", default="")
        command.add_argument("--host", default="127.0.0.1")
        command.add_argument("--port", type=int, default=8787)
        command.add_argument("--workers", type=int, default=1)
        command.add_argument("--connections", type=int, default=20)
        command.add_argument("--free-storage", type=_size, default=20 * 10**9)
        command.add_argument("--pro-storage", type=_size, default=10**12)
        if name == "work":
            command.add_argument("--listener", type=int, required=True)
            command.add_argument("--lifeline", type=int, required=True)


def run(options: argparse.Namespace) -> dict[str, Any] | None:
    """The document to print, or None where the command has said everything itself. Raises ProcessFault."""
    try:
        from mosaic_deploy.platform import cluster, logs, mailer, worker, workers
        from mosaic_deploy.platform.parts import Limits
    except ImportError as error:
        raise ProcessFault(
            "local_not_installed",
            f"serving needs a package that isn't installed: {error.name}",
            "pip install 'mosaic-deploy[local]'",
        ) from error
    logs.configure(None)
    url = os.environ.get(DATABASE_VARIABLE, "")
    if options.command == "account-create":
        return asyncio.run(_create_account(cluster.Cluster(url), options.name, options.tier))
    if options.command == "account-rotate":
        return asyncio.run(_rotate_key(cluster.Cluster(url), options.account))
    told = cluster.Cluster(
        database_url=url,
        store_url=options.store,
        base_domain=options.base_domain,
        database_host=options.database_host,
        host=options.host,
        port=options.port,
        workers=options.workers,
        connections=options.connections,
        limits=Limits(options.free_storage, options.pro_storage),
    )
    mailer.mailer_from(os.environ.get(mailer.VARIABLE))
    if options.command == "prepare":
        asyncio.run(cluster.prepare(told))
        return {"status": "prepared", "url": told.hosts().url}
    if options.command == "work":
        worker.work(told, socket.socket(fileno=options.listener), options.lifeline, lambda: None)
        return None
    listener = _bound(told.host, told.port)
    place = f"{told.hosts().url}, at {told.host}:{listener.getsockname()[1]}"
    if told.workers == 1:
        worker.work(told, listener, None, lambda: log.info("serving %s", place))
        return None
    asyncio.run(cluster.prepare(told))
    listener.listen(1024)
    command = workers.worker_command(_again(options))
    workers.Workers(command, listener, told.workers).run(lambda: log.info("starting %s", place))
    return None


async def _create_account(told: Any, name: str, tier: str) -> dict[str, Any]:
    from mosaic_deploy.platform import accounts, cluster

    async with cluster.opened_control(told) as pool:
        return await accounts.create_account(pool, name, tier)


async def _rotate_key(told: Any, account_id: int) -> dict[str, Any]:
    from mosaic_deploy.platform import accounts, cluster

    async with cluster.opened_control(told) as pool:
        try:
            key = await accounts.rotate_key(pool, account_id)
        except LookupError as error:
            raise ProcessFault("account_not_found", f"there is no account {account_id}") from error
    return {"account_id": account_id, "api_key": key, "old_key_days": accounts.GRACE.days}


def _again(options: argparse.Namespace) -> list[str]:
    """The same options once more, for a worker."""
    names = (
        "store", "base_domain", "database_host", "host", "port", "workers", "connections", "free_storage", "pro_storage",
    )  # fmt: skip
    return [f"--{name.replace('_', '-')}={getattr(options, name)}" for name in names]


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # The protocol is named because asyncio turns Nagle's delay off only for sockets that say they are TCP.
        opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
    except OSError as error:
        raise ProcessFault(
            "address_unusable",
            f"{host}:{port} can't be listened on: {error.strerror or error}",
            "choose others with --host and --port",
        ) from error
    return opened


def _size(text: str) -> int:
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise argparse.ArgumentTypeError("a size is a number with B, KB, MB, GB or TB")
    return int(float(found[1]) * _UNITS[(found[2] or "").upper()])
