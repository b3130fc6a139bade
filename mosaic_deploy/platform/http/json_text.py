"""Parses JSON within limits. Every function is pure and raises ValueError or RecursionError for what it refuses.

A parser of untrusted text is measured by its worst case: 34 MiB of `1,1,1…` would take 16 seconds and a gigabyte. So the
values are counted first, by searching for their separators outside of strings.
"""

from __future__ import annotations

import json
import math
import re
import sys
from typing import Any, NoReturn

DEPTH_LIMIT = 100
VALUES_LIMIT = 250_000
"""Values and keys in one document: more than any statement's parameters."""


class LongText:
    """A long text of a document, in UTF-8: PostgreSQL needs it as bytes, without another copy."""

    encoded: bytes = b""


_LONE_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def parse(raw: bytes) -> Any:
    """The document. Raises ValueError for text that isn't JSON or has too many values, RecursionError if too deep."""
    if len(raw) > VALUES_LIMIT:
        _check_count(raw)
    text = raw.decode("utf-8-sig")
    try:
        document = json.loads(text, parse_constant=_reject_constant, parse_float=_parse_finite_float)
    except ValueError as error:
        if "integer string conversion" in str(error):
            # Python's own message suggests to change a setting of Python.
            raise ValueError(
                f"a whole number has more than {sys.get_int_max_str_digits():,} digits"
            ) from None
        raise
    _check_depth(document)
    if _LONE_SURROGATE.search(raw):
        # JSON can express lone surrogates, but they can't be stored as UTF-8.
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    return document


def _check_count(raw: bytes) -> None:
    bare = raw.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in raw else raw
    # Strings first: splitting a text of nothing but quotes would take a gigabyte, too.
    count = bare.count(b'"') // 2
    if count <= VALUES_LIMIT:
        outside = bare.split(b'"')[::2]
        count = sum(piece.count(mark) for piece in outside for mark in (b",", b"[", b"{"))
    if count > VALUES_LIMIT:
        raise ValueError(f"it has more than {VALUES_LIMIT:,} values")


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
