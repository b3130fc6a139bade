"""Delivery of files: compression, ranges and conditional requests."""

from __future__ import annotations

import email
import gzip
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_deploy.platform.hosting.compression import accepts_gzip, gzip_copy
from mosaic_deploy.platform.hosting.ranges import MAX_RANGES, ByteRange, last_modified, parse_range_header

TEXT = "".join(f"line {number}\n" for number in range(2_000))


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("gzip, deflate, br", True),
        ("GZIP;Q=0.5", True),
        ("x-gzip", True),
        ("*", True),
        ("br, *;q=0.1", True),
        ("", False),
        ("br", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("gzip;q=0.2, identity;q=0.8", False),
        ("gzip;q=0.8, identity;q=0.2", True),
        ("gzip;q=nonsense", False),
        (";;,,", False),
    ],
)
def test_gzip_negotiation(header, accepted) -> None:
    assert accepts_gzip(header) is accepted


@pytest.mark.parametrize(
    ("header", "spans"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=2-4", [(2, 5)]),
        ("BYTES = 2-4", [(2, 5)]),
        ("bytes=7-", [(7, 10)]),
        ("bytes=-3", [(7, 10)]),
        ("bytes=-99", [(0, 10)]),
        ("bytes=0-1, 4-5 ,-1", [(0, 2), (4, 6), (9, 10)]),
        ("bytes=8-9,0-1", [(8, 10), (0, 2)]),
        ("bytes=0-1,10-", [(0, 2)]),
        ("bytes=10-", []),
        ("bytes=-0", []),
        ("bytes=999999999999999999-", []),
        ("bytes=5-2", None),
        ("bytes=0-4,2-5", None),
        ("bytes=a-b", None),
        ("bytes=1", None),
        ("bytes=-", None),
        ("bytes=", None),
        ("bytes", None),
        ("lines=1-2", None),
        ("bytes=" + ",".join(f"{n}-{n}" for n in range(MAX_RANGES + 1)), None),
        ("bytes=9999999999999999999-", None),
    ],
)
def test_range_headers(header, spans) -> None:
    found = parse_range_header(header, 10)
    assert (None if found is None else [(span.start, span.end) for span in found]) == spans


@given(st.text(alphabet="bytes=0123456789-, "), st.integers(0, 100))
def test_ranges_are_inside_the_file_and_dont_overlap(header, size) -> None:
    spans = parse_range_header(header, size) or []
    assert len(spans) <= MAX_RANGES
    covered = [place for span in spans for place in range(span.start, span.end)]
    assert len(covered) == len(set(covered))
    assert all(0 <= place < size for place in covered)
    assert all(isinstance(span, ByteRange) and span.start < span.end for span in spans)


def test_last_modified_is_omitted_right_after_a_change() -> None:
    changed = datetime(2026, 11, 23, 10, 0, 0, 900_000, tzinfo=UTC)
    assert last_modified(changed, changed + timedelta(milliseconds=50)) is None
    assert last_modified(changed, changed + timedelta(seconds=3)) == "Mon, 23 Nov 2026 10:00:00 GMT"


def test_compression_is_negotiated(api, project) -> None:
    project_id = project()
    api.put_file(project_id, "a.css", TEXT)
    plain = api.site(project_id, "/a.css", headers={"Accept-Encoding": "identity"})
    small = api.site(project_id, "/a.css", headers={"Accept-Encoding": "br, gzip;q=0.5"})
    assert "Content-Encoding" not in plain.headers
    assert small.headers["Content-Encoding"] == "gzip"
    assert plain.text == small.text == TEXT
    assert int(small.headers["Content-Length"]) < int(plain.headers["Content-Length"]) / 3
    assert plain.headers["Vary"] == small.headers["Vary"] == "Accept-Encoding"
    assert plain.headers["ETag"] != small.headers["ETag"]
    # Each representation has its own ETag.
    for form, other in ((plain, small), (small, plain)):
        request_headers = {"Accept-Encoding": form.headers.get("Content-Encoding", "identity")}
        same = api.site(
            project_id, "/a.css", headers={**request_headers, "If-None-Match": form.headers["ETag"]}
        )
        assert (same.status_code, same.headers["Vary"]) == (304, "Accept-Encoding")
        crossed = api.site(
            project_id, "/a.css", headers={**request_headers, "If-None-Match": other.headers["ETag"]}
        )
        assert crossed.status_code == 200
    head = api.site(project_id, "/a.css", method="HEAD", headers={"Accept-Encoding": "gzip"})
    assert head.headers["Content-Length"] == small.headers["Content-Length"]
    # The listed size is the file's, not the gzip copy's.
    assert api.get(f"/{project_id}/files").json()["files"][0]["size"] == len(TEXT)


