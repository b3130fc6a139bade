"""Gzip copies of text files, made once at upload.

The copy is stored after the file's own bytes in the same object, so both are replaced at once.
"""

from __future__ import annotations

import gzip

COMPRESSED_TYPES = ("text/", "application/json", "image/svg+xml")
_MIN_BYTES = 512
_LEVEL = 6


def is_compressible(content_type: str) -> bool:
    return content_type.startswith(COMPRESSED_TYPES)


def gzip_copy(content: bytes, content_type: str) -> bytes:
    """The gzip copy; empty if it saves less than 10 %. Deterministic: the same content gives the same bytes."""
    if len(content) < _MIN_BYTES or not is_compressible(content_type):
        return b""
    copy = gzip.compress(content, _LEVEL, mtime=0)
    return copy if len(copy) < 0.9 * len(content) else b""


def accepts_gzip(header: str) -> bool:
    """Whether Accept-Encoding allows gzip, with at least the weight of `identity`."""
    weights = dict(_weights(header))
    wanted = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return wanted > 0 and wanted >= weights.get("identity", 0.0)


def _weights(header: str) -> list[tuple[str, float]]:
    found = []
    for part in header.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                weight = _quality(parameter.removeprefix("q="))
        if name:
            found.append((name, weight))
    return found


def _quality(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0
