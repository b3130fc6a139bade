"""The page for unknown paths, headers, and which dotfiles are published."""

from __future__ import annotations

from pathlib import Path

import pytest

from mosaic_deploy.errors import ManifestInvalid
from mosaic_deploy.source.incremental import index_files, reread_files
from mosaic_deploy.source.manifest.read import read_manifest
from mosaic_deploy.source.snapshot import Desired, read_desired

APP = '<!doctype html><script type="module" src="/assets/app.js"></script>'


def read(root: Path, files: dict[str, str], static: str = "") -> Desired:
    for name, content in files.items():
        file = root / "public" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (root / "mosaic.yaml").write_text(f"version: 1\nstatic:\n  dir: public\n{static}")
    return read_desired(read_manifest(root, environ={}))


def notes(desired: Desired, code: str) -> list[tuple[str, str]]:
    return [(str(note.severity), note.message) for note in desired.notes if note.code == code]


@pytest.mark.parametrize(
    ("redirects", "static"),
    [
        ("", "  fallback: index.html\n"),
        ("/* /index.html 200\n", ""),
        ("/*  /  200!\n", ""),
        ("/* /index.html 404\n/* /other 200", ""),
    ],
)
def test_the_fallback_is_also_404_html_and_its_status_is_said(
    tmp_path: Path, redirects: str, static: str
) -> None:
    files = {"index.html": APP, **({"_redirects": redirects} if redirects else {})}
    desired = read(tmp_path, files, static)
    objects = desired.snapshot.static
    assert objects is not None
    assert sorted(objects) == ["404.html", "index.html"]
    assert objects["404.html"].sha256 == objects["index.html"].sha256
    [(severity, message)] = notes(desired, "fallback_page")
    assert (severity, "the status 404" in message) == ("info", True)
    assert notes(desired, "fallback_relative") == notes(desired, "redirect_not_possible") == []


def test_an_edit_of_the_fallback_is_one_of_404_html_and_route_files_are_read_again(tmp_path: Path) -> None:
    desired = read(tmp_path, {"index.html": APP, "_redirects": "/a /\n"}, "  fallback: index.html\n")
    index = index_files(desired)
    (tmp_path / "public/index.html").write_text("edited")
    again = reread_files(desired, index, ["public/index.html"])
    assert again is not None
    assert again.static["404.html"].object.size == again.static["index.html"].object.size == len("edited")
    (tmp_path / "public/_redirects").unlink()
    assert reread_files(desired, index, ["public/_redirects"]) is None


@pytest.mark.parametrize(
    ("files", "static", "problem"),
    [
        (
            {"a.html": ""},
            "  fallback: index.html\n",
            "mosaic.yaml:4:13 static.fallback: public has no file index.html",
        ),
        (
            {"index.html": APP, "404.html": "other"},
            "  fallback: index.html\n",
            "mosaic.yaml:4:13 static.fallback: public/404.html answers unknown paths already, so index.html can't; "
            "delete one of the two",
        ),
    ],
)
def test_a_fallback_that_is_not_possible(
    tmp_path: Path, files: dict[str, str], static: str, problem: str
) -> None:
    with pytest.raises(ManifestInvalid) as raised:
        read(tmp_path, files, static)
    assert [str(each).replace(f"{tmp_path}/", "") for each in raised.value.problems] == [problem]


@pytest.mark.parametrize("page", ["404.html", "index.html"])
def test_a_folder_that_has_404_html_needs_no_copy(tmp_path: Path, page: str) -> None:
    desired = read(tmp_path, {"index.html": APP, "404.html": APP}, f"  fallback: {page}\n")
    assert sorted(desired.static) == ["404.html", "index.html"]
    assert notes(desired, "fallback_page") == []


@pytest.mark.parametrize(
    ("page", "place"),
    [
        ('<script src="assets/a.js"></script>', "public/index.html:1:14 src"),
        ('<p>\n<link rel=stylesheet href="./a.css">', "public/index.html:2:28 href"),
        ('<base href="/"><script src="assets/a.js"></script>', ""),
        ('<script src="/a.js"></script><img src="data:,"><a href="b">', ""),
        ('<script src="https://example.com/a.js"></script><img src="">', ""),
    ],
)
def test_relative_addresses_of_a_fallback_are_found(tmp_path: Path, page: str, place: str) -> None:
    found = notes(read(tmp_path, {"index.html": page}, "  fallback: index.html\n"), "fallback_relative")
    assert [message.partition("=")[0] for _, message in found] == ([place] if place else [])


@pytest.mark.parametrize(
    ("text", "severity", "listed"),
    [
        ("/*\n  Cache-Control: public\n", "info", "public/_headers:1 /*: Cache-Control"),
        (
            "# c\n/a\n  x-frame-options: DENY\n  Basic-Auth: me:hunter2\n\n/b\n  # c\n",
            "warning",
            "public/_headers:2 /a: x-frame-options, Basic-Auth",
        ),
        (
            "/a\n  Age: 1\n/b\n  Age: 1\n/c\n  Age: 1\n/d\n  Age: 1\n/e\n  X-Frame-Options: 1\n",
            "warning",
            "public/_headers:9 /e: X-Frame-Options; public/_headers:1 /a: Age; public/_headers:3 /b: Age; and 2 more",
        ),
        ("  Orphan: 1\n/empty\n", "", ""),
    ],
)
def test_headers_are_read_and_said_not_to_be_sent(
    tmp_path: Path, text: str, severity: str, listed: str
) -> None:
    desired = read(tmp_path, {"index.html": APP, "_headers": text})
    message = f"public/_headers isn't applied, because hosting sends no headers of a site: {listed}"
    assert notes(desired, "headers_not_sent") == ([(severity, message)] if severity else [])
    assert list(desired.static) == ["index.html"]


def test_secrets_in_files_that_are_not_published_are_no_mistake(tmp_path: Path) -> None:
    key = "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEpAIBAAKCAQEA1234567890\n"
    assert list(read(tmp_path, {"index.html": APP, "_headers": f"/a\n  X-Key: 1\n# {key}"}).static) == [
        "index.html"
    ]


def test_only_well_known_at_the_top_is_published_of_dotfiles_and_others_are_named(tmp_path: Path) -> None:
    files = {
        "index.html": APP,
        ".well-known/security.txt": "",
        ".well-known/.hidden.txt": "",
        "sub/.well-known/a.txt": "",
        ".htaccess": "",
        "_headers.txt": "",
        "sub/b.txt": "",
    }
    desired = read(tmp_path, files)
    assert list(desired.static) == [".well-known/security.txt", "_headers.txt", "index.html", "sub/b.txt"]
    [(_, message)] = notes(desired, "files_left_out")
    assert message == (
        "static: 3 excluded as dotfiles unless static.include names them "
        "(.htaccess, .well-known/.hidden.txt, sub/.well-known/)"
    )
    assert ".well-known/security.txt" not in read(tmp_path, {}, "  exclude: [.well-known/]\n").static
    assert ".well-known/security.txt" not in read(tmp_path, {}, "  include: ['*.html']\n").static
