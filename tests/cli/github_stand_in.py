"""A local stand-in for GitHub's comment API."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Comments:
    """The written comments. `refuse` is the HTTP status of every response, if set."""

    url: str = ""
    kept: list[dict[str, Any]] = field(default_factory=list)
    writes: int = 0
    refuse: int = 0
    tokens: set[str] = field(default_factory=set)

    def add(self, body: str, kind: str = "Bot") -> None:
        self.kept.append({"id": len(self.kept) + 1, "body": body, "user": {"type": kind}})


@contextmanager
def stand_in() -> Iterator[Comments]:
    """Serves until the block ends."""
    comments = Comments()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, status: int, document: object) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _allowed(self) -> bool:
            comments.tokens.add(self.headers.get("Authorization", ""))
            if comments.refuse:
                self._answer(comments.refuse, {"message": "Resource not accessible by integration"})
            return not comments.refuse

        def _body(self) -> str:
            return json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]

        def do_GET(self) -> None:
            if self._allowed():
                asked = parse_qs(urlsplit(self.path).query)
                page, size = int(asked["page"][0]), int(asked["per_page"][0])
                self._answer(200, comments.kept[(page - 1) * size : page * size])

        def do_POST(self) -> None:
            body = self._body()
            if self._allowed():
                comments.writes += 1
                comments.add(body)
                self._answer(201, comments.kept[-1])

        def do_PATCH(self) -> None:
            body = self._body()
            if self._allowed():
                comments.writes += 1
                number = int(self.path.rpartition("/")[2])
                next(each for each in comments.kept if each["id"] == number)["body"] = body
                self._answer(200, {})

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    comments.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield comments
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
