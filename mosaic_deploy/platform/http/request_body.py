"""Reads and checks JSON request bodies and their fields. Every function raises Fault for invalid input."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import ClientDisconnect, Request

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.http.body_memory import MEMORY, SMALL_BYTES
from mosaic_deploy.platform.http.json_process import INLINE_BYTES, parse_in_process
from mosaic_deploy.platform.http.json_text import DEPTH_LIMIT, LongText, parse
from mosaic_deploy.platform.http.pace import LEAST_RATE, paced_chunks

JSON_LIMIT = 40 * 1024 * 1024
"""Bytes of a request to `/sql` or `/files`."""
SETTINGS_LIMIT = 256 * 1024
"""Bytes of any other request."""
TOKEN_LIMIT = 16 * 1024
"""Bytes of a request that needs no API key."""
_PIECE_BYTES = 64 * 1024
_BODY_SECONDS = 600
"""A large body must arrive within this time, because it holds a part of its account's memory."""
_UNKNOWN_BYTES = 1024 * 1024
"""Reserved for a body of unknown length once it is more than a small one. When it is larger than that, its endpoint's limit is.

Not in smaller steps: bodies that hold a part and wait for more could all wait for each other. As it is, a waiting one holds
1 MiB, so it takes 40 of them to keep memory from the next.
"""


async def read_json(
    request: Request, limit: int = SETTINGS_LIMIT, *, long_texts: bool = False
) -> dict[str, Any]:
    """The body as a JSON object; raises Fault (400, 408, 413, 415 or 503) otherwise. `limit` is in bytes.

    With `long_texts`, long ones may be LongText, for `required_bytes`.
    """
    _check_content_type(request.headers.get("content-type"))
    pieces = await read_limited(request, limit)
    size = sum(map(len, pieces))
    MEMORY.release(request.scope, keep=size)
    try:
        document = parse(b"".join(pieces)) if size <= INLINE_BYTES else await parse_in_process(pieces)
    except (ValueError, RecursionError) as error:
        raise Fault(
            400, "json_invalid", f"the request body isn't valid JSON: {_error_text(error)}"
        ) from error
    if not isinstance(document, dict):
        raise Fault(400, "json_invalid", "the request body must be a JSON object")
    if not long_texts:
        for field, value in document.items():
            if isinstance(value, LongText):
                document[field] = value.encoded.decode()
    return document


def _check_content_type(given: str | None) -> None:
    """A missing Content-Type counts as JSON."""
    kind = (given or "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise Fault(415, "json_expected", f"the Content-Type must be application/json, not {kind[:100]!r}")


def _error_text(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "it isn't UTF-8"
    if isinstance(error, RecursionError):
        return f"it is nested more than {DEPTH_LIMIT} levels deep"
    return str(error)


def _declared_size(request: Request, limit: int) -> int | None:
    """Bytes that the body has; None if it doesn't say. Raises Fault (413) before the first is read if they are too many."""
    length = request.headers.get("content-length", "")
    if not (length.isascii() and length.isdecimal()):
        return None
    if len(length) > 15 or int(length) > limit:
        raise _too_large(limit)
    return int(length)


async def read_limited(request: Request, limit: int) -> list[bytes]:
    """A body of any kind, in pieces; raises Fault (400, 408, 413 or 503). `limit` is in bytes.

    Its memory is reserved, and is the caller's to release.
    """
    declared = _declared_size(request, limit)
    reserved = declared or 0
    await MEMORY.reserve(request.scope, reserved)
    pieces: list[bytes] = []
    # Joined, because a body may arrive in bytes: an object for each takes 30 times the memory that is reserved.
    piece = bytearray()
    size = 0
    try:
        async for chunk in _paced(request, declared):
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            if size > max(reserved, SMALL_BYTES):
                reserved = await _reserve_more(request, reserved, size, limit)
            piece += chunk
            if len(piece) >= _PIECE_BYTES:
                pieces.append(bytes(piece))
                piece.clear()
    except ClientDisconnect as error:
        message = "the connection closed before the whole body arrived"
        raise Fault(400, "client_disconnected", message) from error
    return [*pieces, bytes(piece)]


def _paced(request: Request, declared: int | None) -> AsyncIterator[bytes]:
    """The body's pieces. One of unknown length has as much time as if it had declared what has arrived."""
    if declared is None:
        return paced_chunks(request, longest=_BODY_SECONDS)
    return paced_chunks(request, least_rate=max(LEAST_RATE, declared / _BODY_SECONDS))


async def _reserve_more(request: Request, reserved: int, size: int, limit: int) -> int:
    """What is reserved then for a body of unknown length, of which `size` bytes have arrived."""
    wanted = min(_UNKNOWN_BYTES, limit) if size <= _UNKNOWN_BYTES else limit
    await MEMORY.reserve(request.scope, wanted - reserved)
    return wanted


def _too_large(limit: int) -> Fault:
    size = f"{limit // 1024**2} MiB" if limit >= 1024**2 else f"{limit // 1024} KiB"
    return Fault(413, "body_too_large", f"the request body is larger than {size}")


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


def required_bytes(document: dict[str, Any], field: str) -> bytes:
    """As `required_text`, in UTF-8."""
    value = document.get(field)
    if not isinstance(value, LongText):
        return required_text(document, field).encode()
    if b"\0" in value.encoded:
        raise Fault(400, "field_invalid", f"`{field}` contains a NUL character")
    return value.encoded


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
