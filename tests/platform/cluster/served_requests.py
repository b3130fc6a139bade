"""Requests to a served platform, as clients and browsers send them."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
from served import DOMAIN


def await_running(client: httpx.Client, project_id: str) -> None:
    deadline = time.monotonic() + 40
    while True:
        listed = client.get("/v1/project/projects").json()["projects"]
        if any(one["project_id"] == project_id and one["status"] == "running" for one in listed):
            return
        assert time.monotonic() < deadline, listed
        time.sleep(0.05)


def create(client: httpx.Client, name: str) -> str:
    created = client.post("/v1/project/projects", json={"name": name})
    assert created.status_code == 201, created.text
    await_running(client, created.json()["project_id"])
    return str(created.json()["project_id"])


def upload(client: httpx.Client, project_id: str, name: str, content: bytes) -> httpx.Response:
    permit = client.post(
        f"/v1/project/{project_id}/storage/upload", json={"filename": name, "size": len(content)}
    )
    if permit.status_code != 200:
        return permit
    url = urlsplit(permit.json()["upload_url"])
    assert (url.scheme, url.netloc) in (("http", f"api.{DOMAIN}"), ("https", "api.mosaic.example.com"))
    return client.put(f"{url.path}?{url.query}", content=content)


def read(client: httpx.Client, project_id: str, path: str, **headers: str) -> httpx.Response:
    return client.get(path, headers={"Host": f"{project_id}.{DOMAIN}", **headers})


def wait_until(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.05)
