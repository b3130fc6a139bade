"""Runs what docs/self-hosting.md tells an operator to do, with this machine's addresses in place of the examples."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from served import await_ready, postgres_programs, unavailable, unprivileged

from tests.docs_markdown import ROOT, blocks

PAGE = ROOT / "docs" / "self-hosting.md"


def block(language: str, containing: str) -> str:
    """The only fenced block of the page in this language with this text."""
    found = [one.text for one in blocks(PAGE) if one.language == language and containing in one.text]
    assert len(found) == 1, (language, containing, len(found))
    return found[0]


def program(name: str, package: str) -> str:
    found = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")
    if found is None:
        unavailable(f"no {name}: apt-get install {package}")
        raise AssertionError
    return found


def replaced(text: str, changes: Mapping[str, str]) -> str:
    """Each key must occur, so that the test notices when the page changes."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def certificate(folder: Path, domain: str) -> Path:
    """Certificate and key of a domain and its subdomains in one file, signed by itself."""
    file, key = folder / "mosaic.pem", folder / "key.pem"
    subprocess.run(
        [program("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", f"/CN=*.{domain}", "-addext", f"subjectAltName=DNS:*.{domain},DNS:{domain}",
         "-keyout", key, "-out", file],
        check=True, capture_output=True,
    )  # fmt: skip
    file.write_bytes(file.read_bytes() + key.read_bytes())
    return file


@contextmanager
def haproxy(
    folder: Path, http: int, https: int, pem: Path, servers: list[int], clients: int, database: int
) -> Iterator[None]:
    """HAProxy with the page's configuration."""
    text = replaced(
        block("haproxy", "retry-on"),
        {
            "bind :80\n": f"bind 127.0.0.1:{http}\n",
            "bind :443 ssl crt /etc/haproxy/mosaic.pem": f"bind 127.0.0.1:{https} ssl crt {pem}",
            "10.0.0.11:8787": f"127.0.0.1:{servers[0]}",
            "10.0.0.12:8787": f"127.0.0.1:{servers[1]}",
        },
    )
    with run_haproxy(folder, f"{text}\n{limited_clients(clients, database)}", https):
        yield


def limited_clients(port: int, database: int) -> str:
    """The page's configuration of HAProxy for clients of the database: they connect to `port`, it to port `database`."""
    return replaced(
        block("haproxy", "stick-table"),
        {"bind :5432": f"bind 127.0.0.1:{port}", "10.0.0.20:5432": f"127.0.0.1:{database}"},
    )


@contextmanager
def run_haproxy(folder: Path, configuration: str, port: int) -> Iterator[None]:
    """HAProxy, which listens on `port`, among others."""
    file = folder / "haproxy.cfg"
    file.write_text(configuration)
    process = subprocess.Popen(
        [program("haproxy", "haproxy"), "-db", "-q", "-f", file], stderr=subprocess.DEVNULL
    )
    try:
        await_ready(lambda: _accepts(port), process)
        yield
    finally:
        process.kill()
        process.wait()


def _accepts(port: int) -> bool:
    socket.create_connection(("127.0.0.1", port), 1).close()
    return True


class Postgres:
    """A server on a data folder, which can be stopped in all ways and started again."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder, self._port = folder, port
        self._process: subprocess.Popen[Any] | None = None

    def start(self) -> None:
        options = {
            "port": self._port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": 200,
        }  # fmt: skip
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [postgres_programs() / "postgres", "-D", "data", *(f"--{k}={v}" for k, v in options.items())],
                cwd=self._folder, stdout=log, stderr=log, **unprivileged(),
            )  # fmt: skip
        is_ready = [postgres_programs() / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        await_ready(lambda: subprocess.run(is_ready, check=False).returncode == 0, self._process)

    def stop(self, number: signal.Signals) -> None:
        """SIGINT: fast, SIGQUIT: immediate, as after a crash."""
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(60)


def rclone_configuration(folder: Path, environment: Mapping[str, str], remotes: Mapping[str, str]) -> Path:
    """`remotes` are buckets with their prefixes by the names that the page uses."""
    file = folder / "rclone.conf"
    common = {
        "type": "s3", "provider": "Other", "env_auth": "false", "access_key_id": environment["AWS_ACCESS_KEY_ID"],
        "secret_access_key": environment["AWS_SECRET_ACCESS_KEY"], "endpoint": environment["AWS_ENDPOINT_URL"],
    }  # fmt: skip
    lines = []
    for name, bucket in remotes.items():
        lines += [f"[{name}-s3]", *(f"{key} = {value}" for key, value in common.items())]
        lines += [f"[{name}]", "type = alias", f"remote = {name}-s3:{bucket}"]
    file.write_text("\n".join(lines) + "\n")
    return file


def commands(text: str) -> list[str]:
    """The lines of a shell block."""
    return [line for line in text.splitlines() if line and not line.startswith("#")]
