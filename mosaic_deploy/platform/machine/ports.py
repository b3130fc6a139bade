"""TCP ports on 127.0.0.1."""

from __future__ import annotations

import errno
import random
import socket

from mosaic_deploy.platform.faults import ProcessFault

_STABLE_PORTS = range(20_000, 32_000)


def bind(port: int) -> socket.socket:
    """A socket that listens; `OSError` when the port is taken. Port 0 takes any free one."""
    # The protocol is named because asyncio turns Nagle's delay off only for sockets that say they are TCP.
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # A port whose last connections only linger is free; one that is listened on is not.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(("127.0.0.1", port))
        # Two may bind to a port that nobody listens on yet.
        opened.listen(1024)
    except OSError:
        opened.close()
        raise
    return opened


def is_free(port: int) -> bool:
    try:
        bind(port).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """A free port below those that systems give to outgoing connections: it will still be free next time."""
    for port in random.sample(_STABLE_PORTS, 50):
        if is_free(port):
            return port
    with bind(0) as opened:
        return int(opened.getsockname()[1])


def bind_requested_port(port: int) -> socket.socket:
    """The port that somebody named. Raises ProcessFault: another one would surprise."""
    try:
        return bind(port)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "another program uses it" if taken else error.strerror or str(error)
        below = " Ports below 1024 need privileges." if error.errno == errno.EACCES else ""
        raise ProcessFault(
            "port_unavailable",
            f"port {port} can't be listened on: {why}.{below}",
            "name another one with --port, or none: then a free one is found",
        ) from error


def bind_preferred_port(port: int) -> socket.socket:
    """The port asked for where it is free, else one of the next hundred, else any."""
    for candidate in range(port, min(port + 100, 65536)):
        try:
            return bind(candidate)
        except OSError:
            continue
    return bind(free_port())
