"""The program with its modules already imported: each run is a fork, a process of its own that starts in no time.

Importing takes most of the time of a command, and tests run hundreds. `WarmProgram` is for the tests' side; this file, run as
a program, is the process that forks.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

_PACKAGES = ("cli", "deploy", "diff", "errors", "live", "model", "source", "sql")
_HEAD_SIZE = 1 << 20


class WarmProgram:
    """Runs `mosaic-deploy` in forks of one process. Close it at the end."""

    def __init__(self, folder: Path) -> None:
        self._address = str(folder / "requests")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(self._address)
        self._listener.listen()
        command = [sys.executable, "-m", "tests.cli.warm_program", str(self._listener.fileno())]
        self._server = subprocess.Popen(command, pass_fds=[self._listener.fileno()], stdin=subprocess.DEVNULL)

    def close(self) -> None:
        self._server.kill()
        self._server.wait()
        self._listener.close()

    def run(
        self,
        arguments: tuple[str, ...],
        env: Mapping[str, str],
        cwd: Path,
        text: str,
        timeout: float,
        started: Callable[[int], object] = lambda _: None,
    ) -> subprocess.CompletedProcess[str]:
        """Like `subprocess.run` with captured output. `started` is called with the process ID."""
        command = [sys.executable, "-m", "mosaic_deploy", *arguments]
        head = {"argv": ["mosaic-deploy", *arguments], "env": dict(env), "cwd": str(cwd)}
        pipes = [os.pipe() for _ in range(3)]
        stdin, (stdout, stderr) = pipes[0][1], (pipe[0] for pipe in pipes[1:])
        theirs = [pipes[0][0], pipes[1][1], pipes[2][1]]
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection,
            ThreadPoolExecutor(3) as threads,
        ):
            connection.settimeout(timeout)
            connection.connect(self._address)
            socket.send_fds(connection, [json.dumps(head).encode()], theirs)
            for number in theirs:
                os.close(number)
            threads.submit(_write, stdin, text)
            out, err = (threads.submit(_read, number) for number in (stdout, stderr))
            pid = int(connection.recv(100))
            started(pid)
            try:
                code = int(connection.recv(100))
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(command, timeout, out.result(), err.result()) from None
            return subprocess.CompletedProcess(command, code, out.result(), err.result())


def _write(number: int, text: str) -> None:
    with contextlib.suppress(BrokenPipeError), open(number, "w") as file:
        file.write(text)


def _read(number: int) -> str:
    with open(number) as file:
        return file.read()


def _serve(listener: socket.socket) -> None:
    """Returns in each fork that is to become the program."""
    # Nobody waits for the processes that answer.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            break
        connection.close()
    listener.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    head, files, _, _ = socket.recv_fds(connection, _HEAD_SIZE, 3)
    if pid := os.fork():
        connection.send(str(pid).encode())
        _, status = os.waitpid(pid, 0)
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    connection.close()
    _become(json.loads(head), files)


def _become(head: dict[str, Any], files: list[int]) -> None:
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(head["cwd"])
    os.environ.clear()
    os.environ.update(head["env"])
    sys.argv = head["argv"]
    sys.path[0] = head["cwd"]


def _import_everything() -> None:
    # The last two are imported by the first request to the API.
    for name in ("mosaic_deploy.__main__", "httpcore", "encodings.idna"):
        importlib.import_module(name)
    for package in _PACKAGES:
        top = importlib.import_module(f"mosaic_deploy.{package}")
        for module in pkgutil.walk_packages(top.__path__, f"{top.__name__}."):
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    from mosaic_deploy.__main__ import main

    _import_everything()
    _serve(socket.socket(fileno=int(sys.argv[1])))
    main()
