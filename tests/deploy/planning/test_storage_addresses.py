"""Where a site's files in storage are, by what the platform lists."""

from __future__ import annotations

import pytest

from mosaic_deploy.deploy.planning.read_target import site_storage_addresses
from mosaic_deploy.source.site.resolve import StorageAddresses

SITE = "http://x.localhost:8787"


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ({}, StorageAddresses(site=SITE)),
        ({"a b.png": f"{SITE}/storage/a%20b.png"}, StorageAddresses("/storage/", SITE, known=True)),
        (
            {"a/b": "https://s3.example.com/p/a/b"},
            StorageAddresses("https://s3.example.com/p/", SITE, known=True),
        ),
        ({"a": "https://s3.example.com/a?X-Amz-Signature=1"}, None),
        ({"a": "https://s3.example.com/7f3e"}, None),
        ({"a": ""}, None),
    ],
)
def test_where_storage_files_are(listed: dict[str, str], expected: StorageAddresses | None) -> None:
    assert site_storage_addresses({name: (1, url) for name, url in listed.items()}, SITE) == expected


def test_addresses_of_their_own_are_kept() -> None:
    listed = {"a": f"{SITE}/s/a", "b": f"{SITE}/s/b", "_static/c": f"{SITE}/other", "d": f"{SITE}/d"}
    found = site_storage_addresses(
        {name: (1, url) for name, url in {**listed, "e": f"{SITE}/s/e"}.items()}, SITE
    )
    assert found is not None
    assert found.listed == (("_static/c", "/other"),)
    assert [found.address(name) for name in ("a", "_static/c", "_static/d é?")] == [
        "/s/a",
        "/other",
        "/s/_static/d%20%C3%A9%3F",
    ]
