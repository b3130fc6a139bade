"""One build of an output folder at a time, on this machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator

from mosaic_deploy.errors import BuildFailed
from mosaic_deploy.source.builds.record import record_file

_INTERVAL = 0.1


@contextlib.contextmanager
def build_lock(output: str, name: str, timeout: float, on_wait: Callable[[], None]) -> Iterator[None]:
    """Holds the lock of an output folder, which ends with the process. `on_wait` is called once if another build has it.

    Raises BuildFailed after `timeout` seconds. Without a folder for the lock there is none.
    """
    path = record_file(output).with_suffix(".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        yield
        return
    try:
        _wait(descriptor, name, timeout, on_wait)
        yield
    finally:
        os.close(descriptor)


def _wait(descriptor: int, name: str, timeout: float, on_wait: Callable[[], None]) -> None:
    until, waiting = time.monotonic() + timeout, False
    while not _try_lock(descriptor):
        if not waiting:
            on_wait()
        waiting = True
        if time.monotonic() > until:
            raise BuildFailed(
                f"another build of {name} is still running",
                hint="wait until it has ended, or end it, and run the same command again",
            )
        time.sleep(_INTERVAL)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
