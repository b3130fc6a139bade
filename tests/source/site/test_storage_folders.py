"""Folders of which every file is in storage, and scripts that join the names of files there at run time."""

from __future__ import annotations

from pathlib import Path

import pytest

from mosaic_deploy.errors import ManifestInvalid
from mosaic_deploy.model.manifest import Manifest, StaticSpec
from mosaic_deploy.source.files.folder import read_files
from mosaic_deploy.source.files.gitignore import FileSelection
from mosaic_deploy.source.files.local_file import read_unchanged
from mosaic_deploy.source.site.resolve import StorageAddresses
from mosaic_deploy.source.site.site_files import SiteFiles, read_site_files, storage_folders

SEARCH = {
    "find/find.js": "const own = import.meta.url; load(`${base}part/${hash}.pf_part`); import('./worker.js')",
    "find/worker.js": "",
    "find/entry.json": "{}",
    "find/part/en_1.pf_part": "1",
    "find/part/en_2.pf_part": "2",
}


def read(root: Path, files: dict[str, str], *folders: str) -> SiteFiles:
    for name, content in files.items():
        path = root / "public" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    found = read_files(root, FileSelection("public")).found
    spec = StaticSpec("public", unsupported="storage", storage_folders=folders, check_links="off")
    given = storage_folders(manifest(root, spec), found)
    return read_site_files(root, spec, found, (), (), storage_folders=given)


def manifest(root: Path, spec: StaticSpec) -> Manifest:
    return Manifest(root / "mosaic.yaml", static=spec)


ADDRESSES = [
    ("a.html", '<search-box bundle-path="/find/">', '<search-box bundle-path="/storage/_static/find/">'),
    ("a.html", '<p data-base="find">', '<p data-base="storage/_static/find">'),
    ("a.html", '<a href="/find/">', None),
    ("a.html", '<script src="find/find.js"></script>', '<script src="storage/_static/find/find.js"></script>'),
    ("js/a.js", 'f("/find/")', 'f("/storage/_static/find/")'),
    ("js/a.js", 'f("/find")', 'f("/storage/_static/find")'),
    ("js/a.js", 'f("/find/part/")', 'f("/storage/_static/find/part/")'),
    ("js/a.js", '"/".replace(/x/,"")+"/find/"', '"/".replace(/x/,"")+"/storage/_static/find/"'),
    ("js/a.js", 'f("../find/")', 'f("../storage/_static/find/")'),
    ("js/a.js", 'new URL("../find/", import.meta.url)', 'new URL("../storage/_static/find/", import.meta.url)'),
    ("js/a.js", 'f("/finder/", "/find/none/", "/fin")', None),
    ("js/a.js", "f(`${base}/find/`)", None),
    ("js/a.js", "f(`find/${name}.pdf`)", "f(`storage/_static/find/${name}.pdf`)"),
    ("js/a.js", "f(`/find/part/${name}`)", "f(`/storage/_static/find/part/${name}`)"),
    ("js/a.js", "f(`find${name}.pdf`, `/${a}/find/${b}`)", None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "expected"), ADDRESSES)
def test_addresses_of_a_folder_in_storage_are_rewritten(
    tmp_path: Path, name: str, text: str, expected: str | None
) -> None:
    site = read(tmp_path, {**SEARCH, name: text}, "/find/")
    assert read_unchanged(site.published.static[name]).decode() == (expected or text)
    assert sorted(site.published.stored) == sorted(f"_static/{each}" for each in SEARCH)
    assert all(file.rewrite is None for file in site.published.stored.values())


def test_a_page_stays_and_so_does_the_address_of_its_folder(tmp_path: Path) -> None:
    files = {**SEARCH, "find/index.html": '<script src="find.js">', "a.js": 'f("/find/", "/find/part/")'}
    site = read(tmp_path, files, "find")
    assert read_unchanged(site.published.static["a.js"]) == b'f("/find/", "/storage/_static/find/part/")'
    page = read_unchanged(site.published.static["find/index.html"])
    assert page == b'<script src="../storage/_static/find/find.js">'


def test_storage_on_another_host(tmp_path: Path) -> None:
    files = {**SEARCH, "a.js": 'f("/find/")', "b.js": 'f(x + "find/")'}
    site = read(tmp_path, files, "find").at(
        StorageAddresses("https://s.example/p/", "https://p.example", known=True)
    )
    assert read_unchanged(site.published.static["a.js"]) == b'f("https://s.example/p/_static/find/")'
    assert read_unchanged(site.published.static["b.js"]) == b'f(x + "find/")'


def notes(site: SiteFiles) -> dict[str, str]:
    return {note.code: note.message for note in site.notes()}


def test_a_script_that_joins_names_is_reported_with_the_setting_that_helps(tmp_path: Path) -> None:
    loading = {**SEARCH, "a.html": '<script type=module src="/find/find.js"></script>'}
    found = notes(read(tmp_path, loading))
    assert found["reference_not_rewritten"] == (
        "public/find/find.js:1:36: a script joins the names of files from parts (.pf_part), and asks for them at their old addresses, "
        "but they are in storage (find/part/en_1.pf_part, find/part/en_2.pf_part); serve the whole folder from storage: "
        '`storage_folders: ["find"]` under static'
    )
    assert "stored_file_unnamed" not in found
    found = notes(read(tmp_path, loading, "find"))
    assert found.keys() == {"storage_address_assumed", "script_address_moved"}
    assert found["script_address_moved"].startswith("public/find/find.js:1:13: ")


def test_a_folder_that_nothing_refers_to_is_reported(tmp_path: Path) -> None:
    found = notes(read(tmp_path, {**SEARCH, "a.js": "f(`${base}/find/`)"}, "find"))
    assert found["storage_folder_unnamed"].startswith(
        "no reference to find/ or to a file in it can be rewritten: set /storage/_static/find/ as its address"
    )


def test_a_folder_that_a_script_of_another_folder_names_is_referred_to(tmp_path: Path) -> None:
    """As bundlers write it: relative to the site's root."""
    site = {**SEARCH, "js/a.js": "f(`find/${name}.pf_part`)"}
    assert "storage_folder_unnamed" not in notes(read(tmp_path, site, "find"))


def test_an_edit_keeps_the_folder_in_storage(tmp_path: Path) -> None:
    site = read(tmp_path, {**SEARCH, "a.js": ""}, "find")
    (tmp_path / "public/a.js").write_text('f("/find/")')
    edited = read_files(tmp_path, FileSelection("public")).found
    assert site.with_edits({"a.js": edited["a.js"]}) == read(tmp_path, {}, "find")


@pytest.mark.parametrize(("unsupported", "folder"), [("error", "find"), ("storage", "fin")])
def test_folders_that_do_not_go_into_storage_are_refused(
    tmp_path: Path, unsupported: str, folder: str
) -> None:
    spec = StaticSpec("public", unsupported=unsupported, storage_folders=(folder,))
    with pytest.raises(ManifestInvalid) as refused:
        storage_folders(manifest(tmp_path, spec), SEARCH)
    assert [each.field for each in refused.value.problems] == ["static.storage_folders[0]"]
