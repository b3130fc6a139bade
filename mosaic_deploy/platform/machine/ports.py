"""TCP ports on 127.0.0.1."""

from __future__ import annotations

import errno
import random
import socket

from mosaic_deploy.platform.faults import ProcessFault

_STABLE_PORTS = range(20_000, 32_000)


def bind(port: int) -> socket.socket:
    """A listening socket; port 0 picks any free port. Raises OSError if the port is in use."""
    # asyncio sets TCP_NODELAY only on sockets created with IPPROTO_TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # Allows a port whose old connections are in TIME_WAIT, but not one with a listener.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        # Until one of them listens, two processes can bind to the same port.
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener


def is_free(port: int) -> bool:
    try:
        bind(port).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """A free port below the range for outgoing connections, so it is likely still free at the next start."""
    for port in random.sample(_STABLE_PORTS, 50):
        if is_free(port):
            return port
    with bind(0) as listener:
        return int(listener.getsockname()[1])


def bind_requested_port(port: int) -> socket.socket:
    """A socket listening on the port the user chose. Raises ProcessFault if that isn't possible."""
    try:
        return bind(port)
    except OSError as error:
        in_use = error.errno == errno.EADDRINUSE
        why = "another program is using it" if in_use else error.strerror or str(error)
        if error.errno == errno.EACCES:
            why += " (ports below 1024 need root privileges)"
        raise ProcessFault(
            "port_unavailable",
            f"can't listen on port {port}: {why}",
            "choose another port with --port, or omit it to use a free one",
        ) from error


def bind_preferred_port(port: int) -> socket.socket:
    """A socket listening on `port` if it is free, else on one of the next 99 ports, else on any free port."""
    for candidate in range(port, min(port + 100, 65536)):
        try:
            return bind(candidate)
        except OSError:
            continue
    return bind(free_port())
