"""Support tickets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mosaic_deploy.errors import ResponseInvalid
from mosaic_deploy.live import answers, endpoints
from mosaic_deploy.live.client import Api


def submit(api: Api, subject: str, message: str, project: str | None = None) -> dict[str, Any]:
    """The platform's answer: `ticket_id`, `status` and `message`, by its guide. Sent once, never again by itself."""
    body = {"subject": subject, "message": message, **({"project_id": project} if project else {})}
    answer = api.call(endpoints.SUBMIT_TICKET, body=body)
    if not isinstance(answer, Mapping):
        raise ResponseInvalid(f"expected a ticket: {answers.excerpt(answer)}")
    return dict(answer)
