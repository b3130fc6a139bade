"""What an address means in a file, and the address of a file in storage."""

from __future__ import annotations

import posixpath
from urllib.parse import quote, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_deploy.source.site.resolve import (
    is_answered,
    relative_address,
    resolve,
)


@pytest.mark.parametrize(
    ("folder", "base", "url", "path", "rest"),
    [
        ("", "", "a.png", "a.png", ""),
        ("d/", "", " ./a.png ", "d/a.png", ""),
        ("d/e/", "", "../a%20b.png?v=1#x", "d/a b.png", "?v=1#x"),
        ("d/", "", "/a.eot?#iefix", "a.eot", "?#iefix"),
        ("d/", "", "../../../a", "a", ""),
        ("d/", "", ".", "d/", ""),
        ("d/", "", "./", "d/", ""),
        ("d/", "", "/", "", ""),
        ("d/", "", "e//f", "d/e/f", ""),
        ("d/", "", "e\\f", "d/e/f", ""),
        ("d/", "/app/", "a", "app/a", ""),
        ("d/", "../x/y.html", "a", "x/a", ""),
        ("d/", "https://cdn.example.com/", "a", None, ""),
        ("d/", "?q", "a", "d/a", ""),
        ("", "", "caf%C3%A9.png", "café.png", ""),
        ("", "", "100%.png", "100%.png", ""),
        ("", "", "https://example.com/a", None, ""),
        ("", "", "//example.com/a", None, ""),
        ("", "", "data:image/png;base64,AA", None, ""),
        ("", "", "mailto:a@example.com", None, ""),
        ("", "", "#top", None, ""),
        ("", "", "?q=1", None, ""),
        ("", "", "", None, ""),
        ("", "", "{{ url }}", None, ""),
    ],
)
def test_what_an_address_means(folder: str, base: str, url: str, path: str | None, rest: str) -> None:
    target = resolve(folder, base, url)
    assert (target and (target.path, target.rest)) == (None if path is None else (path, rest))


_SEGMENTS = st.lists(st.sampled_from(["a", "b c", "é", "..", ".", "x.y"]), min_size=1, max_size=5)


@given(st.lists(st.sampled_from(["a", "b"]), max_size=3), _SEGMENTS, st.booleans())
def test_addresses_mean_what_browsers_take_them_for(
    folders: list[str], segments: list[str], rooted: bool
) -> None:
    folder = "".join(f"{each}/" for each in folders)
    url = "/" * rooted + "/".join(quote(each) for each in segments)
    target = resolve(folder, "", url)
    joined = urlsplit(urljoin(f"http://site/{folder}page.html", url)).path
    expected = posixpath.normpath(joined) + "/" * joined.endswith(("/", "/.", "/.."))
    assert target is not None
    assert "/" + quote(target.path) == expected.replace("//", "/")


@given(
    st.lists(st.sampled_from(["a", "b"]), max_size=3),
    st.lists(st.sampled_from(["a", "b", "c.x"]), min_size=1, max_size=4),
)
def test_a_relative_address_leads_back(folders: list[str], parts: list[str]) -> None:
    folder = "".join(f"{each}/" for each in folders)
    address = "/" + "/".join(parts)
    assert urlsplit(urljoin(f"http://site/{folder}page", relative_address(folder, address))).path == address


@pytest.mark.parametrize(("path", "answered"), [("", True), ("a", True), ("a.html", True), ("d", True), ("d/", True), ("a/", False), ("b", False)])  # fmt: skip
def test_what_hosting_answers(path: str, answered: bool) -> None:
    assert is_answered(path, {"index.html", "a.html", "d/index.html"}) is answered
