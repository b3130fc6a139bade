"""Answers as JSON."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response


class Json(Response):
    """A JSON document; refuses NaN, which JSON has no word for."""

    media_type = "application/json"

    def __init__(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        super().__init__(content, status, headers={"Cache-Control": "no-store", **(headers or {})})

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
