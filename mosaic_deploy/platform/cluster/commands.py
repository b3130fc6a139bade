"""The commands of a served platform: `prepare`, `cluster`, `work`, `account-…`.

Secrets come from the environment, because every user of a machine sees command lines: MOSAIC_DATABASE_URL,
MOSAIC_SMTP_URL and the AWS_… variables.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
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

log = logging.getLogger("mosaic_deploy.platform")


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
        from mosaic_deploy.platform.auth import smtp
        from mosaic_deploy.platform.cluster import operator_commands, workers
        from mosaic_deploy.platform.cluster import settings as cluster
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
        return asyncio.run(operator_commands.run(options, cluster.ClusterSettings(url)))
    settings = cluster.ClusterSettings(
        database_url=url,
        store_url=options.store,
        base_domain=options.base_domain,
        database_host=options.database_host,
        host=options.host,
        port=options.port,
        workers=options.workers,
        stop_seconds=options.stop_timeout,
        trusted_proxies=_networks(options.trusted_proxies),
        connections=options.connections,
        limits=Limits(
            options.free_storage,
            options.pro_storage,
            options.free_emails,
            options.pro_emails,
            **{**SERVED_LIMITS, **dict(options.limit)},
        ),
    )
    if options.command == "take-over":
        previous = asyncio.run(cluster.take_over_store(settings))
        return {"status": "taken_over", "store": settings.store_url, "previous_owner": previous or None}
    smtp.mailer_from_url(os.environ.get(smtp.SMTP_URL_VARIABLE))
    if options.command == "prepare":
        asyncio.run(cluster.prepare(settings))
        return {"status": "prepared", "url": settings.hosts().url}
    if options.command == "work":
        inherited = workers.Listeners(
            socket.socket(fileno=options.listener),
            None if options.metrics_listener is None else socket.socket(fileno=options.metrics_listener),
        )
        workers.run_worker(settings, inherited, options.lifeline, options.counts_folder, lambda: None)
        return None
    listeners = workers.Listeners(
        _bind_address(settings.host, settings.port, "--host and --port"),
        _bind_address(*_host_and_port(options.metrics), "--metrics") if options.metrics else None,
    )
    location = f"{settings.hosts().url}, at {settings.host}:{listeners.main.getsockname()[1]}"
    if settings.workers == 1:
        workers.run_worker(settings, listeners, None, "", lambda: log.info("serving %s", location))
        return None
    asyncio.run(cluster.prepare(settings))
    for listener in listeners.all():
        listener.listen(1024)
    command = workers.worker_command(_worker_arguments(options))
    workers.WorkerSupervisor(command, listeners, settings.workers, settings.stop_seconds).run(
        lambda: log.info("starting %s", location)
    )
    return None


def _worker_arguments(options: argparse.Namespace) -> list[str]:
    """These options as arguments for a worker."""
    names = (
        "store", "base_domain", "database_host", "host", "port", "workers", "connections", "free_storage", "pro_storage",
        "free_emails", "pro_emails", "trusted_proxies", "stop_timeout",
    )  # fmt: skip
    limits = [f"--limit={name}={value}" for name, value in options.limit]
    return [*(f"--{name.replace('_', '-')}={getattr(options, name)}" for name in names), *limits]


def _networks(text: str) -> tuple[str, ...]:
    """Addresses and networks from `10.0.0.0/8,192.0.2.7`. Raises ProcessFault."""
    given = tuple(part.strip() for part in text.split(",") if part.strip())
    try:
        for one in given:
            ipaddress.ip_network(one)
    except ValueError as error:
        raise ProcessFault(
            "trusted_proxies_invalid",
            f"invalid --trusted-proxies: {error}",
            "for example: 10.0.0.0/8,192.0.2.7",
        ) from error
    return given


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ProcessFault("address_unusable", f"invalid --metrics: {text!r}", "for example: 127.0.0.1:9464")
    return host.strip("[]"), int(port)


def _bind_address(host: str, port: int, options: str) -> socket.socket:
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
            f"choose another address with {options}",
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
