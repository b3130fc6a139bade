"""Storage files can't act as pages of the site: visitors may have uploaded them."""

from __future__ import annotations

import re

import pytest
from browser import Page, find_chromium, opened_browser

from mosaic_deploy.platform.http import content_types
from mosaic_deploy.platform.http.content_types import sandbox_headers
from mosaic_deploy.platform.projects.names import STATIC_CONTENT_TYPES

SCRIPT = "try { document.cookie = 'stolen=1; path=/' } catch {} try { localStorage.stolen = 1 } catch {} document.title = 'ran'"
HTML = f'<!doctype html><title>quiet</title><p>shown<script>{SCRIPT}</script><img src=x onerror="{SCRIPT}">'
XHTML = f'<html xmlns="http://www.w3.org/1999/xhtml"><head><title>q</title><script>{SCRIPT}</script></head><body/></html>'
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20"><style>rect { fill: red }</style>'
    f'<rect width="20" height="20"/><script>{SCRIPT}</script></svg>'
)
ACTIVE = {
    "a.html": HTML, "a.HTM": HTML, "a.xhtml": XHTML, "a.xml": XHTML, "a.rss": XHTML, "a.atom": XHTML,
}  # fmt: skip
INERT = re.compile(
    r"(audio|font|video)/.*|image/(?!svg).*|application/(pdf|json|manifest\+json|wasm)"
    r"|text/(css|javascript|plain|vtt)"
)
KNOWN_TYPES = sorted({*content_types._TYPES.values(), *STATIC_CONTENT_TYPES.values(), content_types.UNKNOWN})


@pytest.mark.parametrize("content_type", KNOWN_TYPES)
def test_every_type_but_inert_ones_is_sandboxed(content_type: str) -> None:
    headers = sandbox_headers(content_type)
    kind = content_type.partition(";")[0]
    if INERT.fullmatch(kind):
        assert headers == {}
        return
    policy = headers["Content-Security-Policy"].split("; ")
    assert {"sandbox", "default-src 'none'"} <= set(policy)
    is_document = kind in ("text/html", "application/xml") or (kind.endswith("+xml") and "svg" not in kind)
    assert headers.get("Content-Disposition") == ("attachment" if is_document else None)


@pytest.mark.parametrize(
    "content_type", ["TEXT/HTML", " text/html ;charset=x", "image/svg+xml", "text/xml", "x/y"]
)
def test_no_spelling_of_a_type_escapes(content_type: str) -> None:
    assert "sandbox" in sandbox_headers(content_type)["Content-Security-Policy"]


@pytest.fixture
def uploaded(api, project) -> str:
    project_id: str = project("Uploaded")
    for name, content in {**ACTIVE, "a.svg": SVG, "a.png": "png", "a.pdf": "%PDF", "a.bin": "x"}.items():
        assert api.upload(project_id, name, content.encode()).status_code == 200
    return project_id


def test_the_headers_as_sent(api, uploaded) -> None:
    for name, content in ACTIVE.items():
        for method, headers in (
            ("GET", {}),
            ("HEAD", {}),
            ("GET", {"Range": "bytes=0-3"}),
            ("GET", {"Range": "bytes=0-1,4-5"}),
        ):
            sent = api.site(uploaded, f"/storage/{name}", method, headers=headers)
            assert sent.status_code == (206 if headers else 200)
            assert sent.headers["Content-Disposition"] == "attachment", name
            assert "sandbox" in sent.headers["Content-Security-Policy"], name
            assert sent.headers["X-Content-Type-Options"] == "nosniff"
        assert api.site(uploaded, f"/storage/{name}").text == content
        known = api.site(uploaded, f"/storage/{name}").headers["ETag"]
        unchanged = api.site(uploaded, f"/storage/{name}", headers={"If-None-Match": known})
        assert (unchanged.status_code, unchanged.headers["Content-Disposition"]) == (304, "attachment")
    vector = api.site(uploaded, "/storage/a.svg")
    assert "sandbox" in vector.headers["Content-Security-Policy"]
    assert "Content-Disposition" not in vector.headers
    for name in ("a.png", "a.pdf"):
        plain = api.site(uploaded, f"/storage/{name}")
        assert "Content-Security-Policy" not in plain.headers
        assert plain.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in api.site(uploaded, "/storage/a.bin").headers["Content-Security-Policy"]


def test_encoded_paths_and_the_other_address_have_them_too(api, uploaded) -> None:
    for path in ("/storage%2Fa.html", "/%73torage/a.html", "/storage/%61.html"):
        sent = api.site(uploaded, path)
        assert (sent.status_code, sent.headers["Content-Disposition"]) == (200, "attachment"), path
    below = api.plain.get(f"{api.root}/sites/{uploaded}/storage/a.html")
    assert "allow-scripts" not in below.headers["Content-Security-Policy"]
    assert below.headers["Content-Disposition"] == "attachment"
    assert (
        "allow-scripts"
        in api.plain.get(f"{api.root}/sites/{uploaded}/storage/a.png").headers["Content-Security-Policy"]
    )


def test_the_sites_own_pages_are_not_sandboxed(api, uploaded) -> None:
    api.put_file(uploaded, "index.html", "<!doctype html>")
    api.put_file(uploaded, "404.html", "<!doctype html>none")
    for path in ("/", "/missing", "/storage/missing.html"):
        sent = api.site(uploaded, path)
        assert "Content-Security-Policy" not in sent.headers
        assert "Content-Disposition" not in sent.headers


def test_live_reload_leaves_storage_alone(api, uploaded) -> None:
    api.plain.post(
        f"{api.root}/dev/{uploaded}",
        json={"type": "heartbeat"},
        headers={"X-API-Key": api.headers["X-API-Key"]},
    ).raise_for_status()
    shown = api.site(uploaded, "/storage/a.html", headers={"Accept": "text/html"})
    assert (shown.text, shown.headers["Content-Disposition"]) == (HTML, "attachment")


@pytest.fixture
def page() -> Page:
    with opened_browser() as opened:
        yield opened


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium: apt-get install chromium")
def test_in_a_browser_no_script_runs_and_images_show(api, uploaded, page) -> None:
    port = api.root.rpartition(":")[2]
    site = f"http://{uploaded}.localhost:{port}"
    frames = "".join(f'<iframe src="/storage/{name}"></iframe>' for name in [*ACTIVE, "a.svg"])
    api.put_file(
        uploaded,
        "index.html",
        f'<!doctype html><title>site</title><img src="/storage/a.svg">{frames}<object data="/storage/a.svg"></object>'
        '<embed src="/storage/a.svg">',
    )
    page.go(f"{site}/")
    page.wait_for("document.readyState === 'complete'")
    assert page.value("document.querySelector('img').naturalWidth") == 20
    assert page.value("document.cookie + JSON.stringify(localStorage)") == "{}"
    page.go(f"{site}/storage/a.svg")
    assert page.value("document.documentElement.tagName") == "svg"
    page.go(f"{site}/")
    assert page.value("document.cookie + JSON.stringify(localStorage)") == "{}"
