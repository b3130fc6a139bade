"""What a project has stored, and how much of its limit that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mosaic_deploy.live import answers, endpoints
from mosaic_deploy.live.client import Api


def read_storage(api: Api, project: str) -> tuple[dict[str, tuple[int | None, str]], dict[str, Any]]:
    """Filename → (bytes, URL), and the platform's `usage`: `used` and `limit` in its words, `percent`."""
    answer = api.call(endpoints.LIST_STORAGE, project=project)
    usage = answer.get("usage") if isinstance(answer, Mapping) else None
    return answers.files(answer), dict(usage) if isinstance(usage, Mapping) else {}
