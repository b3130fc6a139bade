"""Reading requests: JSON bodies within limits, and their fields with their types."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect, Request

from mosaic_deploy.platform.faults import Fault

JSON_LIMIT = 40 * 1024 * 1024
DEPTH_LIMIT = 100


async def read_json(request: Request) -> dict[str, Any]:
    """The body as a JSON object; a Fault with 400, 413 or 415 otherwise."""
    _check_content_type(request.headers.get("content-type"))
    raw = await _read_limited(request)
    try:
        document = json.loads(raw, parse_constant=_reject_constant, parse_float=_parse_finite_float)
        _check_depth(document)
        # A lone surrogate can be written in JSON, but is no text that could be stored or sent on.
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise Fault(400, "json_invalid", f"the body is not valid JSON: {_error_text(error)}") from error
    if not isinstance(document, dict):
        raise Fault(400, "json_invalid", "the body must be a JSON object")
    return document


def _check_content_type(given: str | None) -> None:
    """JSON may come without a name. Under another name it may be anything."""
    kind = (given or "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise Fault(415, "json_expected", f"send the body as application/json, not as {kind[:100]!r}")


def _parse_finite_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:40]} is too large")
    return number


def _check_depth(document: Any) -> None:
    """Raises RecursionError, as reading does for what is far deeper."""
    level: list[Any] = [document]
    for _ in range(DEPTH_LIMIT):
        level = [
            item
            for value in level
            if isinstance(value, dict | list)
            for item in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return
    raise RecursionError


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _error_text(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "not UTF-8 text"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


async def _read_limited(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > JSON_LIMIT:
                raise Fault(413, "body_too_large", f"the body is larger than {JSON_LIMIT} bytes")
            chunks.append(chunk)
    except ClientDisconnect as error:
        raise Fault(400, "client_disconnected", "the connection ended inside the body") from error
    return b"".join(chunks)


def text(document: dict[str, Any], field: str, *, limit: int | None = None) -> str:
    """A required string field without NUL, which PostgreSQL can't hold."""
    value = document.get(field)
    if not isinstance(value, str):
        raise Fault(400, "field_invalid", f"`{field}` must be a string")
    if "\x00" in value:
        raise Fault(400, "field_invalid", f"`{field}` has a NUL character")
    if limit is not None and len(value) > limit:
        raise Fault(400, "field_invalid", f"`{field}` is longer than {limit} characters")
    return value


def nonempty_text(document: dict[str, Any], field: str, *, limit: int) -> str:
    value = text(document, field, limit=limit)
    if not value.strip():
        raise Fault(400, "field_invalid", f"`{field}` is empty")
    return value


def optional_text(document: dict[str, Any], field: str, *, limit: int | None = None) -> str | None:
    return None if document.get(field) is None else text(document, field, limit=limit)


def whole_number(document: dict[str, Any], field: str) -> int:
    """A required integer from 0 up to what a bigint holds."""
    value = document.get(field)
    if isinstance(value, float) and value.is_integer():
        # 1.0 and 1e3 are whole numbers in JSON.
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise Fault(400, "field_invalid", f"`{field}` must be a whole number, 0 or more")
    return value


def has_nul(value: Any) -> bool:
    """Whether a NUL, which PostgreSQL can't hold, is anywhere in a JSON value."""
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, list):
        return any(has_nul(item) for item in value)
    if isinstance(value, dict):
        return any(has_nul(key) or has_nul(item) for key, item in value.items())
    return False
