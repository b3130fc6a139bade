"""The commands that serve the platform, and those that prepare its database and object store."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import logging
import os
import socket
from typing import Any

from mosaic_deploy.platform.auth import smtp
from mosaic_deploy.platform.cluster import settings as cluster
from mosaic_deploy.platform.cluster import workers
from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.projects.limits import SERVED_LIMITS, Limits

log = logging.getLogger("mosaic_deploy.platform")


def run(options: argparse.Namespace, database_url: str) -> dict[str, Any] | None:
    """The document to print, or None if the command logs instead. Raises ProcessFault."""
    settings = _cluster_settings(options, database_url)
    if options.command == "take-over":
        previous = asyncio.run(cluster.take_over_store(settings))
        return {"status": "taken_over", "store": settings.store_url, "previous_owner": previous or None}
    smtp.mailer_from_url(os.environ.get(smtp.SMTP_URL_VARIABLE))
    if options.command == "prepare":
        asyncio.run(cluster.prepare(settings))
        return {"status": "prepared", "url": settings.hosts().url}
    if options.command == "work":
        _work(options, settings)
    else:
        _serve(options, settings)
    return None


def _cluster_settings(options: argparse.Namespace, database_url: str) -> cluster.ClusterSettings:
    return cluster.ClusterSettings(
        database_url=database_url,
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


def _work(options: argparse.Namespace, settings: cluster.ClusterSettings) -> None:
    """One of several workers, on sockets that the supervisor opened."""
    inherited = workers.Listeners(
        socket.socket(fileno=options.listener),
        None if options.metrics_listener is None else socket.socket(fileno=options.metrics_listener),
    )
    workers.run_worker(settings, inherited, options.lifeline, options.counts_folder, lambda: None)


def _serve(options: argparse.Namespace, settings: cluster.ClusterSettings) -> None:
    """The only worker, or the supervisor of several."""
    listeners = workers.Listeners(
        _bind_address(settings.host, settings.port, "--host and --port"),
        _bind_address(*_host_and_port(options.metrics), "--metrics") if options.metrics else None,
    )
    port = listeners.main.getsockname()[1]
    if listeners.metrics is not None and listeners.metrics.getsockname()[1] == port:
        # Requests for metrics are recognized by their port.
        raise ProcessFault(
            "address_unusable", f"--metrics needs another port than {port}", "for example: 127.0.0.1:9464"
        )
    location = f"{settings.hosts().url}, at {settings.host}:{port}"
    if settings.workers == 1:
        workers.run_worker(settings, listeners, None, "", lambda: log.info("serving %s", location))
        return
    asyncio.run(cluster.prepare(settings))
    for listener in listeners.all():
        listener.listen(1024)
    command = workers.worker_command(_worker_arguments(options))
    workers.WorkerSupervisor(command, listeners, settings.workers, settings.stop_seconds).run(
        lambda: log.info("starting %s", location)
    )


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
