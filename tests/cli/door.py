"""A TCP proxy to the platform that can be closed: it cuts connections and refuses new ones."""

from __future__ import annotations

import contextlib
import socket
import threading


class Door:
    def __init__(self, port: int) -> None:
        self._to = port
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._is_shut = False
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Door:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shut()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # `close` alone doesn't end a waiting `accept`
        self._thread.join()
        self._listener.close()

    def open(self) -> None:
        self._is_shut = False

    def shut(self) -> None:
        """Cuts open connections and refuses new ones."""
        self._is_shut = True
        with self._lock:
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        while True:
            try:
                guest, _ = self._listener.accept()
            except OSError:
                return
            if self._is_shut:
                guest.close()
                continue
            host = socket.create_connection(("127.0.0.1", self._to))
            with self._lock:
                self._open |= {guest, host}
            threading.Thread(target=self._connect, args=(guest, host), daemon=True).start()

    def _connect(self, guest: socket.socket, host: socket.socket) -> None:
        with guest, host:
            back = threading.Thread(target=self._carry, args=(host, guest), daemon=True)
            back.start()
            self._carry(guest, host)
            back.join()
            with self._lock:
                self._open -= {guest, host}

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                target.sendall(chunk)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
