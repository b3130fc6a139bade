"""The measured operations, as requests ready to be sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx
from load import Request

NAMES = 50
_MIB = 1 << 20


def prepare_requests(
    client: httpx.Client, project: str, site: str, api: Mapping[str, str]
) -> dict[str, list[Request]]:
    """Requests by operation. `api` are the headers of API requests, `site` is the project's host.

    Uploads the files that some of them download. They are valid for 300 seconds, as long as upload URLs are.
    """
    base, headers = f"/v1/project/{project}", {**api, "Content-Type": "application/json"}
    files = [_text_file(number) for number in range(NAMES)]
    for body in files[:5]:
        client.post(f"{base}/files", json=body).raise_for_status()
    uploads = [_upload(client, base, number, api["Host"]) for number in range(NAMES)]
    for upload in uploads[:5]:
        client.put(upload.path, content=b"x" * _MIB).raise_for_status()
    site_headers = {"Host": site}
    return {
        "`/sql`, `SELECT 1`": [Request("POST", f"{base}/sql", headers, json.dumps({"query": "SELECT 1"}))],
        "`POST /files`, 4 KB": [
            Request("POST", f"{base}/files", headers, json.dumps(body)) for body in files
        ],
        "static file, 4 KB": [Request("GET", f"/{number}.txt", site_headers) for number in range(5)],
        "presigned PUT, 1 MiB": uploads,
        "download, 1 MiB": [Request("GET", f"/storage/{number}.bin", site_headers) for number in range(5)],
    }


def _text_file(number: int) -> dict[str, str]:
    return {"filename": f"{number}.txt", "content": "x" * 4096}


def _upload(client: httpx.Client, base: str, number: int, host: str) -> Request:
    body = {"filename": f"{number}.bin", "size": _MIB}
    response = client.post(f"{base}/storage/upload", json=body).raise_for_status()
    url = urlsplit(response.json()["upload_url"])
    return Request("PUT", f"{url.path}?{url.query}", {"Host": host}, padding=_MIB)
