"""Migration files as they were applied: the ledger keeps each one's text."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable

from mosaic_deploy.live.client import Api


def read_sources(api: Api, project: str, versions: Iterable[str]) -> dict[str, str]:
    """Version → the file's text as it was applied; what can't be read back is left out. One request."""
    listed = ", ".join(str(int(version)) for version in versions)
    rows = api.sql(
        project,
        "SELECT version::text AS version, pg_catalog.encode(source, 'base64') AS source "
        f"FROM mosaic_deploy.migrations WHERE version IN ({listed})",
    )
    found = {str(row.get("version")): _unpacked(str(row.get("source") or "")) for row in rows}
    return {version: text for version, text in found.items() if text is not None}


def _unpacked(packed: str) -> str | None:
    try:
        return zlib.decompress(base64.b64decode(packed)).decode()
    except (ValueError, zlib.error):
        return None
