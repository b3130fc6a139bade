"""What `init` publishes of a site whose index.html is beside the manifest."""

from __future__ import annotations

from pathlib import Path

import pytest

from mosaic_deploy.cli.commands.start.choices import choose
from mosaic_deploy.cli.commands.start.first_manifest import manifest_text
from mosaic_deploy.source.detection.project import detect_project
from mosaic_deploy.source.manifest.read import read_manifest_text
from mosaic_deploy.source.snapshot import read_desired

CASES = [
    ({"index.html": "", "readme.txt": "", "data.json": "{}"}, ["/index.html"]),
    (
        {
            "index.html": '<link href="a/s.css"><a href="blog/">',
            "a/s.css": "b{c:url(../i.png)}",
            "i.png": "",
            "blog/index.html": '<script src="../m.js">',
            "m.js": 'import("./n.js")',
            "n.js": "",
        },
        ["/index.html", "/a/", "/blog/", "/i.png", "/m.js", "/n.js"],
    ),
    ({"index.html": "", "about.html": "", "img/x.png": "", "tests/a.html": "", "favicon.ico": ""}, ["/index.html", "/about.html", "/favicon.ico", "/img/"]),
    ({"index.html": '<img src="assets/a b%20.png">', "assets/a b .png": "", ".well-known/assetlinks.json": ""}, ["/index.html", "/assets/", "/.well-known/"]),
    ({"index.html": '<a href="a%20b.html">', "a b.html": ""}, ["/index.html", "/a\\ b.html"]),
    ({"index.html": '<a href="sql/1_a.sql"><a href="../x">', "sql/1_a.sql": "create table t ()"}, ["/index.html"]),
]  # fmt: skip


@pytest.mark.parametrize(("files", "include"), CASES)
def test_what_pages_refer_to_is_published(
    tmp_path: Path, files: dict[str, str], include: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOSAIC_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "site"
    for name, text in {**files, ".env": "KEY=1"}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    text, _ = manifest_text(choose(detect_project(root), "site"))
    (root / "mosaic.yaml").write_text(text)
    manifest = read_manifest_text(text, root)
    assert manifest.static
    assert list(manifest.static.include) == include
    published = read_desired(manifest).snapshot.static
    tops = {each.strip("/").replace("\\", "") for each in include}
    assert set(published or ()) == {name for name in files if name.partition("/")[0] in tops}


@pytest.mark.parametrize("other", ["public/index.html", "dist/index.html"])
def test_a_folder_that_is_named_like_a_site_comes_first(tmp_path: Path, other: str) -> None:
    for name in ("index.html", other):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    chosen = choose(detect_project(tmp_path), "site")
    assert (chosen.site and chosen.site.dir, chosen.include) == (other.partition("/")[0], ())
