"""The texts of applied migrations, which the tracking tables hold compressed."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from mosaic_deploy.errors import RequestRefused
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.sql.quote import literal

MAX_BYTES = 512 * 1024 * 1024
"""Of all texts that are read at the same time."""


def read_applied_sources(api: Api, project: str, versions: Iterable[str]) -> dict[str, str]:
    """Version → the file's text as applied, without those that can't be decompressed.

    One request, or several if the texts are larger than the platform's limit of a result.
    """
    return dict(unpacked(_read_packed(api, project, sorted(versions))))


def read_repeatable_sources(api: Api, project: str) -> dict[str, str]:
    """Path → the text of each repeatable file as it ran last, without those that can't be decompressed. One request."""
    # An older layout has no such column.
    source = "pg_catalog.to_jsonb(o)->>'source'"
    rows = api.sql(
        project, f"SELECT path, {source} AS source FROM mosaic_deploy.objects o WHERE {source} IS NOT NULL"
    )
    packed: dict[str, bytes] = {}
    for row in rows:
        with suppress(ValueError):
            packed[str(row["path"])] = bytes.fromhex(str(row["source"]).removeprefix("\\x"))
    return dict(unpacked(packed))


def unpacked(found: Mapping[str, bytes], most: int = MAX_BYTES) -> Iterator[tuple[str, str]]:
    """The name and the decompressed text of each. Those that are damaged, or don't fit in `most` bytes, are left out.

    The database's role can write to the table: a few kilobytes of it could otherwise take all memory here.
    """
    for version, packed in found.items():
        stream = zlib.decompressobj()
        try:
            # One more byte, because 0 would be no limit.
            content = stream.decompress(packed, most + 1)
            text = content.decode()
        except (ValueError, zlib.error):
            continue
        if len(content) <= most and stream.eof:
            most -= len(content)
            yield version, text


def _read_packed(api: Api, project: str, versions: Sequence[str]) -> dict[str, bytes]:
    listed = ", ".join(literal(version) for version in versions)
    try:
        rows = api.sql(project, f"{_PACKED_SOURCE.format(source='source')} IN ({listed})")
    except RequestRefused as error:
        if not error.too_large:
            raise
        if len(versions) == 1:
            return {versions[0]: b"".join(_packed_pieces(api, project, versions[0]))}
        halves = versions[: len(versions) // 2], versions[len(versions) // 2 :]
        return {name: text for half in halves for name, text in _read_packed(api, project, half).items()}
    return {str(row.get("version")): _from_base64(row) for row in rows}


def _packed_pieces(api: Api, project: str, version: str) -> Iterator[bytes]:
    start = 1
    while True:
        part = f"pg_catalog.substring(source, {start}, {_PIECE})"
        rows = api.sql(project, f"{_PACKED_SOURCE.format(source=part)} = {literal(version)}")
        piece = _from_base64(rows[0]) if rows else b""
        yield piece
        if len(piece) < _PIECE:
            return
        start += _PIECE


_PIECE = 1024 * 1024
"""Bytes of a text in one result, if it doesn't fit whole."""
_PACKED_SOURCE = (
    "SELECT version::text AS version, pg_catalog.encode({source}, 'base64') AS source "
    "FROM mosaic_deploy.migrations WHERE version"
)


def _from_base64(row: Mapping[str, object]) -> bytes:
    try:
        return base64.b64decode(str(row.get("source") or ""))
    except ValueError:
        return b""
