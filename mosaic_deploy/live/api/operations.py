"""Calls of single operations: credentials, magic links, storage listings, tickets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mosaic_deploy.errors import ResponseInvalid
from mosaic_deploy.live.api import endpoints, responses
from mosaic_deploy.live.api.client import Api


def read_credentials(api: Api, project: str) -> dict[str, Any]:
    """`database_url`, `host`, `port`, `database`, `user` and `password`, as in the platform's guide.

    They are secrets: show them only to a user who asks for them. Raises ResponseInvalid.
    """
    payload = api.call(endpoints.READ_CREDENTIALS, project=project)
    inner = payload.get("credentials") or payload.get("data") if isinstance(payload, Mapping) else None
    found = inner if isinstance(inner, Mapping) else payload
    if not isinstance(found, Mapping) or not (found.get("database_url") or found.get("password")):
        # The response isn't quoted: it may contain part of a secret.
        raise ResponseInvalid("the platform's response has no database_url")
    return dict(found)


def send_magic_link(api: Api, project: str, email: str, redirect_url: str) -> str:
    """Sends a magic link, without retries, and returns the platform's message.

    Raises RateLimited if the day's emails are used up, RequestRefused.
    """
    body = {"email": email, "redirect_url": redirect_url}
    payload = api.call(endpoints.SEND_MAGIC_LINK, project=project, body=body)
    return str(payload.get("message") or "") if isinstance(payload, Mapping) else ""


def read_embedded_emails(api: Api) -> list[dict[str, Any]]:
    """The emails in the embedded platform's inbox, newest first: `id`, `project_id`, `to`, `link`. Raises ApiError."""
    payload = api.call_embedded("inbox", "GET", endpoints.EMBEDDED_INBOX_PATH)
    emails = payload.get("emails") if isinstance(payload, Mapping) else None
    if not isinstance(emails, list):
        raise ResponseInvalid("the platform's inbox has no emails field")
    return emails


def verify_on_embedded_site(api: Api, site: str, token: str, email: str) -> int:
    """Verifies a magic link's token as a page of the embedded platform's site does. Returns the HTTP status."""
    body = json.dumps({"token": token, "email": email}).encode()
    url = f"{site}{endpoints.EMBEDDED_VERIFY_PATH}"
    return api.fetch(url, "POST", headers={"Content-Type": "application/json"}, content=body).status_code


def read_storage_files(api: Api, project: str) -> tuple[dict[str, tuple[int | None, str]], dict[str, Any]]:
    """Filename → (bytes, URL), and the platform's `usage`: `used` and `limit` as text, `percent`."""
    payload = api.call(endpoints.LIST_STORAGE, project=project)
    usage = payload.get("usage") if isinstance(payload, Mapping) else None
    return responses.parse_files(payload), dict(usage) if isinstance(usage, Mapping) else {}


def submit_ticket(api: Api, subject: str, message: str, project: str | None = None) -> dict[str, Any]:
    """Submits a ticket, without retries. Returns `ticket_id`, `status` and `message`, as in the platform's guide."""
    body = {"subject": subject, "message": message, **({"project_id": project} if project else {})}
    payload = api.call(endpoints.SUBMIT_TICKET, body=body)
    if not isinstance(payload, Mapping):
        raise ResponseInvalid(f"expected a ticket: {responses.excerpt(payload)}")
    return dict(payload)
