"""Static files and sites."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest


def test_put_list_replace_delete(api, project) -> None:
    project_id = project()
    created = api.put_file(project_id, "index.html", "<h1>ü</h1>")
    assert created.status_code == 201
    port = api.root.rpartition(":")[2]
    assert created.json() == {
        "filename": "index.html",
        "url": f"http://{project_id}.localhost:{port}/index.html",
        "size": 11,
    }
    api.put_file(project_id, "index.html", "<h1>new</h1>")
    (listed,) = api.get(f"/{project_id}/files").json()["files"]
    assert (listed["filename"], listed["size"]) == ("index.html", 12)
    assert set(listed) == {"filename", "size", "url", "updated_at"}
    assert api.site(project_id, "/").text == "<h1>new</h1>"
    deleted = api.delete(f"/{project_id}/files/index.html")
    assert deleted.json() == {"success": True, "filename": "index.html"}
    assert api.delete(f"/{project_id}/files/index.html").status_code == 404
    assert api.site(project_id, "/").status_code == 404


@pytest.mark.parametrize(
    "name", ["a b/c d.txt", 'it\'s "quoted".css', "ünï/漢字.html", "100%25 #?&+.json", "a..b.js"]
)
def test_unusual_valid_names(api, project, name) -> None:
    project_id = project()
    assert api.put_file(project_id, name, "content").json()["filename"] == name
    (listed,) = api.get(f"/{project_id}/files").json()["files"]
    assert listed["filename"] == name
    path = "/" + listed["url"].split("/", 3)[3]
    assert api.site(project_id, path).text == "content"
    assert api.plain.get(f"{api.root}/sites/{project_id}{path}").text == "content"
    assert api.delete(f"/{project_id}/files/{quote(name, safe='')}").status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/a.html",
        "../a.html",
        "a/../b.html",
        "a/./b.html",
        "a//b.html",
        "a\\b.html",
        "a\x00.html",
        "a\n.html",
        "..",
        "a/",
        "x" * 508 + ".html",
        "\x7f.html",
    ],
)
def test_invalid_names(api, untouched, name) -> None:
    answer = api.put_file(untouched, name, "x")
    assert answer.status_code == 400
    upload = api.post(f"/{untouched}/storage/upload", json={"filename": name, "size": 1})
    assert upload.status_code == 400
    assert upload.json()["error"]["code"] in ("filename_invalid", "field_invalid")


def test_types_sizes_and_encodings(api, project) -> None:
    project_id = project()
    refused = api.put_file(project_id, "font.woff2", "x")
    assert refused.status_code == 415
    assert ".webp" in refused.json()["error"]["message"]
    pixel = b"\x89PNG\r\n\x1a\n\x00\xff"
    assert (
        api.put_file(project_id, "p.PNG", base64.b64encode(pixel).decode(), encoding="base64").json()["size"]
        == 10
    )
    served = api.site(project_id, "/p.PNG")
    assert (served.content, served.headers["Content-Type"]) == (pixel, "image/png")
    assert api.put_file(project_id, "p.png", "???", encoding="base64").status_code == 400
    assert api.put_file(project_id, "p.png", "x", encoding="rot13").status_code == 400
    assert api.put_file(project_id, "big.txt", "x" * (25 * 1024 * 1024 + 1)).status_code == 413
    assert api.put_file(project_id, "empty.txt", "").json()["size"] == 0
    assert api.site(project_id, "/empty.txt").content == b""


def test_pages_folders_and_the_404_page(api, project) -> None:
    project_id = project()
    for name in ("index.html", "about/index.html", "contact.html"):
        api.put_file(project_id, name, name)
    assert api.site(project_id, "/").text == "index.html"
    assert api.site(project_id, "/about/").text == "about/index.html"
    redirect = api.site(project_id, "/about?x=1")
    assert (redirect.status_code, redirect.headers["Location"]) == (308, "/about/?x=1")
    assert (
        api.plain.get(f"{api.root}/sites/{project_id}/about").headers["Location"]
        == f"/sites/{project_id}/about/"
    )
    assert api.plain.get(f"{api.root}/sites/{project_id}").headers["Location"] == f"/sites/{project_id}/"
    assert api.site(project_id, "/contact").text == "contact.html"
    missing = api.site(project_id, "/missing")
    assert (missing.status_code, missing.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    api.put_file(project_id, "404.html", "own")
    own = api.site(project_id, "/missing")
    assert (own.status_code, own.text) == (404, "own")
    assert api.site(project_id, "/", method="POST").status_code == 405
    assert api.site("no-such", "/").status_code == 404


def test_headers_for_browsers(api, project) -> None:
    project_id = project()
    api.put_file(project_id, "index.html", "hello")
    response = api.site(project_id, "/")
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    etag = response.headers["ETag"]
    for known in (etag, f'"x", W/{etag}', "*"):
        same = api.site(project_id, "/", headers={"If-None-Match": known})
        assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", etag)
    head = api.site(project_id, "/", method="HEAD")
    assert (head.status_code, head.content, head.headers["Content-Length"]) == (200, b"", "5")
    api.put_file(project_id, "index.html", "other")
    assert api.site(project_id, "/", headers={"If-None-Match": etag}).text == "other"
    assert "sandbox" in api.plain.get(f"{api.root}/sites/{project_id}/").headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/../platform.json", "/..%2fplatform.json", "/%2e%2e/%2e%2e/platform.json", "/%252e%252e/platform.json",
        "/..%5cplatform.json", "/%00", "/index.html%00.png", "//etc/passwd", "/%2fetc/passwd", "/storage/../../state.json",
        "/storage/%2e%2e/%2e%2e/state.json", "/.../platform.json", "/%c0%ae%c0%ae/platform.json", "/%ff",
    ],
)  # fmt: skip
def test_paths_outside_the_site_are_not_found(api, untouched, path) -> None:
    answer = api.site(untouched, path)
    assert answer.status_code == 404
    assert "mk_" not in answer.text


def test_no_mixed_content_while_files_are_replaced(api, project) -> None:
    project_id = project()
    contents = [letter * 20_000 for letter in "abcd"]
    api.put_file(project_id, "x.txt", contents[0])

    def read(_: int) -> str:
        return api.site(project_id, "/x.txt").text

    def write(number: int) -> str:
        assert api.put_file(project_id, "x.txt", contents[number % 4]).status_code == 201
        return contents[0]

    with ThreadPoolExecutor(8) as threads:
        reading = [threads.submit(read if number % 2 else write, number) for number in range(120)]
        assert all(one.result() in contents for one in reading)
    assert len(api.get(f"/{project_id}/files").json()["files"]) == 1


def test_projects_dont_see_each_other(api, project) -> None:
    first, second = project(), project()
    api.put_file(first, "index.html", "first")
    api.upload(first, "a.bin", b"first")
    assert api.site(second, "/").status_code == 404
    assert api.site(second, "/storage/a.bin").status_code == 404
    assert api.get(f"/{second}/files").json() == {"files": []}
