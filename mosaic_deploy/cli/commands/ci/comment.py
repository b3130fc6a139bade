"""The comment on a pull request: one per label, updated in place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from mosaic_deploy.errors import MosaicError
from mosaic_deploy.live.api.certificates import trusted_certificates
from mosaic_deploy.live.api.proxy import find_proxy
from mosaic_deploy.version import __version__

MAX_COMMENT_LENGTH = 65_536
"""GitHub's limit, in characters."""
_PAGE_SIZE = 100


class CommentRefused(Exception):
    """The comment couldn't be written. It is only logged; the deploy doesn't fail."""


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull request and a token to write to it. `api` is GITHUB_API_URL, `repository` is owner/name."""

    api: str
    repository: str
    number: int
    token: str

    def __repr__(self) -> str:
        return f"PullRequest({self.repository!r}, {self.number})"


def marker(label: str) -> str:
    """The invisible first line that identifies our comment."""
    kept = "".join(char for char in label if char.isalnum() or char in "._/ -")
    return f"<!-- mosaic-deploy: {kept} -->"


def update_comment(pull: PullRequest, label: str, body: str | None) -> None:
    """Creates or updates the comment. With `body` None, an existing one is changed to say that nothing differs now.

    Raises CommentRefused.
    """
    mark = marker(label)
    with _client(pull) as client:
        known = next((each for each in _comments(client, pull) if _is_ours(each, mark)), None)
        if known is None and body is None:
            return
        text = f"{mark}\n{body if body is not None else 'No changes.'}"
        if known is None:
            _write_comment(client, "POST", f"/repos/{pull.repository}/issues/{pull.number}/comments", text)
        elif known["body"] != text:
            _write_comment(client, "PATCH", f"/repos/{pull.repository}/issues/comments/{known['id']}", text)


def _client(pull: PullRequest) -> httpx.Client:
    url = urlsplit(pull.api)
    try:
        proxy = find_proxy(url.scheme, url.hostname or "", url.port)
        certificates = trusted_certificates()
    except (MosaicError, ValueError) as error:
        raise CommentRefused(f"can't reach GitHub: {error}") from None
    return httpx.Client(
        trust_env=False,
        proxy=proxy.url if proxy else None,
        verify=certificates,
        base_url=pull.api,
        timeout=30,
        headers={
            "Authorization": f"Bearer {pull.token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
            "User-Agent": f"mosaic-deploy/{__version__}",
        },
    )


def _comments(client: httpx.Client, pull: PullRequest) -> Iterator[Mapping[str, Any]]:
    page = 1
    while True:
        path = f"/repos/{pull.repository}/issues/{pull.number}/comments"
        found = _send_request(
            client.build_request("GET", path, params={"per_page": _PAGE_SIZE, "page": page}), client
        )
        yield from found
        if len(found) < _PAGE_SIZE:
            return
        page += 1


def _is_ours(comment: Mapping[str, Any], mark: str) -> bool:
    """By its first line, and only if a bot wrote it: anyone could write that line."""
    author = comment.get("user") or {}
    return str(comment.get("body") or "").startswith(mark) and author.get("type") == "Bot"


def _write_comment(client: httpx.Client, method: str, path: str, text: str) -> None:
    _send_request(client.build_request(method, path, json={"body": text[:MAX_COMMENT_LENGTH]}), client)


def _send_request(request: httpx.Request, client: httpx.Client) -> Any:
    try:
        response = client.send(request)
    except httpx.HTTPError as error:
        raise CommentRefused(f"can't reach GitHub: {error}") from None
    if response.status_code >= 300:
        raise CommentRefused(
            f"GitHub returned HTTP {response.status_code} for {request.method} {request.url.path}"
        )
    try:
        return response.json()
    except ValueError:
        raise CommentRefused("GitHub's response isn't JSON") from None
