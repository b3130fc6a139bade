"""Merging listings with the ledger, parsing responses, encoding content."""

import base64
from dataclasses import replace

import httpx
import pytest

from mosaic_deploy.errors import ResponseInvalid, TransfersFailed
from mosaic_deploy.live.api import responses
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.upload import encode_content, upload_static_file
from mosaic_deploy.live.snapshot import merge_listing
from mosaic_deploy.model.snapshot import Object, ObjectState, Project

ROW = Object("a.css", "a" * 64, 5)


@pytest.mark.parametrize(
    ("row", "listed", "seen"),
    [
        (ROW, {"a.css": (5, "")}, ROW),
        (ROW, {"a.css": (None, "")}, ROW),
        (ROW, None, ROW),
        (ROW, {}, Object("a.css", "a" * 64, 5, ObjectState.MISSING)),
        (ROW, {"a.css": (6, "")}, Object("a.css", "a" * 64, 5, ObjectState.DRIFTED, listed_size=6)),
        (
            Object("a.css", "a" * 64, 5, ObjectState.PENDING),
            {},
            Object("a.css", "a" * 64, 5, ObjectState.UNSENT),
        ),
        (
            replace(ROW, state=ObjectState.PENDING),
            {"a.css": (9, "")},
            replace(ROW, state=ObjectState.REPLACED, listed_size=9),
        ),
        (replace(ROW, state=ObjectState.KEPT), {"a.css": (5, "")}, replace(ROW, state=ObjectState.KEPT)),
        (
            replace(ROW, state=ObjectState.KEPT),
            {"a.css": (6, "")},
            Object("a.css", "a" * 64, 5, ObjectState.KEPT_CHANGED, listed_size=6),
        ),
        (replace(ROW, state=ObjectState.KEPT), {}, replace(ROW, state=ObjectState.MISSING)),
        (None, {"a.css": (6, "")}, Object("a.css", "", 6, ObjectState.UNMANAGED, listed_size=6)),
        (None, {"a.css": (None, "")}, Object("a.css", "", 0, ObjectState.UNMANAGED)),
    ],
)
def test_the_ledger_is_corrected_by_the_listing(
    row: Object | None, listed: dict[str, tuple[int | None, str]] | None, seen: Object
) -> None:
    assert merge_listing({"a.css": row} if row else {}, listed) == {"a.css": seen}


@pytest.mark.parametrize(
    "item",
    [
        {"project_id": "pod-1", "name": "n", "url": "https://u/", "status": "running"},
        {"slug": "pod-1", "id": 7, "name": "n", "url": "https://u", "status": None},
        {"id": "pod-1", "name": "n", "url": "https://u"},
        {"success": True, "data": {"slug": "pod-1", "name": "n", "url": "https://u"}},
        {"project": {"id": "pod-1", "name": "n", "url": "https://u"}},
    ],
)
def test_projects_in_every_format(item: object) -> None:
    assert responses.parse_project(item) == Project("pod-1", "n", "https://u", "running")


@pytest.mark.parametrize("wrapped", ["projects", "data", None])
def test_listings_in_every_format(wrapped: str | None) -> None:
    items = [{"id": "a"}, {"id": "b"}]
    found = responses.parse_projects({wrapped: items} if wrapped else items)
    assert [project.id for project in found] == ["a", "b"]


def test_files_in_every_format() -> None:
    listed = responses.parse_files(
        {
            "files": [
                {"filename": "a.css", "size": 3, "url": "u"},
                {"name": "/b.css", "size": "4"},
                {"key": "c.css", "size": True},
                {"path": "d.css", "size": "²"},
                "e.css",
                {"size": 1},
                None,
            ]
        }
    )
    assert listed == {
        "a.css": (3, "u"),
        "b.css": (4, ""),
        "c.css": (None, ""),
        "d.css": (None, ""),
        "e.css": (None, ""),
    }


@pytest.mark.parametrize("answer", [None, 3, "text", {}, {"files": 3}, {"error": []}])
def test_an_invalid_listing_is_an_error(answer: object) -> None:
    with pytest.raises(ResponseInvalid, match="expected a list under 'files'"):
        responses.parse_files(answer)


@pytest.mark.parametrize(
    ("path", "content", "text"),
    [
        ("a.html", "é\r\n".encode(), "é\r\n"),
        ("A.CSS", b"", ""),
        ("a.svg", b"\xef\xbb\xbf<svg/>", "\ufeff<svg/>"),
        ("a.txt", b"caf\xe9", None),
        ("a.png", b"plain text", None),
        ("a.bin", b"\0\xff", None),
    ],
)
def test_text_is_sent_unchanged_and_the_rest_as_base64(path: str, content: bytes, text: str | None) -> None:
    body = encode_content(path, content)
    if text is None:
        assert body.keys() == {"content", "encoding"}
        assert body["encoding"] == "base64"
        assert base64.b64decode(body["content"], validate=True) == content
    else:
        assert body == {"content": text}


def upload_stored_as(stored: object) -> int:
    """Uploads three bytes to a platform that reports the size `stored`. Returns the number of requests."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, json={"success": True, "filename": "a.png", "size": stored})

    transport = httpx.MockTransport(answer)
    with Api("https://api.example", ApiKey("mk_1"), transport=transport, sleep=lambda _: None) as api:
        upload_static_file(api, "p", "a.png", b"\x00\xff\xfe")
    return len(requests)


@pytest.mark.parametrize("stored", [4, 2, 0])
def test_a_static_file_that_is_stored_with_another_size_has_failed(stored: int) -> None:
    """Such as base64 that the platform didn't decode."""
    with pytest.raises(
        TransfersFailed, match=f"3 bytes were sent, but the platform stored {stored}"
    ) as caught:
        upload_stored_as(stored)
    assert (caught.value.retryable, caught.value.mutation_state) == (False, "partial")


@pytest.mark.parametrize("stored", [3, "3", None])
def test_a_static_file_with_the_sent_size_or_none_is_uploaded(stored: object) -> None:
    assert upload_stored_as(stored) == 1
