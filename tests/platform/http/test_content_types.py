"""Content types of storage files."""

import pytest

from mosaic_deploy.platform.projects.names import STATIC_CONTENT_TYPES, storage_content_type

EXPECTED = {
    "a.mjs": "text/javascript; charset=utf-8",
    "a.js": "text/javascript; charset=utf-8",
    "a.js.map": "application/json; charset=utf-8",
    "site.webmanifest": "application/manifest+json; charset=utf-8",
    "a.wasm": "application/wasm",
    "a.woff": "font/woff",
    "a.WOFF2": "font/woff2",
    "a.ttf": "font/ttf",
    "a.otf": "font/otf",
    "a.avif": "image/avif",
    "a.mp4": "video/mp4",
    "a.webm": "video/webm",
    "a.mp3": "audio/mpeg",
    "a.pdf": "application/pdf",
    "a.xml": "application/xml; charset=utf-8",
    "a.md": "text/markdown; charset=utf-8",
    "a.csv": "text/csv; charset=utf-8",
    "a.zip": "application/zip",
    "a.gz": "application/gzip",
    "a.tar.gz": "application/gzip",
    "a.svg": "image/svg+xml; charset=utf-8",
    "LICENSE": "application/octet-stream",
    "a.unheard-of": "application/octet-stream",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_types(name: str) -> None:
    assert storage_content_type(name) == EXPECTED[name]


def test_storage_and_static_hosting_use_the_same_types() -> None:
    assert {
        suffix: storage_content_type(f"a{suffix}") for suffix in STATIC_CONTENT_TYPES
    } == STATIC_CONTENT_TYPES
