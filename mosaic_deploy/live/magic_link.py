"""Sign-in by mail."""

from __future__ import annotations

from collections.abc import Mapping

from mosaic_deploy.live import endpoints
from mosaic_deploy.live.client import Api


def send_magic_link(api: Api, project: str, email: str, redirect_url: str) -> str:
    """What the platform says of it. Sent once: a second mail would make nobody surer of the first.

    Raises RateLimited where the day's mails are used up, RequestRefused.
    """
    body = {"email": email, "redirect_url": redirect_url}
    answer = api.call(endpoints.SEND_MAGIC_LINK, project=project, body=body)
    return str(answer.get("message") or "") if isinstance(answer, Mapping) else ""
