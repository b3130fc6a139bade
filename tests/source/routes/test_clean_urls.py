"""`static.clean_urls`: pages that are published a second time, one folder deeper, and what their references become."""

from __future__ import annotations

import hashlib
import posixpath
from pathlib import Path

import pytest

from mosaic_deploy.errors import SourceRefused
from mosaic_deploy.source.files.local_file import read_unchanged
from mosaic_deploy.source.incremental import index_files, reread_files
from mosaic_deploy.source.manifest.read import read_manifest
from mosaic_deploy.source.snapshot import Desired, read_desired

OTHERS = {
    "index.html": "",
    "s.css": "",
    "i.png": "",
    "data.json": "{}",
    "m.js": "",
    "blog/own.png": "",
    "f.woff2": "f",
}


def read(root: Path, files: dict[str, str], static: str = "") -> Desired:
    for name, content in files.items():
        file = root / "public" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    text = f"version: 1\nstatic:\n  dir: public\n  clean_urls: true\n{static}"
    (root / "mosaic.yaml").write_text(text)
    return read_desired(read_manifest(root, environ={}))


def notes(desired: Desired) -> list[str]:
    return [f"{note.code}: {note.message}" for note in (*desired.notes, *desired.site.notes())]


REWRITTEN = [
    ('<link href="s.css" rel="stylesheet">', '<link href="../s.css" rel="stylesheet">'),
    ("<img src=i.png srcset='i.png 1x, ./i.png?v 2x'>", "<img src=../i.png srcset='../i.png 1x, ../i.png?v 2x'>"),
    ('<a href="./">', '<a href="../">'),
    ('<a href=".">', '<a href="../">'),
    ('<a href="about.html#x">', '<a href="../about.html#x">'),
    ('<a href="../x y.html">', '<a href="../../x y.html">'),
    ('<a href="/s.css"><a href="#x"><a href="?q"><a href=""><a href="mailto:a@b.c"><a href="//e.com/a">', None),
    ('<link rel="canonical" href="about">', '<link rel="canonical" href="../about">'),
    ('<form action="search"><button formaction="a/b">', '<form action="../search"><button formaction="../a/b">'),
    ('<meta http-equiv="Refresh" content="3; URL=\'index.html\'">', '<meta http-equiv="Refresh" content="3; URL=\'../index.html\'">'),
    ('<meta name="viewport" content="width=device-width"><p data-page="about" data-x="s.csv">', None),
    ('<html data-content_root="./"><img data-src="i.png">', '<html data-content_root="../"><img data-src="../i.png">'),
    ('<style>a{b:url(i.png)}</style><p style="b:url(i.png)">', '<style>a{b:url(../i.png)}</style><p style="b:url(../i.png)">'),
    ('<script type="importmap">{"imports": {"m": "./m.js"}}</script>', '<script type="importmap">{"imports": {"m": "../m.js"}}</script>'),
    ('<script>import("./m.js"); fetch("data.json"); f("missing.json")</script>', '<script>import("../m.js"); fetch("../data.json"); f("missing.json")</script>'),
    ('<script>x = new URL(".", location).pathname.slice(0, -1)</script>', '<script>x = new URL("../", location).pathname.slice(0, -1)</script>'),
    ('<script>x = new URL("..", window.location.href)</script>', '<script>x = new URL("../..", window.location.href)</script>'),
    ('<base href="/"><a href="s.css">', None),
    ('<base href="./"><a href="s.css"><script>new URL("./", location)</script>', '<base href="../"><a href="s.css"><script>new URL("../", location)</script>'),
]  # fmt: skip


@pytest.mark.parametrize(("page", "copy"), REWRITTEN)
def test_the_copy_of_a_page_refers_to_the_same(tmp_path: Path, page: str, copy: str | None) -> None:
    static = "  exclude: ['*.woff2']\n"
    desired = read(tmp_path, {**OTHERS, "about.html": page}, static)
    assert read_unchanged(desired.static["about.html"]).decode() == page
    assert read_unchanged(desired.static["about/index.html"]).decode() == (copy or page)


def test_pages_in_folders_and_files_in_storage(tmp_path: Path) -> None:
    page = '<img src="own.png"><a href="../s.css"><link href=../f.woff2><script>f("/f.woff2", "own.png", "data.json")</script>'
    desired = read(tmp_path, {**OTHERS, "blog/post.html": page}, "  unsupported: storage\n")
    assert read_unchanged(desired.static["blog/post/index.html"]).decode() == (
        '<img src="../own.png"><a href="../../s.css"><link href=../../storage/_static/f.woff2>'
        '<script>f("/storage/_static/f.woff2", "../own.png", "data.json")</script>'
    )


@pytest.mark.parametrize("page", ["<a href=s.css>", "<link href=f.woff2>"])
def test_a_list_of_digests_is_about_the_page_and_not_its_copy(tmp_path: Path, page: str) -> None:
    worker = f'["{hashlib.md5(page.encode()).hexdigest()}"]'
    desired = read(tmp_path, {**OTHERS, "about.html": page, "sw.js": worker}, "  unsupported: storage\n")
    deployed = read_unchanged(desired.static["about.html"])
    assert read_unchanged(desired.static["sw.js"]).decode() == f'["{hashlib.md5(deployed).hexdigest()}"]'
    assert read_unchanged(desired.static["about/index.html"]) != deployed


def test_special_pages_have_no_copy_and_the_plan_names_the_others(tmp_path: Path) -> None:
    names = ("index.html", "shell.html", "a/index.html", "de/404.html", "b.html")
    desired = read(tmp_path, dict.fromkeys(names, "x"), "  fallback: shell.html\n")
    assert set(desired.static) == {*names, "404.html", "b/index.html"}
    [note] = [each for each in notes(desired) if each.startswith("clean_urls")]
    assert note == "clean_urls: 1 page also published as the first page of a folder (b.html → b/index.html)"


def test_links_to_clean_addresses_are_answered_and_broken_ones_reported_once(tmp_path: Path) -> None:
    desired = read(
        tmp_path, {"index.html": '<a href="/about/"><a href="about">', "about.html": "\n<a href=gone.png>"}
    )
    broken = [each for each in notes(desired) if each.startswith("link_broken")]
    assert broken == ["link_broken: public/about.html:2:9: no file answers gone.png"]


def test_a_page_beside_a_folder_with_a_page_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceRefused) as refused:
        read(
            tmp_path,
            {"about.html": "", "about/index.html": "", "b.html": "", "c/d.html": "", "c/d/index.html": ""},
        )
    assert [str(each) for each in refused.value.problems] == [
        "public/about.html: public/about/index.html answers /about/ already",
        "public/c/d.html: public/c/d/index.html answers /c/d/ already",
    ]


def test_an_edit_of_a_page_is_one_of_its_copy_and_redirects_yield_to_it(tmp_path: Path) -> None:
    redirects = {"_redirects": "/about/ /other\n/other /about/\n"}
    desired = read(tmp_path, {"about.html": "old", "i.png": "", **redirects})
    [impossible] = [each for each in notes(desired) if each.startswith("redirect_not_possible")]
    assert "about/index.html answers this path and stays" in impossible
    (tmp_path / "public/about.html").write_text("<img src=i.png>")
    again = reread_files(desired, index_files(desired), ["public/about.html"])
    assert again is not None
    assert read_unchanged(again.static["about/index.html"]) == b"<img src=../i.png>"
    fresh = read_desired(desired.manifest)
    assert again.snapshot.static == fresh.snapshot.static
    assert posixpath.basename(again.static["about/index.html"].relative_path) == "about.html"
