"""A client that speaks to the started platform as a user's program does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from started_platform import create_project

# A connection per request: httpx, shared by many threads, may close a kept one that a thread has just taken.
_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=0)


class Api(httpx.Client):
    """Paths below /v1/project go with the key; `root` is the platform's address."""

    def __init__(self, url: str, api_key: str) -> None:
        super().__init__(
            base_url=f"{url}/v1/project", headers={"X-API-Key": api_key}, timeout=60, limits=_LIMITS
        )
        self.root = url
        # Without the key, as a browser or a stranger asks. One client: each would load all certificates anew.
        self.plain = httpx.Client(timeout=60, limits=_LIMITS)

    def close(self) -> None:
        self.plain.close()
        super().close()

    def sql(self, project_id: str, query: str, **more: Any) -> list[dict[str, Any]]:
        answer = self.post(f"/{project_id}/sql", json={"query": query, **more})
        assert answer.status_code == 200, answer.text
        rows: list[dict[str, Any]] = answer.json()["data"]
        return rows

    def sql_error(self, project_id: str, query: str, code: str = "sql_error") -> dict[str, Any]:
        answer = self.post(f"/{project_id}/sql", json={"query": query})
        assert answer.status_code == 400, answer.text
        assert answer.json()["success"] is False
        error: dict[str, Any] = answer.json()["error"]
        assert error["code"] == code
        return error

    def site(self, project_id: str, path: str, method: str = "GET", **more: Any) -> httpx.Response:
        """A request as a browser sends it to the project's own host. `path` goes out as it is."""
        port = self.root.rpartition(":")[2]
        headers = {"Host": f"{project_id}.localhost:{port}", **more.pop("headers", {})}
        url = httpx.URL(self.root).copy_with(raw_path=path.encode())
        return self.plain.request(method, url, headers=headers, **more)

    def put_file(self, project_id: str, filename: str, content: str, **more: Any) -> httpx.Response:
        return self.post(f"/{project_id}/files", json={"filename": filename, "content": content, **more})

    def upload(self, project_id: str, filename: str, content: bytes) -> httpx.Response:
        asked = self.post(f"/{project_id}/storage/upload", json={"filename": filename, "size": len(content)})
        assert asked.status_code == 200, asked.text
        return self.plain.put(asked.json()["upload_url"], content=content)


@pytest.fixture(scope="session")
def api(platform: Any) -> Iterator[Api]:
    client = Api(platform.url, platform.api_key)
    yield client
    client.close()


@pytest.fixture(scope="session")
def untouched(platform: Any) -> str:
    """One project for all tests of what is refused: none of them changes anything in it."""
    return create_project(platform.url, platform.api_key, "Untouched")
