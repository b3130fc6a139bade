"""An API client for the started platform."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from started_platform import SHARED, create_project

# A connection per request: httpx may close an idle connection that another thread has just picked.
_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=0)


class Api(httpx.Client):
    """Requests to paths below /v1/project, with the API key. `root` is the platform's URL."""

    def __init__(self, url: str, api_key: str) -> None:
        super().__init__(
            base_url=f"{url}/v1/project", headers={"X-API-Key": api_key}, timeout=60, limits=_LIMITS
        )
        self.root = url
        # Without the API key, as a browser. Shared, because every client loads all certificates.
        self.plain = httpx.Client(timeout=60, limits=_LIMITS)

    def close(self) -> None:
        self.plain.close()
        super().close()

    def sql(self, project_id: str, query: str, **more: Any) -> list[dict[str, Any]]:
        response = self.post(f"/{project_id}/sql", json={"query": query, **more})
        assert response.status_code == 200, response.text
        rows: list[dict[str, Any]] = response.json()["data"]
        return rows

    def sql_error(self, project_id: str, query: str, code: str = "sql_error") -> dict[str, Any]:
        response = self.post(f"/{project_id}/sql", json={"query": query})
        assert response.status_code == 400, response.text
        assert response.json()["success"] is False
        error: dict[str, Any] = response.json()["error"]
        assert error["code"] == code
        return error

    def site(self, project_id: str, path: str, method: str = "GET", **more: Any) -> httpx.Response:
        """A request to the project's site. `path` is sent as is, without normalization."""
        port = self.root.rpartition(":")[2]
        headers = {"Host": f"{project_id}.localhost:{port}", **more.pop("headers", {})}
        url = httpx.URL(self.root).copy_with(raw_path=path.encode())
        return self.plain.request(method, url, headers=headers, **more)

    def put_file(self, project_id: str, filename: str, content: str, **more: Any) -> httpx.Response:
        return self.post(f"/{project_id}/files", json={"filename": filename, "content": content, **more})

    def upload(self, project_id: str, filename: str, content: bytes) -> httpx.Response:
        size = len(content)
        response = self.post(f"/{project_id}/storage/upload", json={"filename": filename, "size": size})
        assert response.status_code == 200, response.text
        return self.plain.put(response.json()["upload_url"], content=content)


@pytest.fixture(scope="session")
def api(platform: Any) -> Iterator[Api]:
    client = Api(platform.url, platform.api_key)
    yield client
    client.close()


@pytest.fixture(scope="session")
def untouched(platform: Any) -> str:
    """A project shared by tests that change nothing in it."""
    return create_project(platform.url, platform.api_key, SHARED)
