"""A writer whose acknowledged requests are compared with what is there after faults."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Sequence
from typing import Any

import httpx
from served_requests import upload


class Writer:
    """Writes through random workers, as through a load balancer, and records what was acknowledged."""

    def __init__(self, workers: Sequence[Any], key: str, project_id: str) -> None:
        self._workers = workers
        self._key = key
        self._project = project_id
        self.files: dict[str, bytes] = {}
        self.objects: dict[str, bytes] = {}
        self.rows: set[int] = set()
        self.refused: list[str] = []
        self.stop = threading.Event()

    def run(self, number: int) -> None:
        clients = [worker.client(self._key) for worker in self._workers]
        for turn in itertools.count():
            if self.stop.is_set():
                break
            client = clients[(turn + number) % len(clients)]
            try:
                self._write(client, f"{number}-{turn % 7}", number * 1_000_000 + turn)
            except httpx.TransportError:
                # Without a response, the file may exist or not: its name can't be checked any more.
                self.files.pop(f"{number}-{turn % 7}.txt", None)
                self.objects.pop(f"{number}-{turn % 7}.bin", None)
        for client in clients:
            client.close()

    def _write(self, client: httpx.Client, name: str, value: int) -> None:
        text = f"{value} " * 500
        content = hashlib.sha256(text.encode()).digest() * 4_000
        base = f"/v1/project/{self._project}"
        response = client.post(f"{base}/files", json={"filename": f"{name}.txt", "content": text})
        self._note(response, 201)
        self.files[f"{name}.txt"] = text.encode()
        response = upload(client, self._project, f"{name}.bin", content)
        self._note(response, 200)
        self.objects[f"{name}.bin"] = content
        response = client.post(f"{base}/sql", json={"query": f"INSERT INTO seen VALUES ({value})"})
        self._note(response, 200)
        self.rows.add(value)

    def _note(self, response: httpx.Response, expected: int) -> None:
        if response.status_code != expected:
            self.refused.append(response.text)
            raise httpx.TransportError("not acknowledged")
