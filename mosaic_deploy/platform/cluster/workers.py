"""Worker processes that share one listening socket, and the supervisor that restarts them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from obstore.exceptions import BaseError

from mosaic_deploy.platform.accounts.accounts import ApiKeyAuthenticator
from mosaic_deploy.platform.app.server import ListenOptions, listen, stop_event
from mosaic_deploy.platform.app.worker_counts import publish_counts
from mosaic_deploy.platform.auth.smtp import SMTP_URL_VARIABLE, mailer_from_url
from mosaic_deploy.platform.cluster.settings import (
    ClusterSettings,
    load_shared_state,
    open_control_database,
    store_claim,
)
from mosaic_deploy.platform.daemon import background_jobs
from mosaic_deploy.platform.http.body_memory import ACCOUNT_RATE, MEMORY
from mosaic_deploy.platform.http.request_journal import RequestJournal
from mosaic_deploy.platform.postgres.connections import SessionPool
from mosaic_deploy.platform.postgres.control_database import Pool
from mosaic_deploy.platform.postgres.health import DatabaseHealth
from mosaic_deploy.platform.projects.dev_sessions import DevSessions, DraftSessions
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.platform.sql.modes import sql_modes_from_environment
from mosaic_deploy.platform.tenants.watch import watch_projects

log = logging.getLogger("mosaic_deploy.platform")

# A worker that stops needs this much longer than its running requests get.
_STOP_MARGIN_SECONDS = 15.0
# Statements that compute take processor time from those of other accounts.
_ACCOUNTS = 6
_MIN_BACKOFF, _MAX_BACKOFF, _BACKOFF_RESET_SECONDS = 0.1, 10.0, 30.0


@dataclass(frozen=True)
class Listeners:
    main: socket.socket
    metrics: socket.socket | None

    def all(self) -> list[socket.socket]:
        return [self.main, *([self.metrics] if self.metrics else [])]


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.monotonic)


class WorkerSupervisor:
    """Keeps `count` workers running. `command` starts one; it gets file descriptors as options."""

    def __init__(self, command: Sequence[str], listeners: Listeners, count: int, stop_seconds: int) -> None:
        self._command = command
        self._listeners = listeners
        self._count = count
        self._stop_seconds = stop_seconds
        self._counts = tempfile.TemporaryDirectory(prefix="mosaic-serve-")
        self._running: list[_Worker] = []
        self._backoff = _MIN_BACKOFF
        self._next_start = 0.0
        # Only this process holds the write end. When it ends for any reason, workers read EOF and stop.
        self._lifeline, self._lifeline_writer = os.pipe()

    def run(self, on_ready: Callable[[], None]) -> None:
        """Runs until SIGTERM or SIGINT, and replaces every worker that ends."""
        wakeup = _wakeup_on(signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
        for _ in range(self._count):
            self._start_one()
        on_ready()
        while not {signal.SIGTERM, signal.SIGINT} & set(_signals_until(wakeup, self._poll_timeout())):
            self._reap_ended()
            while len(self._running) < self._count and time.monotonic() >= self._next_start:
                self._start_one()
        self._stop_all()

    def _poll_timeout(self) -> float:
        missing = len(self._running) < self._count
        return max(0.0, self._next_start - time.monotonic()) if missing else 1.0

    def _start_one(self) -> None:
        handles = [self._listeners.main.fileno(), self._lifeline]
        command = [*self._command, "--listener", str(handles[0]), "--lifeline", str(handles[1])]
        command += ["--counts-folder", self._counts.name]
        if self._listeners.metrics is not None:
            handles.append(self._listeners.metrics.fileno())
            command += ["--metrics-listener", str(handles[2])]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=handles
        )
        self._running.append(_Worker(process))
        log.info("worker %d started", process.pid)

    def _reap_ended(self) -> None:
        for worker in [worker for worker in self._running if worker.process.poll() is not None]:
            self._running.remove(worker)
            log.error("worker %d exited with code %s", worker.process.pid, worker.process.returncode)
            uptime = time.monotonic() - worker.started
            # Back off if workers exit right after their start; the others serve meanwhile.
            self._backoff = (
                _MIN_BACKOFF if uptime > _BACKOFF_RESET_SECONDS else min(2 * self._backoff, _MAX_BACKOFF)
            )
            self._next_start = time.monotonic() + self._backoff

    def _stop_all(self) -> None:
        log.info("stopping %d workers", len(self._running))
        # While anyone has it open, clients can connect, but nobody would answer them.
        for listener in self._listeners.all():
            listener.close()
        for worker in self._running:
            worker.process.terminate()
        deadline = time.monotonic() + self._stop_seconds + _STOP_MARGIN_SECONDS
        for worker in self._running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(max(0.0, deadline - time.monotonic()))
            worker.process.kill()
            worker.process.wait()
        self._counts.cleanup()


def worker_command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-P", "-m", "mosaic_deploy.platform", "work", *arguments]


def _wakeup_on(*numbers: signal.Signals) -> socket.socket:
    """A socket that receives one byte, the signal's number, per signal."""
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    reading.setblocking(False)
    for number in numbers:
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writing.detach(), warn_on_full_buffer=False)
    return reading


