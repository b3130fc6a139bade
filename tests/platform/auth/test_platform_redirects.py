"""Redirects of magic links never leave the project's site."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_deploy.platform.auth.redirects import build_magic_link, checked_redirect
from mosaic_deploy.platform.faults import Fault

SITE = "http://pod-16f.localhost:8787"

ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/%2f%2fevil.example",
    "/%2Fevil.example",
    "/%5cevil.example",
    "/%255cevil.example",
    "/%25252f%2525252fevil.example",
    "/%09/evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/x%0d%0aLocation:%20//evil.example",
    "/%00/x",
    "/\uff0f\uff0fevil.example",
    "/%ef%bc%8fevil.example",
    "/\uff3cevil.example",
    "/..//evil.example",
    "/a/../b",
    "/a/%2e%2e/b",
    "/\uff0e\uff0e/b",
    "/\u2024\u2024/b",
    "/%c0%ae%c0%ae/b",
    "@evil.example",
    ".evil.example",
    ":80@evil.example",
    "?next=x",
    "#x",
    "https://evil.example",
    "https:evil.example",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,x",
    "dashboard",
    "",
    " /x",
    "/x y",
    "/" + "x" * 2000,
]


@pytest.mark.parametrize("redirect", ELSEWHERE)
def test_redirects_off_the_site_are_refused(redirect) -> None:
    with pytest.raises(Fault) as refused:
        checked_redirect(redirect, SITE, {})
    assert refused.value.code == "redirect_invalid"


@pytest.mark.parametrize(
    ("redirect", "link"),
    [
        ("/", "/?token=T&email=a%2Bb%40c.example"),
        ("/dashboard?tab=1#top", "/dashboard?tab=1&token=T&email=a%2Bb%40c.example#top"),
        ("/@ada", "/@ada?token=T&email=a%2Bb%40c.example"),
        ("/x?next=//other.example/", "/x?next=//other.example/&token=T&email=a%2Bb%40c.example"),
        ("/caf\u00e9/100%25", "/caf%C3%A9/100%25?token=T&email=a%2Bb%40c.example"),
        # The page reads our parameters, not the redirect's.
        ("/x?token=evil&to%6Ben=evil&email=e&a=1", "/x?a=1&token=T&email=a%2Bb%40c.example"),
    ],
)
def test_redirects_on_the_site_are_kept(redirect, link) -> None:
    assert build_magic_link(SITE, checked_redirect(redirect, SITE, {}), "T", "a+b@c.example") == SITE + link


@given(st.text(alphabet=st.sampled_from("/\\.@:%25fF0#?&=a\t\n \uff0f\u2024"), max_size=12).map("/".__add__))
def test_no_text_leads_off_the_site(redirect) -> None:
    try:
        path = checked_redirect(redirect, SITE, {})
    except Fault:
        return
    link = build_magic_link(SITE, path, "T", "a@b.example")
    parts = urlsplit(link)
    assert (parts.scheme, parts.netloc) == ("http", "pod-16f.localhost:8787")
    assert link.isascii()
    assert "//" not in parts.path
    assert parse_qs(parts.query)["token"] == ["T"]


@given(st.text(min_size=1, max_size=20))
def test_encoding_again_bypasses_nothing(text) -> None:
    """A redirect refused as written is refused percent-encoded, too."""
    for written in ("/" + text, "/" + quote(text, safe=""), "/" + quote(quote(text, safe=""), safe="")):
        if "//" in "/" + text or "\\" in text:
            with pytest.raises(Fault):
                checked_redirect(written, SITE, {})
