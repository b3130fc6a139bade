"""Finds what refers to a static file whose address must change."""

from __future__ import annotations

from pathlib import Path

import pytest

from mosaic_deploy.source.files.folder import read_files
from mosaic_deploy.source.files.gitignore import FileSelection
from mosaic_deploy.source.files.references import find_references, moving_hint


def static(root: Path, files: dict[str, str]):
    for name, text in files.items():
        path = root / "public" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return read_files(root, FileSelection("public")).found


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("css/s.css", "@font-face {\n  src: url(f.woff2) format('woff2')", "public/css/s.css:2:12"),
        ("css/s.css", 'src:url("f.woff2?v=2#x")', "public/css/s.css:1:10"),
        ("index.html", "<link rel=preload href=css/f.woff2>", "public/index.html:1:24"),
        ("a/b.html", "<link href='../css/f.woff2'>", "public/a/b.html:1:13"),
        ("a/b.html", '<img srcset="/css/f.woff2 1x,/x.png 2x">', "public/a/b.html:1:14"),
        ("js/a.js", "load(`../css/f.woff2`)", "public/js/a.js:1:7"),
        ("js/a.js", "load(base + 'f.woff2')", "public/js/a.js:1:14"),
        ("fonts.json", '{"file": "\\/css\\/f.woff2"}', "public/fonts.json:1:11"),
    ],
)
def test_plain_addresses_are_found(tmp_path: Path, name: str, text: str, place: str) -> None:
    found = static(tmp_path, {"css/f.woff2": "", name: text})
    assert [str(each) for each in find_references(found, ["css/f.woff2"])["css/f.woff2"]] == [place]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("index.html", "<link href=f.woff2>"),
        ("index.html", "<link href=https://cdn.example.com/css/f.woff2>"),
        ("index.html", "<link href=//cdn/css/f.woff2>"),
        ("css/s.css", "url(xf.woff2) url(f.woff2x) url(../f.woff2)"),
        ("js/a.js", "load('other/f.woff2')"),
        ("a.txt", "css/f.woff2"),
    ],
)
def test_other_addresses_are_not(tmp_path: Path, name: str, text: str) -> None:
    found = static(tmp_path, {"css/f.woff2": "", name: text})
    assert find_references(found, ["css/f.woff2"]) == {}
    assert moving_hint(found, "css/f.woff2", "").endswith("its address changes, so correct what refers to it")


def test_names_with_spaces_and_signs(tmp_path: Path) -> None:
    page = '<a href="my%20file%20(1).pdf">1</a> <a href="my file (1).pdf">2</a> <a href="a&amp;b.pdf">3</a>'
    found = static(tmp_path, {"my file (1).pdf": "", "a&b.pdf": "", "index.html": page})
    places = find_references(found, ["my file (1).pdf", "a&b.pdf"])
    assert {name: [each.column for each in found] for name, found in places.items()} == {
        "my file (1).pdf": [10, 46],
        "a&b.pdf": [78],
    }
