"""Reads and checks JSON request bodies and their fields. Every function raises Fault for invalid input."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect, Request

from mosaic_deploy.platform.faults import Fault

JSON_LIMIT = 40 * 1024 * 1024
"""Bytes."""
DEPTH_LIMIT = 100


async def read_json(request: Request) -> dict[str, Any]:
    """The body as a JSON object; raises Fault (400, 413 or 415) otherwise."""
    _check_content_type(request.headers.get("content-type"))
    raw = await _read_limited(request)
    try:
        document = json.loads(raw, parse_constant=_reject_constant, parse_float=_parse_finite_float)
        _check_depth(document)
        # JSON can express lone surrogates, but they can't be stored as UTF-8.
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise Fault(
            400, "json_invalid", f"the request body isn't valid JSON: {_error_text(error)}"
        ) from error
    if not isinstance(document, dict):
        raise Fault(400, "json_invalid", "the request body must be a JSON object")
    return document


def _check_content_type(given: str | None) -> None:
    """A missing Content-Type counts as JSON."""
    kind = (given or "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise Fault(415, "json_expected", f"the Content-Type must be application/json, not {kind[:100]!r}")


def _parse_finite_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:40]} is too large")
    return number


def _check_depth(document: Any) -> None:
    """Raises RecursionError, as `json.loads` does for much deeper documents."""
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
    raise ValueError(f"{name} isn't allowed in JSON")


def _error_text(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "it isn't UTF-8"
    if isinstance(error, RecursionError):
        return f"it is nested more than {DEPTH_LIMIT} levels deep"
    return str(error)


async def _read_limited(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > JSON_LIMIT:
                message = f"the request body is larger than {JSON_LIMIT // 1024**2} MiB"
                raise Fault(413, "body_too_large", message)
            chunks.append(chunk)
    except ClientDisconnect as error:
        message = "the connection closed before the whole body arrived"
        raise Fault(400, "client_disconnected", message) from error
    return b"".join(chunks)


def required_text(document: dict[str, Any], field: str, *, limit: int | None = None) -> str:
    """A required string field without NUL, which PostgreSQL can't store."""
    value = document.get(field)
    if not isinstance(value, str):
        raise Fault(400, "field_invalid", f"`{field}` must be a string")
    if "\x00" in value:
        raise Fault(400, "field_invalid", f"`{field}` contains a NUL character")
    if limit is not None and len(value) > limit:
        raise Fault(400, "field_invalid", f"`{field}` is longer than {limit} characters")
    return value


def nonempty_text(document: dict[str, Any], field: str, *, limit: int) -> str:
    value = required_text(document, field, limit=limit)
    if not value.strip():
        raise Fault(400, "field_invalid", f"`{field}` is empty")
    return value


def optional_text(document: dict[str, Any], field: str, *, limit: int | None = None) -> str | None:
    return None if document.get(field) is None else required_text(document, field, limit=limit)


def whole_number(document: dict[str, Any], field: str) -> int:
    """A required integer from 0 to the largest bigint."""
    value = document.get(field)
    if isinstance(value, float) and value.is_integer():
        # JSON doesn't distinguish 1.0 and 1e3 from integers.
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise Fault(400, "field_invalid", f"`{field}` must be a whole number from 0 to 2^63 - 1")
    return value


def has_nul(value: Any) -> bool:
    """Whether a JSON value contains a NUL character anywhere."""
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, list):
        return any(has_nul(item) for item in value)
    if isinstance(value, dict):
        return any(has_nul(key) or has_nul(item) for key, item in value.items())
    return False