def _signals_until(wakeup: socket.socket, seconds: float) -> bytes:
    with selectors.DefaultSelector() as selector:
        selector.register(wakeup, selectors.EVENT_READ)
        if not selector.select(seconds):
            return b""
    return wakeup.recv(4096)


def run_worker(
    cluster: ClusterSettings,
    listeners: Listeners,
    lifeline: int | None,
    counts_folder: str,
    on_ready: Callable[[], None],
) -> None:
    """Serves until SIGTERM or SIGINT, or until `lifeline` closes because the supervisor ended.

    `counts_folder` is where workers add up their metrics; empty for a single one.
    """
    os.umask(0o077)
    asyncio.run(_run_worker(cluster, listeners, lifeline, counts_folder, on_ready))


async def _run_worker(
    cluster: ClusterSettings,
    listeners: Listeners,
    lifeline: int | None,
    counts_folder: str,
    on_ready: Callable[[], None],
) -> None:
    stop = stop_event()
    if lifeline is not None:
        asyncio.get_running_loop().add_reader(lifeline, stop.set)
    MEMORY.account_rate = ACCOUNT_RATE
    async with open_control_database(cluster) as pool:
        platform = await _build_platform(cluster, pool, listeners, counts_folder)
        jobs = [
            background_jobs.run_background_jobs(platform),
            background_jobs.keep_store_claim(platform),
            background_jobs.maintain_connections(platform),
            platform.health.watch(pool),
            watch_projects(platform),
            *([publish_counts(platform)] if counts_folder else []),
        ]
        await listen(
            platform,
            listeners.main,
            stop,
            on_ready,
            background_jobs.run_concurrently(*jobs),
            ListenOptions(cluster.stop_seconds, cluster.trusted_proxies, listeners.metrics),
        )
        await platform.finish_tasks()
        await platform.sessions.close()


async def _build_platform(
    cluster: ClusterSettings, pool: Pool, listeners: Listeners, counts_folder: str
) -> Platform:
    """Raises ProcessFault if the object store belongs to another installation."""
    server, store = cluster.server(), cluster.store()
    claim = await store_claim(cluster, pool, store)
    try:
        await claim.acquire()
    except (BaseError, OSError) as error:
        # A worker that is replaced while the store is down serves what it can, and deletes nothing.
        log.warning("can't read the store's claim yet: %s", error)
    sql_modes = sql_modes_from_environment()
    return Platform(
        state=await load_shared_state(pool),
        hosts=cluster.hosts(),
        pool=pool,
        server=server,
        sessions=SessionPool(
            server,
            pool,
            reuse=sql_modes.reuse,
            reset=not sql_modes.shared_session,
            limit=cluster.connections,
            account_limit=max(2, cluster.connections // _ACCOUNTS),
        ),
        store=store,
        store_claim=claim,
        account_id=0,
        authenticator=ApiKeyAuthenticator(),
        journal=RequestJournal(),
        dev=DevSessions(),
        drafts=DraftSessions(),
        health=DatabaseHealth(),
        metrics_port=listeners.metrics.getsockname()[1] if listeners.metrics else None,
        counts_folder=counts_folder,
        sql_modes=sql_modes,
        limits=cluster.limits,
        mailer=mailer_from_url(os.environ.get(SMTP_URL_VARIABLE)),
        local=False,
    )
