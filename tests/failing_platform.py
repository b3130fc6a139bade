"""A fake platform that answers every request with an error, except new tickets."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRETS = ("hunter2", "ann@example.org", "mk_1a2b3c4d5e6f", "4111 1111 1111 1111", "pw-in-a-url")
SAID = (
    "could not finish for 'ann@example.org' (card 4111 1111 1111 1111) with password=hunter2 at "
    "postgres://app:pw-in-a-url@db.internal/tenant, key mk_1a2b3c4d5e6f: "
    "INSERT INTO users VALUES ('hunter2', 'ann@example.org')"
)


@dataclass
class FailingPlatform:
    url: str = ""
    status: int = 500
    tickets: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def failing_platform(status: int = 500) -> Iterator[FailingPlatform]:
    found = FailingPlatform(status=status)

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            error = {"code": "internal_error", "message": SAID}
            self._answer(found.status, {"success": False, "error": error, "request_id": "req-1f2e"})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if not self.path.endswith("/tickets"):
                self.do_GET()
                return
            found.tickets.append(json.loads(body))
            self._answer(201, {"ticket_id": len(found.tickets), "status": "open", "message": "thanks"})

        def _answer(self, status: int, document: dict[str, Any]) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
