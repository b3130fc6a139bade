"""Redirects of the manifest and of `_redirects`: the stub pages, and what is reported instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from mosaic_deploy.errors import ManifestInvalid
from mosaic_deploy.source.manifest.read import read_manifest
from mosaic_deploy.source.routes.redirects_file import parse_redirects
from mosaic_deploy.source.site.resolve import StorageAddresses
from mosaic_deploy.source.snapshot import Desired, read_desired, with_storage_addresses

PAGES = ("index.html", "about.html", "docs/index.html")


def read(root: Path, redirects: str = "", static: str = "", pages: tuple[str, ...] = PAGES) -> Desired:
    for page in pages:
        file = root / "public" / page
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"<h1>{page}</h1>")
    if redirects:
        (root / "public/_redirects").write_text(redirects)
    (root / "mosaic.yaml").write_text(f"version: 1\nstatic:\n  dir: public\n{static}")
    return read_desired(read_manifest(root, environ={}))


def warnings(desired: Desired) -> list[str]:
    return [note.message for note in desired.notes if note.code == "redirect_not_possible"]


@pytest.mark.parametrize(
    ("line", "page", "status"),
    [
        ("/old /about", "old/index.html", 301),
        ("/old/ /about", "old/index.html", 301),
        ("/old.html /about 302", "old.html", 302),
        ("/old.php\t/about   308  # since 2019", "old.php/index.html", 308),
        ("/a%20b /docs/?x=1#y 307", "a b/index.html", 307),
        ("/v1.2 https://example.com/a?b=c 303", "v1.2/index.html", 303),
        ("/old /about 301!", "old/index.html", 301),
    ],
)
def test_a_redirect_becomes_a_page(tmp_path: Path, line: str, page: str, status: int) -> None:
    desired = read(tmp_path, line)
    assert (warnings(desired), list(desired.generated)) == ([], [page])
    text = desired.generated[page].decode()
    assert ('rel="canonical"' in text, "noindex" in text) == (status in (301, 308), status not in (301, 308))
    assert "_redirects" not in desired.snapshot.static, "it is read and not published"
    [note] = [note.message for note in desired.notes if note.code == "redirect_pages"]
    assert note.startswith("1 redirect published as a page that sends the browser on (")
    assert note.endswith("): hosting has no redirects, so the status is 200")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("/blog/* /news/:splat 301", "/blog/*: wildcards and placeholders aren't possible"),
        ("/blog/:id /news/:id", "/blog/:id: wildcards and placeholders aren't possible"),
        ("/* /elsewhere 301", "/*: wildcards and placeholders aren't possible"),
        ("/api https://api.example.com/ 200", "/api: a proxy (200) isn't possible"),
        ("/app /about 200", "/app: a rewrite (200) isn't possible"),
        ("/gone /about 410", "/gone: the status 410 isn't possible"),
        ("/a /about Country=ch,de", "/a: depends on the request (Country=ch,de)"),
        ("/a id=:id /about", "/a: depends on the request (id=:id)"),
        ("/a?b=c /about", "/a?b=c: depends on the request's query"),
        ("http://a.example/* /about", "http://a.example/*: rules for other hosts aren't possible"),
        ("about /docs", "about: the path doesn't start with /"),
        ("/alone", "/alone: no path or URL that it leads to"),
        ("/alone 301", "/alone: no path or URL that it leads to"),
        ("/about /docs", "/about: about.html answers this path and stays; delete it to redirect"),
        ("/docs/ /about 301!", "/docs/: docs/index.html answers this path and stays; delete it to redirect"),
        ("/a/../b /about", "/a/../b: isn't a path"),
        ("/%2e%2e/b /about", "/%2e%2e/b: isn't a path"),
        ("/a//b /about", "/a//b: isn't a path"),
        ("/a%00b /about", "/a%00b: the name contains a backslash or control character"),
        ("/a /b\n/b /a", "/a: leads back to itself: /a → /b → /a"),
        ("/a /a/", "/a: leads back to itself: /a → /a"),
        ("/a /nowhere", "/a: no page answers /nowhere"),
        ("/* /nowhere 200", "/*: no page answers /nowhere"),
        (
            "/feed.xml /about",
            "/feed.xml: isn't the path of a page, and a page in its place would be wrong for the programs that read it",
        ),
        ("/a /about\n/a /docs", "/a: is redirected already (public/_redirects:1), and the first counts"),
    ],
)
def test_what_is_not_possible_is_said_with_its_line(tmp_path: Path, line: str, reason: str) -> None:
    number = line.count("\n") + 1 if "already" in reason else 1
    assert f"public/_redirects:{number} {reason}" in warnings(read(tmp_path, line))


@pytest.mark.parametrize(
    "text",
    [
        "# a comment\n\n   # another\n",
        "/about/ /about\n/docs /docs/\n",
        "/a /b\n/b /about\n",
        "/a /about\n/a /about\n",
        "/a /storage/file.pdf\n",
    ],
)
def test_what_hosting_does_itself_and_chains_are_fine(tmp_path: Path, text: str) -> None:
    assert warnings(read(tmp_path, text)) == []


def test_many_that_are_not_possible_are_counted(tmp_path: Path) -> None:
    found = warnings(read(tmp_path, "".join(f"/{n}/* /about\n" for n in range(30))))
    assert (len(found), found[-1]) == (21, "public/_redirects: 10 more redirects not possible")


def test_a_page_keeps_the_query_and_cannot_be_left_by_markup(tmp_path: Path) -> None:
    redirects = "/a/b /about\n/c /about?x=1\n/d /about#part\n/e https://example.com/</script>\"'&\n"
    pages = {name: text.decode() for name, text in read(tmp_path, redirects).generated.items()}
    script = {
        name: text.partition("location.replace(")[2].partition(")</script>")[0]
        for name, text in pages.items()
    }
    assert script == {
        "a/b/index.html": '"../../about"+location.search+location.hash',
        "c/index.html": '"../about?x=1"+location.hash',
        "d/index.html": '"../about"+location.search+"#part"',
        "e/index.html": '"https://example.com/\\u003c/script>\\"\'&"+location.search+location.hash',
    }
    assert 'content="0; url=https://example.com/&lt;/script&gt;&quot;&#x27;&amp;"' in pages["e/index.html"]


def test_a_redirect_to_a_file_in_storage_leads_there(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    (tmp_path / "public/a b.pdf").write_text("x")
    desired = read(tmp_path, "/a/paper /a%20b.pdf?v=1\n/b /about\n", "  unsupported: storage\n")
    assert b'href="../../storage/_static/a%20b.pdf?v=1"' in desired.generated["a/paper/index.html"]
    elsewhere = StorageAddresses("https://s3.example.com/p/", "https://p.mosaic.site", known=True)
    moved = with_storage_addresses(desired, elsewhere)
    assert b'href="https://s3.example.com/p/_static/a%20b.pdf?v=1"' in moved.generated["a/paper/index.html"]
    assert moved.generated["b/index.html"] == desired.generated["b/index.html"]
    objects = moved.snapshot.static
    assert objects is not None
    assert all(objects[name].size == len(text) for name, text in moved.generated.items())


def test_the_manifest_comes_first(tmp_path: Path) -> None:
    desired = read(tmp_path, "/old /docs\n", "  redirects: [{from: /old, to: /about}]\n")
    assert b"../about" in desired.generated["old/index.html"]
    assert [each.replace(f"{tmp_path}/", "") for each in warnings(desired)] == [
        "public/_redirects:1 /old: is redirected already (mosaic.yaml:4:22), and the first counts"
    ]


@pytest.mark.parametrize(
    ("redirects", "problem"),
    [
        ("[{from: /a, to: /none}]", "mosaic.yaml:4:30 static.redirects[0].to: no page answers /none"),
        (
            "[{from: /about, to: /docs}]",
            "mosaic.yaml:4:22 static.redirects[0].from: about.html answers this path and stays; delete it to redirect",
        ),
        (
            "[{from: /a, to: /docs}, {from: /a/, to: /about}]",
            "mosaic.yaml:4:45 static.redirects[1].from: is redirected already (mosaic.yaml:4:22), and the first counts",
        ),
        (
            "[{from: /a, to: /b}, {from: /b, to: /a}]",
            "mosaic.yaml:4:30 static.redirects[0].to: leads back to itself: /a → /b → /a",
        ),
        (
            "[{from: '/a/:id', to: /about}]",
            "mosaic.yaml:4:22 static.redirects[0].from: placeholders aren't possible, because hosting answers files only",
        ),
    ],
)
def test_mistakes_in_the_manifest_are_errors(tmp_path: Path, redirects: str, problem: str) -> None:
    with pytest.raises(ManifestInvalid) as raised:
        read(tmp_path, "", f"  redirects: {redirects}\n")
    assert problem in [str(each).replace(f"{tmp_path}/", "") for each in raised.value.problems]


def test_a_long_file_is_read_quickly_and_a_long_line_is_no_rule() -> None:
    found = parse_redirects("".join(f"/{n} /{n + 1}\n" for n in range(10_000)) + "/x " + "y" * 10_000, "f")
    assert (len(found.redirects), len(found.problems)) == (10_000, 1)
