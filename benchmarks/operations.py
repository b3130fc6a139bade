"""The operations that are measured, as requests that are ready to be sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx
from load import Asked

NAMES = 50
_MIB = 1 << 20


def prepared(client: httpx.Client, project: str, site: str, api: Mapping[str, str]) -> dict[str, list[Asked]]:
    """Requests by operation. `api` is the headers of the API's requests, `site` the project's host. The files that
    are read are put here. Upload URLs live for 300 seconds, and so do these."""
    one, keyed = f"/v1/project/{project}", {**api, "Content-Type": "application/json"}
    put = [_text(number) for number in range(NAMES)]
    for body in put[:5]:
        client.post(f"{one}/files", json=body).raise_for_status()
    uploads = [_upload(client, one, number, api["Host"]) for number in range(NAMES)]
    for one_upload in uploads[:5]:
        client.put(one_upload.path, content=b"x" * _MIB).raise_for_status()
    here = {"Host": site}
    return {
        "`/sql`, `SELECT 1`": [Asked("POST", f"{one}/sql", keyed, json.dumps({"query": "SELECT 1"}))],
        "`POST /files`, 4 KB": [Asked("POST", f"{one}/files", keyed, json.dumps(body)) for body in put],
        "static file, 4 KB": [Asked("GET", f"/{number}.txt", here) for number in range(5)],
        "presigned PUT, 1 MiB": uploads,
        "download, 1 MiB": [Asked("GET", f"/storage/{number}.bin", here) for number in range(5)],
    }


def _text(number: int) -> dict[str, str]:
    return {"filename": f"{number}.txt", "content": "x" * 4096}


def _upload(client: httpx.Client, one: str, number: int, host: str) -> Asked:
    wanted = {"filename": f"{number}.bin", "size": _MIB}
    answer = client.post(f"{one}/storage/upload", json=wanted).raise_for_status()
    url = urlsplit(answer.json()["upload_url"])
    return Asked("PUT", f"{url.path}?{url.query}", {"Host": host}, padding=_MIB)
