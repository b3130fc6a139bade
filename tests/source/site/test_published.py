"""A site's files as they are deployed: which are in storage, what refers to them, and what is reported."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from pathlib import Path

import pytest

from mosaic_deploy.errors import SourceChanged, SourceRefused
from mosaic_deploy.model.manifest import StaticSpec
from mosaic_deploy.source.files.folder import read_files
from mosaic_deploy.source.files.gitignore import FileSelection
from mosaic_deploy.source.files.local_file import LocalFile, read_unchanged
from mosaic_deploy.source.site.analysis import edits_of
from mosaic_deploy.source.site.charset import foreign_charset
from mosaic_deploy.source.site.found import Edit, Visit
from mosaic_deploy.source.site.resolve import StorageAddresses
from mosaic_deploy.source.site.site_files import SiteFiles, read_site_files

OTHER = StorageAddresses("https://s3.example.com/p/", "https://p.mosaic.site", known=True)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSAIC_CACHE", str(tmp_path / "cache"))


def read(
    root: Path, files: dict[str, str | bytes], check_links: str = "off", unsupported: str = "storage"
) -> SiteFiles:
    for name, content in files.items():
        path = root / "public" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return reread(root, check_links, unsupported)


def reread(root: Path, check_links: str = "off", unsupported: str = "storage") -> SiteFiles:
    spec = StaticSpec("public", unsupported=unsupported, check_links=check_links)
    return read_site_files(root, spec, read_files(root, FileSelection("public")).found, (), ())


def content(files: dict[str, LocalFile], name: str) -> str:
    deployed = read_unchanged(files[name])
    assert (hashlib.sha256(deployed).hexdigest(), len(deployed)) == (
        files[name].object.sha256,
        files[name].object.size,
    )
    return deployed.decode()


FONT = "fonts/f 1.woff2"
PAYLOAD = 'self.__next_f.push([1,"1:HL[\\"ADDRESS\\",\\"font\\"]"])'
MOVED_FONT = "/storage/_static/a/g.woff2"
REWRITTEN = [
    ("index.html", '<link href="fonts/f%201.woff2">', '<link href="storage/_static/fonts/f%201.woff2">'),
    (
        "index.html",
        "<link href='/fonts/f 1.woff2?v=1#x'>",
        "<link href='/storage/_static/fonts/f%201.woff2?v=1#x'>",
    ),
    ("a/b/p.html", '<a href="../../fonts/f 1.woff2">', '<a href="../../storage/_static/fonts/f%201.woff2">'),
    (
        "a/p.html",
        '<base href="/"><a href="fonts/f 1.woff2">',
        '<base href="/"><a href="/storage/_static/fonts/f%201.woff2">',
    ),
    ("css/s.css", "a{b:url('../fonts/f 1.woff2')}", "a{b:url('../storage/_static/fonts/f%201.woff2')}"),
    ("js/a.js", 'f("/fonts/f 1.woff2")', 'f("/storage/_static/fonts/f%201.woff2")'),
    ("js/a.js", 'p+"fonts/f 1.woff2"', 'p+"storage/_static/fonts/f%201.woff2"'),
    ("js/a.js", 'f("../fonts/f 1.woff2")', 'f("../storage/_static/fonts/f%201.woff2")'),
    ("js/a.js", 'import "../fonts/f 1.woff2"', 'import "../storage/_static/fonts/f%201.woff2"'),
    ("a.js", 'import "./fonts/f 1.woff2"', 'import "./storage/_static/fonts/f%201.woff2"'),
    ("a.json", '["fonts/f 1.woff2"]', '["storage/_static/fonts/f%201.woff2"]'),
    ("x.svg", '<image href="fonts/f 1.woff2"/>', '<image href="storage/_static/fonts/f%201.woff2"/>'),
    ("index.html", '<link href="fonts/F%201.woff2">', '<link href="fonts/F%201.woff2">'),
    ("index.html", '<p title="fonts/f 1.woff2">', '<p title="fonts/f 1.woff2">'),
    ("js/a.js", 'p + "f 1.woff2"', 'p + "f 1.woff2"'),
    (
        "js/a.js",
        "css(`@font-face{src: url(/a/g.woff2?v=1)}`)",
        "css(`@font-face{src: url(/storage/_static/a/g.woff2?v=1)}`)",
    ),
    ("js/a.js", 'css("a{b:url(\\"/a/g.woff2\\")}")', 'css("a{b:url(\\"/storage/_static/a/g.woff2\\")}")'),
    (
        "js/a.js",
        "css('a{b:url(a\\/g.woff2) , url(\"a/g.woff2\")}')",
        "css('a{b:url(storage/_static/a/g.woff2) , url(\"storage/_static/a/g.woff2\")}')",
    ),
    ("a/a.js", 'css("a{b:url(g.woff2)}")', 'css("a{b:url(g.woff2)}")'),
    ("a.js", 'css("a{b:url(/a/gg.woff2) url(data:a/g.woff2) curl(/a/g.woff2)}")', None),
    ("a.js", PAYLOAD.replace("ADDRESS", "/a/g.woff2"), PAYLOAD.replace("ADDRESS", MOVED_FONT)),
    (
        "p.html",
        f"<script>{PAYLOAD.replace('ADDRESS', '/a/g.woff2')}</script>",
        f"<script>{PAYLOAD.replace('ADDRESS', MOVED_FONT)}</script>",
    ),
    # Text of a given length follows: `T4d2`.
    (
        "p.html",
        f"<script>{PAYLOAD.replace('ADDRESS', '/a/g.woff2')}</script><script>f('2:T4d2,')</script>",
        None,
    ),
    ("a.js", 'f("<img src=\\"/a/g.woff2\\">")', None),
    ("p.txt", '1:HL["/a/g.woff2","font"]', f'1:HL["{MOVED_FONT}","font"]'),
    ("p.txt", '0:["/a/g.woff2"]\n2:T4d2,text', None),
    ("notes.txt", 'see "/a/g.woff2"', None),
    ("p.html", '<my-player clip="/a/g.woff2">', f'<my-player clip="{MOVED_FONT}">'),
]


@pytest.mark.parametrize(("name", "text", "expected"), REWRITTEN)
def test_references_to_files_in_storage_are_rewritten(
    tmp_path: Path, name: str, text: str, expected: str | None
) -> None:
    site = read(tmp_path, {FONT: "font", "a/g.woff2": "g", name: text})
    assert content(site.published.static, name) == (text if expected is None else expected)
    assert content(site.published.stored, f"_static/{FONT}") == "font"
    assert (tmp_path / "public" / name).read_text() == text


ELSEWHERE = [
    (
        "index.html",
        '<link href="fonts/f 1.woff2">',
        '<link href="https://s3.example.com/p/_static/fonts/f%201.woff2">',
    ),
    ("js/a.js", '["/fonts/f 1.woff2"]', '["https://s3.example.com/p/_static/fonts/f%201.woff2"]'),
    ("js/a.js", 'f("fonts/f 1.woff2")', 'f("https://s3.example.com/p/_static/fonts/f%201.woff2")'),
    ("js/a.js", 'f(p+"fonts/f 1.woff2")', 'f(p+"fonts/f 1.woff2")'),
]


@pytest.mark.parametrize(("name", "text", "expected"), ELSEWHERE)
def test_storage_on_another_host_has_whole_urls(tmp_path: Path, name: str, text: str, expected: str) -> None:
    site = read(tmp_path, {FONT: "font", name: text}).at(OTHER)
    assert content(site.published.static, name) == expected
    codes = [note.code for note in site.notes()]
    assert "storage_other_origin" in codes
    assert ("reference_not_rewritten" in codes) == (text == expected)


def test_a_web_manifest_and_modules_keep_what_they_refer_to(tmp_path: Path) -> None:
    files = {
        "app/site.webmanifest": '{"start_url": "./?pwa", "scope": "/app/", "icons": [{"src": "i.png"}]}',
        "app/i.png": "",
        "app/index.html": '<link rel=manifest href=site.webmanifest><script type=module src="m.mjs"></script>',
        "app/m.mjs": 'import "./s.js"; import "./n.mjs"; new URL("w.wasm", import.meta.url)',
        "app/n.mjs": "",
        "app/w.wasm": "",
        "app/s.js": 'import "./m.mjs"',
    }
    site = read(tmp_path, files)
    stored = site.published.stored
    assert content(stored, "_static/app/site.webmanifest") == (
        '{"start_url": "../../../app/?pwa", "scope": "/app/", "icons": [{"src": "../../../app/i.png"}]}'
    )
    assert content(stored, "_static/app/m.mjs") == (
        'import "../../../app/s.js"; import "./n.mjs"; new URL("w.wasm", import.meta.url)'
    )
    assert content(site.published.static, "app/s.js") == 'import "../storage/_static/app/m.mjs"'
    elsewhere = content(site.at(OTHER).published.stored, "_static/app/site.webmanifest")
    assert '"scope": "https://p.mosaic.site/app/"' in elsewhere


def test_digests_of_rewritten_files_are_rewritten(tmp_path: Path) -> None:
    css = "@font-face{src:url(f.woff2)}"
    js = b64encode(hashlib.sha512(b"1").digest()).decode()
    page = f'<link href=s.css integrity="sha384-{b64encode(hashlib.sha384(css.encode()).digest()).decode()}">'
    worker = f'[{{url:"index.html",revision:"{hashlib.md5(page.encode()).hexdigest()}"}}]'
    other = f'<script src=a.js integrity="sha512-{js}"></script>'
    site = read(
        tmp_path,
        {"f.woff2": "f", "s.css": css, "index.html": page, "sw.js": worker, "a.js": "1", "b.html": other},
    )
    static = site.published.static
    new_css = content(static, "s.css").encode()
    assert b64encode(hashlib.sha384(new_css).digest()).decode() in content(static, "index.html")
    new_page = content(static, "index.html").encode()
    assert (
        content(static, "sw.js") == f'[{{url:"index.html",revision:"{hashlib.md5(new_page).hexdigest()}"}}]'
    )
    assert content(static, "b.html") == other


def test_a_file_that_many_name_by_its_digest_is_rewritten_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    css = "a{src:url(f.woff2)}"
    page = f'integrity="sha256-{b64encode(hashlib.sha256(css.encode()).digest()).decode()}"'
    reads: list[str] = []

    def reading(file: LocalFile) -> bytes:
        reads.append(file.relative_path)
        return read_unchanged(file)

    monkeypatch.setattr("mosaic_deploy.source.site.published.read_unchanged", reading)
    pages = {f"{n}.html": f"<link href=s.css {page}>{n}" for n in range(20)}
    read(tmp_path, {"f.woff2": "f", "s.css": css, **pages})
    assert reads.count("public/s.css") == 3  # for its digests, for the new ones, and for its own


def hash_of(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@pytest.mark.parametrize("ending", ["", "\r\n"])
def test_a_policy_keeps_the_hashes_of_rewritten_scripts_and_styles(tmp_path: Path, ending: str) -> None:
    style, script = f"a{{b:url(f.woff2)}}{ending}", "f('x.js')"
    page = (
        '<meta http-equiv="Content-Security-Policy" content="style-src {}; script-src {} \'self\'">'
        "<style>{}</style><script>{}</script>"
    )
    normal = ending.replace("\r", "")
    old = page.format(hash_of(style.strip() + normal), hash_of(script), style, script)
    site = read(tmp_path, {"f.woff2": "", "i.html": old.encode()})
    new = f"a{{b:url(storage/_static/f.woff2)}}{ending}"
    assert content(site.published.static, "i.html") == page.format(
        hash_of(new.strip() + normal), hash_of(script), new, script
    )


POLICIES = [
    ("default-src 'self'", "default-src"),
    ("default-src 'self'; font-src *", "default-src"),
    ("font-src 'self' https://S3.example.com; connect-src https:", ""),
    ("font-src https://s3.example.com/other/; connect-src s3.example.com/p/", "font-src"),
    ("font-src *.example.com; connect-src http://s3.example.com", "connect-src"),
    ("img-src 'none'; script-src 'self'", ""),
]


@pytest.mark.parametrize(("policy", "blocked"), POLICIES)
def test_a_policy_that_blocks_storage_is_reported_with_its_place(
    tmp_path: Path, policy: str, blocked: str
) -> None:
    page = f'<title>x</title>\n<meta http-equiv=content-security-policy content="{policy}">'
    site = read(tmp_path, {"f.woff2": "", "d.wasm": "", "i.html": page})
    assert "policy_blocks_storage" not in [note.code for note in site.notes()], (
        "storage is on the site itself"
    )
    found = [note.message for note in site.at(OTHER).notes() if note.code == "policy_blocks_storage"]
    assert found == [
        "public/i.html:2:51: the page's Content-Security-Policy doesn't let it load files from storage: add "
        f"https://s3.example.com/p/ to {blocked}"
    ] * bool(blocked)


def test_what_cannot_be_rewritten_is_reported(tmp_path: Path) -> None:
    files = {
        "a/f.woff2": "f",
        "b/f.woff2": "g",
        "c.pdf": "c",
        "p.htm": "",
        "s.sqlite": "s",
        "t/t.woff2": "t",
        "x.js": '\n  load(dir + "f.woff2"); css("@font-face{src:url(s/t.woff2)}")',
        "i.html": "<a href=p.htm>",
    }
    found = read(tmp_path, files).notes()
    notes = {note.code: note.message for note in found}
    left = [note.message for note in found if note.code == "reference_not_rewritten"]
    assert [each.partition(", ")[0] for each in left] == [
        "public/x.js:2:15: f.woff2 may mean a/f.woff2",
        "public/x.js:2:50: s/t.woff2 may mean t/t.woff2",
    ]
    assert notes["stored_file_unnamed"].startswith(
        "in storage, and no page, stylesheet or script has a reference to them that can be rewritten: b/f.woff2, c.pdf, s.sqlite; "
    )
    assert "p.htm" in notes["page_in_storage"]
    assert "s.sqlite" in notes["database_published"]


def test_nothing_depends_on_the_order_or_on_the_cache(tmp_path: Path) -> None:
    names = {f"p{i}.html": f'<link href=f.woff2><a href="p{i}.html">' for i in range(5)}
    first = read(tmp_path, {"f.woff2": "f", "g.woff2": "f", **names})
    again = reread(tmp_path)
    (tmp_path / "cache").rename(tmp_path / "gone")
    fresh = reread(tmp_path)
    objects = [[file.object for file in each.published.static.values()] for each in (first, again, fresh)]
    assert objects[0] == objects[1] == objects[2]
    assert sorted(first.published.stored) == ["_static/f.woff2", "_static/g.woff2"]


def test_an_edit_gives_what_reading_everything_gives(tmp_path: Path) -> None:
    site = read(tmp_path, {"f.woff2": "f", "a.html": "<a href=b>", "c.html": "<a href=d>"}, "warn")
    (tmp_path / "public/a.html").write_text('<link href="f.woff2"><a href=x>')
    edited = read_files(tmp_path, FileSelection("public")).found
    assert site.with_edits({"a.html": edited["a.html"]}) == reread(tmp_path, "warn")


def test_a_file_edited_after_the_plan_is_refused(tmp_path: Path) -> None:
    site = read(tmp_path, {"f.woff2": "f", "a.html": "<link href=f.woff2>"})
    (tmp_path / "public/a.html").write_text("<link href=f.wofff>")
    with pytest.raises(SourceChanged):
        read_unchanged(site.published.static["a.html"])


@pytest.mark.parametrize("name", ["_static/x", f"{'n' * 506}.pdf"])
def test_names_that_storage_cannot_have(tmp_path: Path, name: str) -> None:
    spec = StaticSpec("public", unsupported="storage")
    file = LocalFile(read_site(tmp_path), tmp_path, name)
    files = {} if name.startswith("_static") else {name: file}
    with pytest.raises(SourceRefused, match="can't be put into storage"):
        read_site_files(tmp_path, spec, files, (), [name])


def read_site(root: Path):
    return read(root, {"a.pdf": "x"}).site.files["a.pdf"].object


def broken(site: SiteFiles) -> list[str]:
    return [note.message for note in site.notes() if note.code == "link_broken"]


LINKS = {
    "index.html": '<a href="about">1</a><a href=docs/>2</a>\n<img src="Logo.png"><a href="/nope?x#y">3</a>',
    "about.html": "<a href=nope>1</a><a href='mailto:a@b.c'>2</a><a href=/storage/x.pdf><link rel=canonical href=/gone>",
    "docs/index.html": "<a href=..>1</a><link rel=stylesheet href=../s.css>",
    "s.css": "a{b:url(missing.png);c:url(data:,x)}",
    "logo.png": "",
    "f.woff2": "",
}


@pytest.mark.parametrize("unsupported", ["storage", "error"])
def test_broken_links_are_reported_with_their_place(tmp_path: Path, unsupported: str) -> None:
    site = read(tmp_path, LINKS, "warn", unsupported)
    expected = [
        "public/about.html:1:9: no file answers nope (1 more link to it)",
        "public/index.html:2:11: no file answers Logo.png; the file is logo.png",
        "public/s.css:1:9: no file answers missing.png",
    ]
    assert broken(site) == expected
    assert broken(reread(tmp_path, "warn", unsupported)) == expected


@pytest.mark.parametrize("unsupported", ["storage", "error"])
def test_links_in_an_unknown_encoding_are_not_followed(tmp_path: Path, unsupported: str) -> None:
    link = '"/caf\u00e9.html"'
    files = {
        "a.html": f"<a href={link}>".encode("latin-1"),
        "m.webmanifest": f'{{"src": {link}}}'.encode("latin-1"),
    }
    site = read(
        tmp_path, files if unsupported == "storage" else {"a.html": files["a.html"]}, "error", unsupported
    )
    assert broken(site.at(OTHER)) == []


def test_the_places_of_many_links_are_found_in_one_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []

    def parsing(suffix: str, text: str, visit: Visit) -> list[Edit]:
        parsed.append(suffix)
        return edits_of(suffix, text, visit)

    monkeypatch.setattr("mosaic_deploy.source.site.analysis.edits_of", parsing)
    with pytest.raises(SourceRefused, match=r"don't exist; the first 100 of 120$") as caught:
        read(tmp_path, {"a.html": "".join(f"<a href={n}>x</a>\n" for n in range(120))}, "error", "error")
    assert [
        (each.location.line, each.location.column) for each in caught.value.problems if each.location
    ] == [(n + 1, 9) for n in range(100)]
    assert parsed == [".html"] * 2  # to find the links, and their places


def test_broken_links_can_be_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceRefused, match="links to files that don't exist") as caught:
        read(tmp_path, LINKS, "error")
    assert len(caught.value.problems) == 4
    assert broken(reread(tmp_path, "off")) == []


UMLAUT = "ü".encode("latin-1")
CHARSETS = [
    ("a.html", b'<meta charset="iso-8859-1">' + UMLAUT, '<meta charset="utf-8">ü'),
    ("a.html", b"<meta http-equiv=x content='text/html; charset=windows-1252'>\x80", "<meta http-equiv=x content='text/html; charset=utf-8'>€"),
    ("a.html", "\ufeffü".encode("utf-16-le"), "ü"),
    ("a.css", b'@charset "latin1";/*' + UMLAUT + b"*/", '@charset "utf-8";/*ü*/'),
    ("a.svg", b"<?xml version='1.0' encoding='iso-8859-15'?>\xa4", "<?xml version='1.0' encoding='utf-8'?>€"),
    ("a.html", "<meta charset=iso-8859-1>ü".encode(), "<meta charset=iso-8859-1>ü"),
    ("a.html", b"<meta charset=x-cp1251>\xff", "<meta charset=utf-8>я"),
    ("a.html", b"<meta charset=iso-8859-8-i>\xe0", "<meta charset=utf-8>א"),
    ("a.html", "<meta charset=gb2312>镕".encode("gbk"), "<meta charset=utf-8>镕"),
    ("a.html", "<meta charset=ISO-2022-JP>日本".encode("iso2022_jp"), "<meta charset=utf-8>日本"),
    ("a.html", "<meta charset=utf-8>\x1b日".encode(), "<meta charset=utf-8>\x1b日"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "raw", "expected"), CHARSETS)
def test_other_charsets_become_utf_8(tmp_path: Path, name: str, raw: bytes, expected: str) -> None:
    site = read(tmp_path, {name: raw}, unsupported="error")
    assert content(site.published.static, name) == expected
    assert [note.code for note in site.notes()] == ["charset_converted"] * (expected.encode() != raw)


def test_a_text_in_an_unknown_charset_stays_as_it_is(tmp_path: Path) -> None:
    site = read(tmp_path, {"a.html": b"<link href=f.woff2>" + UMLAUT, "f.woff2": "", "b.js": UMLAUT})
    assert read_unchanged(site.published.static["a.html"]) == b"<link href=storage/_static/f.woff2>" + UMLAUT
    [note] = [note for note in site.notes() if note.code == "charset_unknown"]
    assert "a.html, b.js" in note.message


@pytest.mark.parametrize(
    "label", [b"no-such", b"a\0b", b"unicode_escape", b"rot13", UMLAUT, b"replacement", b"x-user-defined"]
)
def test_only_what_browsers_know_is_a_charset(label: bytes) -> None:
    assert foreign_charset(".html", b"<meta charset=" + label + b">\\ud800" + UMLAUT) is None
