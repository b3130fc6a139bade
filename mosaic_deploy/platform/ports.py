"""TCP ports on 127.0.0.1."""

from __future__ import annotations

import socket


def bind(port: int) -> socket.socket:
    """A bound socket; `OSError` when the port is taken. Port 0 takes any free one."""
    # The protocol is named because asyncio turns Nagle's delay off only for sockets that say they are TCP.
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # A port whose last connections only linger is free; one that is listened on is not.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(("127.0.0.1", port))
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
    with bind(0) as opened:
        return int(opened.getsockname()[1])


def bind_preferred(port: int) -> socket.socket:
    """The port asked for where it is free, else another free one."""
    try:
        return bind(port)
    except OSError:
        return bind(0)
