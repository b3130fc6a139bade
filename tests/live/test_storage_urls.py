"""The public URLs of storage files, also of those that aren't uploaded yet."""

from __future__ import annotations

import pytest

from mosaic_deploy.live.storage_urls import find_storage_urls, storage_paths

SITE = "http://pod-1.localhost:8787"
HOSTED = "https://s3.example/pod-1/"


@pytest.mark.parametrize(
    ("listed", "site", "embedded", "expected"),
    [
        ({}, SITE, True, f"{SITE}/storage/n%20%C3%A9/%23.png"),
        (None, "", True, "/storage/n%20%C3%A9/%23.png"),
        # A hosted platform says where its files are, or nobody knows.
        ({}, "https://pod-1.example", False, ""),
        ({"a b/c.png": (1, f"{HOSTED}a%20b/c.png")}, "", False, f"{HOSTED}n%20%C3%A9/%23.png"),
        ({"a": (1, f"{HOSTED}a"), "b": (1, f"{HOSTED}x/b")}, "", False, ""),
        ({"a": (1, f"{HOSTED}a?signature=1")}, "", False, ""),
        ({"a": (1, "")}, "", False, ""),
    ],
)
def test_url_of_a_file_that_is_not_there(listed, site, embedded, expected) -> None:
    assert find_storage_urls(listed, site, embedded=embedded).of("n é/#.png") == expected


def test_listed_urls_are_used_as_they_are() -> None:
    listed = {"a": (1, f"{HOSTED}a?signature=1"), "b": (None, "")}
    urls = find_storage_urls(listed, "", embedded=False)
    assert urls.known(["a", "b", "c"]) == {"a": f"{HOSTED}a?signature=1"}


def test_paths_without_a_connection() -> None:
    assert storage_paths(["a b.png"]) == {"a b.png": "/storage/a%20b.png"}
