"""JSON responses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class JsonResponse(Response):
    """A JSON document. Raises ValueError for NaN and infinity, which JSON can't express."""

    media_type = "application/json"

    def __init__(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        super().__init__(content, status, headers={"Cache-Control": "no-store", **(headers or {})})

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


class JsonChunksResponse(Response):
    """An encoded JSON document in chunks, sent without joining them, so a large one isn't copied."""

    media_type = "application/json"

    def __init__(self, chunks: Sequence[bytes]) -> None:
        super().__init__()
        self._chunks = chunks
        self.headers["Content-Length"] = str(sum(map(len, chunks)))
        self.headers["Cache-Control"] = "no-store"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (ASGI's signature)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        previous: bytes | None = None
        for chunk in _merged_chunks(self._chunks):
            if previous is not None:
                await send({"type": "http.response.body", "body": previous, "more_body": True})
            previous = chunk
        await send({"type": "http.response.body", "body": previous or b""})


_CHUNK_BYTES = 1 << 16


def _merged_chunks(chunks: Sequence[bytes]) -> Iterator[bytes]:
    """Joins small chunks, since every send has a fixed cost."""
    buffered: list[bytes] = []
    size = 0
    for chunk in chunks:
        buffered.append(chunk)
        size += len(chunk)
        if size >= _CHUNK_BYTES:
            yield b"".join(buffered)
            buffered, size = [], 0
    yield b"".join(buffered)
