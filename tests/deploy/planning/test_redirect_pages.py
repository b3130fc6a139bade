"""A redirect of a magic link is accepted exactly if hosting serves its page."""

from __future__ import annotations

import httpx
import pytest

from mosaic_deploy.errors import ManifestInvalid
from mosaic_deploy.live.api.transport import loopback_target
from mosaic_deploy.model.manifest import is_served

PAGES = (
    "index.html",
    "signed-in.html",
    "in/index.html",
    "in/deep.html",
    "both.html",
    "both/index.html",
    "a b é.html",
)
PATHS = [
    *("/", "/index.html", "/index", "/signed-in", "/signed-in/", "/signed-in.html", "/signed-in.html/"),
    *("/in", "/in/", "/in/index", "/in/index.html", "/in/deep", "/in/deep/", "/in/index.html/", "/in.html"),
    *(
        "/both",
        "/both/",
        "/a%20b%20%C3%A9",
        "/a%20b%20é.html",
        "/SIGNED-IN",
        "/none",
        "/signed",
        "/%73igned-in",
    ),
]


@pytest.fixture
def served(site):
    for page in PAGES:
        site.write(f"www/{page}", page)
    site.manifest(static={"dir": "www"})
    site.apply()
    return site


def answers(url: str) -> bool:
    for _ in range(3):
        target, headers = loopback_target(url)
        response = httpx.get(target, headers=headers)
        if not response.is_redirect:
            return response.status_code == 200
        url = url.split("/", 3)[0] + "//" + url.split("/")[2] + response.headers["location"]
    return False


def test_what_is_accepted_is_what_hosting_serves(served) -> None:
    address = served.plan().plan.project.url
    found = {path: answers(address + path) for path in PATHS}
    assert {path: is_served(path, PAGES) for path in PATHS} == found
    assert 5 < sum(found.values()) < len(PATHS)


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        (
            "/signed-in/",
            "write it without the slash: /signed-in. Otherwise add the page to www, or correct the path",
        ),
        ("/signed-inn", "did you mean /signed-in? Otherwise add the page to www, or correct the path"),
        ("/nothing/", "add the page to www, or correct the path"),
    ],
)
def test_a_missing_page_is_refused_with_the_fix(site, path: str, hint: str) -> None:
    site.write("www/signed-in.html", "x")
    site.manifest(
        static={"dir": "www"},
        auth={"magic_link": {"redirect_url": "/signed-in", "allowed_redirect_urls": [path]}},
        verify={"magic_link": {"redirect_url": path}},
    )
    with pytest.raises(ManifestInvalid) as caught:
        site.plan()
    fields = [problem.field for problem in caught.value.problems]
    assert fields == ["verify.magic_link.redirect_url", "auth.magic_link.allowed_redirect_urls[0]"]
    assert {problem.hint for problem in caught.value.problems} == {hint}
