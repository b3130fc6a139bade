"""A project's database credentials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mosaic_deploy.errors import ResponseInvalid
from mosaic_deploy.live import endpoints
from mosaic_deploy.live.client import Api


def read_credentials(api: Api, project: str) -> dict[str, Any]:
    """`database_url`, `host`, `port`, `database`, `user` and `password`, by the platform's guide.

    They are secrets: nothing but a person who asks for them is shown them. Raises ResponseInvalid.
    """
    answer = api.call(endpoints.CREDENTIALS, project=project)
    inner = answer.get("credentials") or answer.get("data") if isinstance(answer, Mapping) else None
    found = inner if isinstance(inner, Mapping) else answer
    if not isinstance(found, Mapping) or not (found.get("database_url") or found.get("password")):
        # The answer isn't quoted: it may hold half of a secret.
        raise ResponseInvalid("the credentials' answer has no database_url")
    return dict(found)