def test_files_not_worth_compressing(api, project) -> None:
    project_id = project()
    api.put_file(project_id, "small.txt", "x" * 100)
    api.put_file(project_id, "404.html", TEXT)
    for path in ("/small.txt", "/storage/s.txt"):
        api.upload(project_id, "s.txt", b"x" * 5_000)
        answer = api.site(project_id, path, headers={"Accept-Encoding": "gzip"})
        assert answer.status_code == 200
        assert "Content-Encoding" not in answer.headers
    missing = api.site(project_id, "/missing", headers={"Accept-Encoding": "gzip"})
    assert (missing.status_code, missing.text, missing.headers["Content-Encoding"]) == (404, TEXT, "gzip")
    assert "ETag" not in missing.headers
    assert gzip_copy(os.urandom(5_000), "text/plain") == b""
    assert gzip_copy(TEXT.encode(), "image/png") == b""
    copy = gzip_copy(TEXT.encode(), "text/html; charset=utf-8")
    assert gzip.decompress(copy) == TEXT.encode()
    assert copy == gzip_copy(TEXT.encode(), "text/html; charset=utf-8")


def test_ranges_are_of_the_uncompressed_file(api, project) -> None:
    project_id = project()
    api.put_file(project_id, "a.txt", TEXT)
    request_headers = {"Accept-Encoding": "gzip", "Range": "bytes=100-199"}
    part = api.site(project_id, "/a.txt", headers=request_headers)
    assert (part.status_code, part.text) == (206, TEXT[100:200])
    assert "Content-Encoding" not in part.headers
    last = api.site(project_id, "/a.txt", headers={**request_headers, "Range": "bytes=-5"})
    assert (last.text, last.headers["Content-Range"]) == (
        TEXT[-5:],
        f"bytes {len(TEXT) - 5}-{len(TEXT) - 1}/{len(TEXT)}",
    )
    behind = api.site(project_id, "/a.txt", headers={**request_headers, "Range": f"bytes={len(TEXT)}-"})
    assert (behind.status_code, behind.headers["Content-Range"]) == (416, f"bytes */{len(TEXT)}")
    etag = part.headers["ETag"]
    assert api.site(project_id, "/a.txt", headers={**request_headers, "If-Range": etag}).status_code == 206
    assert api.site(project_id, "/a.txt", headers={**request_headers, "If-Range": '"other"'}).text == TEXT
    head = api.site(project_id, "/a.txt", method="HEAD", headers=request_headers)
    assert (head.status_code, head.headers["Content-Length"]) == (
        200,
        str(len(gzip_copy(TEXT.encode(), "text/plain"))),
    )


def test_several_ranges(api, project) -> None:
    project_id = project()
    api.upload(project_id, "a.bin", b"0123456789")
    response = api.site(project_id, "/storage/a.bin", headers={"Range": "bytes=7-8,0-1,-1"})
    assert response.status_code == 206
    assert int(response.headers["Content-Length"]) == len(response.content)
    head = f"Content-Type: {response.headers['Content-Type']}\r\n\r\n".encode()
    parts = email.message_from_bytes(head + response.content).get_payload()
    assert [(part["Content-Range"], part.get_payload(decode=True)) for part in parts] == [
        ("bytes 7-8/10", b"78"), ("bytes 0-1/10", b"01"), ("bytes 9-9/10", b"9"),
    ]  # fmt: skip
    assert {part["Content-Type"] for part in parts} == {"application/octet-stream"}


def test_the_date_of_a_file(api, project, platform) -> None:
    project_id = project()
    api.put_file(project_id, "a.txt", "a")
    assert "Last-Modified" not in api.site(project_id, "/a.txt").headers
    _backdate(platform, project_id)
    first = api.site(project_id, "/a.txt")
    when = first.headers["Last-Modified"]
    assert api.site(project_id, "/a.txt", headers={"If-Modified-Since": when}).status_code == 304
    both = {"If-Modified-Since": when, "If-None-Match": '"other"'}
    assert api.site(project_id, "/a.txt", headers=both).status_code == 200
    # Only the equal date counts: after a rollback, the current file may be older than the client's.
    later = "Fri, 01 Jan 2038 00:00:00 GMT"
    assert api.site(project_id, "/a.txt", headers={"If-Modified-Since": later}).status_code == 200
    api.put_file(project_id, "a.txt", "b")
    assert api.site(project_id, "/a.txt", headers={"If-Modified-Since": when}).text == "b"


def test_no_mixed_content_under_load(api, project) -> None:
    project_id = project()
    contents = [f"{letter}{number}" * 5_000 for number, letter in enumerate("abcd")]
    api.put_file(project_id, "x.html", contents[0])

    def read(number: int) -> str:
        encoding = "gzip" if number % 2 else "identity"
        answer = api.site(project_id, "/x.html", headers={"Accept-Encoding": encoding})
        assert answer.status_code == 200
        assert ("Content-Encoding" in answer.headers) is (encoding == "gzip")
        return str(answer.text)

    def write(number: int) -> str:
        assert api.put_file(project_id, "x.html", contents[number % 4]).status_code == 201
        return contents[0]

    with ThreadPoolExecutor(8) as threads:
        running = [threads.submit(write if number % 4 == 0 else read, number) for number in range(160)]
        assert all(one.result() in contents for one in running)


def _backdate(platform, project_id: str) -> None:
    import json

    import psycopg

    state = json.loads((platform.home / "state.json").read_text())
    with psycopg.connect(
        host="127.0.0.1", port=state["postgres_port"], user="mosaic", password=state["postgres_password"],
        dbname="mosaic_control", autocommit=True,
    ) as connection:  # fmt: skip
        connection.execute(
            "UPDATE static_file SET updated_at = now() - interval '1 hour' WHERE project_id = %s",
            [project_id],
        )
