"""Storage files: upload URLs, usage, quota, ranges."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from behind_the_api import with_control_pool

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.storage import storage, uploads


def ask(api, project_id: str, filename: str, size: int) -> str:
    response = api.post(f"/{project_id}/storage/upload", json={"filename": filename, "size": size})
    assert response.status_code == 200, response.text
    assert response.json()["filename"] == filename
    assert response.json()["expires_in"] == 300
    return str(response.json()["upload_url"])


def test_upload_list_serve_delete(api, project) -> None:
    project_id = project()
    content = bytes(range(256)) * 10_000
    name = "bilder/ein foto ü.jpg"
    done = api.plain.put(ask(api, project_id, name, len(content)), content=content)
    assert done.status_code == 200
    listed = api.get(f"/{project_id}/storage").json()
    (entry,) = listed["files"]
    assert (entry["filename"], entry["size"]) == (name, len(content))
    assert listed["usage"] == {
        "used": "2.6 MB", "limit": "20 GB", "percent": 0.0, "used_bytes": 2_560_000, "limit_bytes": 20 * 10**9,
    }  # fmt: skip
    path = "/" + entry["url"].split("/", 3)[3]
    served = api.site(project_id, path)
    assert (served.content, served.headers["Content-Type"]) == (content, "image/jpeg")
    assert api.delete(f"/{project_id}/storage/{name}").json() == {"success": True, "filename": name}
    assert api.delete(f"/{project_id}/storage/{name}").status_code == 404
    assert api.site(project_id, path).status_code == 404


@pytest.mark.parametrize(("name", "expected"), [("a.mp4", "video/mp4"), ("b", "application/octet-stream")])
def test_any_file_type(api, project, name, expected) -> None:
    project_id = project()
    assert api.upload(project_id, name, b"").status_code == 200
    served = api.site(project_id, f"/storage/{name}")
    assert (served.content, served.headers["Content-Type"]) == (b"", expected)


def test_ranges(api, project) -> None:
    project_id = project()
    api.upload(project_id, "a.bin", b"0123456789")
    for range_header, content, span in (
        ("bytes=2-4", b"234", "2-4"),
        ("bytes=7-", b"789", "7-9"),
        ("bytes=-3", b"789", "7-9"),
        ("bytes=0-99", b"0123456789", "0-9"),
    ):
        got = api.site(project_id, "/storage/a.bin", headers={"Range": range_header})
        assert (got.status_code, got.content) == (206, content)
        assert got.headers["Content-Range"] == f"bytes {span}/10"
    past = api.site(project_id, "/storage/a.bin", headers={"Range": "bytes=10-"})
    assert (past.status_code, past.headers["Content-Range"]) == (416, "bytes */10")
    for ignored in ("bytes=5-2", "bytes=a-b", "lines=1-2", "bytes=0-4,2-5", "bytes=-", "bytes="):
        assert api.site(project_id, "/storage/a.bin", headers={"Range": ignored}).content == b"0123456789"
    stale = api.site(project_id, "/storage/a.bin", headers={"Range": "bytes=2-4", "If-Range": '"old"'})
    assert stale.status_code == 200


@pytest.mark.parametrize("change", ["size", "expires", "nonce", "signature", "filename", "project"])
def test_modified_upload_urls_are_rejected(api, project, change) -> None:
    project_id, other = project(), project()
    url = urlsplit(ask(api, project_id, "a.bin", 3))
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    path = url.path
    if change == "filename":
        path = path.replace("a.bin", "b.bin")
    elif change == "project":
        path = path.replace(project_id, other)
    elif change == "nonce":
        query["nonce"] = query["nonce"][::-1] + "x"
    elif change == "signature":
        query["signature"] = "0" * 64
    else:
        query[change] = str(int(query[change]) + 1)
    response = api.plain.put(url._replace(path=path, query=urlencode(query)).geturl(), content=b"abcd")
    assert (response.status_code, response.json()["error"]["code"]) == (403, "signature_invalid")
    bare = api.plain.put(url._replace(query="").geturl(), content=b"abc")
    assert bare.status_code == 403
    assert api.get(f"/{project_id}/storage").json()["files"] == []


def test_an_upload_url_stores_one_body(api, project) -> None:
    """Whoever sees the URL within its 300 seconds could replace the file with it."""
    project_id = project()
    url = ask(api, project_id, "a.bin", 3)
    first = api.plain.put(url, content=b"abc")
    assert first.status_code == 200
    # Its sender, who didn't get the response, sends it again.
    again = api.plain.put(url, content=b"abc")
    assert (again.status_code, again.headers["ETag"]) == (200, first.headers["ETag"])
    other = api.plain.put(url, content=b"xyz")
    assert (other.status_code, other.json()["error"]["code"]) == (403, "upload_used")
    assert api.site(project_id, "/storage/a.bin").content == b"abc"
    assert api.upload(project_id, "a.bin", b"new").status_code == 200
    # Sent again, the first one doesn't bring the old content back.
    assert api.plain.put(url, content=b"abc").status_code == 200
    assert api.site(project_id, "/storage/a.bin").content == b"new"


def test_a_slow_upload_to_a_used_url_stores_nothing(platform, api, project) -> None:
    """An upload that began while the URL was valid may arrive for twelve hours."""
    project_id = project()
    url = ask(api, project_id, "a.bin", 3)
    assert api.plain.put(url, content=b"abc").status_code == 200
    age = "UPDATE used_upload SET expires_at = now() - interval '11 hours'"
    with_control_pool(platform, lambda pool: control_database.fetch(pool, age))
    assert api.upload(project_id, "b.bin", b"other").status_code == 200
    late = api.plain.put(url, content=b"xyz")
    assert (late.status_code, late.json()["error"]["code"]) == (403, "upload_used")
    assert api.site(project_id, "/storage/a.bin").content == b"abc"


def test_concurrent_uploads_to_one_url_store_one_body(api, project) -> None:
    project_id = project()
    url = ask(api, project_id, "a.bin", 3)
    bodies = [b"%03d" % number for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(lambda body: api.plain.put(url, content=body).status_code, bodies))
    assert sorted(statuses) == [200] + [403] * 7
    assert api.site(project_id, "/storage/a.bin").content == bodies[statuses.index(200)]


def test_expired_upload_urls_are_rejected() -> None:
    permit = uploads.UploadPermit("pod-16f", "a", 1, int(time.time()) - 1)
    query = {"size": "1", "expires": str(permit.expires), "signature": permit.signature("key")}
    with pytest.raises(Fault) as rejected:
        uploads.verify_permit("pod-16f", "a", query, "key")
    assert (rejected.value.status, rejected.value.code) == (403, "upload_expired")


def test_uploads_of_the_wrong_size_are_rejected_and_leave_nothing(api, project, platform) -> None:
    project_id = project()
    url = ask(api, project_id, "a.bin", 5)
    assert api.plain.put(url, content=b"123456").status_code == 413
    assert api.plain.put(url, content=b"1234").status_code == 400
    # Without Content-Length the size is only known from the body.
    assert api.plain.put(url, content=iter([b"123", b"456"])).status_code == 413
    assert api.plain.put(url, content=iter([b"123"])).status_code == 400
    assert api.get(f"/{project_id}/storage").json()["files"] == []
    assert not [path for path in (platform.home / "store" / project_id).rglob("*") if path.is_file()]
    assert api.plain.put(url, content=iter([b"123", b"45"])).status_code == 200


def test_an_interrupted_upload_can_be_repeated(api, project, platform) -> None:
    project_id = project()
    content = b"x" * 6_000_000
    url = urlsplit(ask(api, project_id, "a.bin", len(content)))
    with socket.create_connection(("127.0.0.1", platform.port)) as broken:
        head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(content)}\r\n\r\n"
        broken.sendall(head.encode() + content[:5_500_000])
    deadline = time.monotonic() + 10
    while [path for path in (platform.home / "store" / project_id).rglob("*") if path.is_file()]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert api.get(f"/{project_id}/storage").json()["files"] == []
    assert api.upload(project_id, "a.bin", content).status_code == 200
    assert api.site(project_id, "/storage/a.bin").content == content


def test_the_quota(api, project) -> None:
    project_id = project()
    body = {"filename": "a", "size": 20 * 10**9}
    assert api.post(f"/{project_id}/storage/upload", json=body).status_code == 200
    body["size"] += 1
    rejected = api.post(f"/{project_id}/storage/upload", json=body)
    assert (rejected.status_code, rejected.json()["error"]["code"]) == (413, "storage_quota_exceeded")
    for size in (-1, "5", 1.5, None, True, 2**63):
        body["size"] = size
        assert api.post(f"/{project_id}/storage/upload", json=body).status_code == 400


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (102400, "102.4 kB"),
        (999960, "1 MB"),
        (1200000000, "1.2 GB"),
        (20 * 10**9, "20 GB"),
        (10**12, "1 TB"),
    ],
)
def test_human_size(size, text) -> None:
    assert storage.human_size(size) == text


def test_percent() -> None:
    assert storage.usage(1_200_000_000, 20 * 10**9)["percent"] == 6.0
