"""Which references are found in a text, and how they are written back. In the expected text, each one is in angle brackets."""

from __future__ import annotations

import random

import justhtml
import pytest

from mosaic_deploy.source.site.analysis import edits_of
from mosaic_deploy.source.site.found import Found, apply_edits
from mosaic_deploy.source.site.html import base_address, parse_tags

HTML = [
    ('<img src="a.png">', '<img src="<a.png>">'),
    ("<IMG SRC=a.png>", '<IMG SRC="<a.png>">'),
    ("<img src='a.png' alt='b.png'>", "<img src='<a.png>' alt='b.png'>"),
    ('<a href="a&amp;b.pdf">', '<a href="<a&amp;b.pdf>">'),
    ('<img srcset="a.png 1x, b.png 2x">', '<img srcset="<a.png> 1x, <b.png> 2x">'),
    ('<img srcset="a.png, b.png">', '<img srcset="<a.png>, <b.png>">'),
    ('<img srcset=" a.png 100w,b.png 2x ">', '<img srcset=" <a.png> 100w,<b.png> 2x ">'),
    ('<p style="background:url(&quot;a.png&quot;)">', '<p style="background:url(&quot;<a.png>&quot;)">'),
    ("<style>a{b:url(c.png)}</style>", "<style>a{b:url(<c.png>)}</style>"),
    ("<!-- <img src=a.png> --><img src='b'>", "<!-- <img src=a.png> --><img src='<b>'>"),
    ("<!--><img src='b'>", "<!--><img src='<b>'>"),
    ("<textarea><img src=a></textarea>", "<textarea><img src=a></textarea>"),
    ("<title><img src=a></title>", "<title><img src=a></title>"),
    ('<script>x = "<img src=a.png>"</script>', '<script>x = "<img src=a.png>"</script>'),
    ('<script>f("a.wasm")</script>', '<script>f("<a.wasm>")</script>'),
    (
        '<script type="importmap">{"a": "./b.js"}</script>',
        '<script type="importmap">{"<a>": "<./b.js>"}</script>',
    ),
    (
        '<script type="text/template"><img src="a"></script>',
        '<script type="text/template"><img src="a"></script>',
    ),
    ("<video poster=a src=b></video>", '<video poster="<a>" src="<b>"></video>'),
    ("<object data='a'></object>", "<object data='<a>'></object>"),
    ('<div data-src="a.png">', '<div data-src="<a.png>">'),
    ("<p title='a.png' class=b>", "<p title='a.png' class=b>"),
    ("<img\n  src =\n 'a'\n/>", "<img\n  src =\n '<a>'\n/>"),
    ("a < b <img src='c'", "a < b <img src='<c>'"),
    ("</img src=a><? src=b ><!doctype c>", "</img src=a><? src=b ><!doctype c>"),
    ('<img src="a" src="b">', '<img src="<a>" src="b">'),
    (
        "<svg><title/><style/><script/><image href='a'/></svg>",
        "<svg><title/><style/><script/><image href='<a>'/></svg>",
    ),
    (
        "<svg><desc><![CDATA[>< a href=b>]]></desc><a href='c'>",
        "<svg><desc><![CDATA[>< a href=b>]]></desc><a href='<c>'>",
    ),
    (
        "<svg></svg><title><a href=b></title><a href='c'>",
        "<svg></svg><title><a href=b></title><a href='<c>'>",
    ),
]
SVG = [
    ('<image xlink:href="a.png"/>', '<image xlink:href="<a.png>"/>'),
    ("<style/><a href='b'/>", "<style/><a href='<b>'/>"),
    ("<style><![CDATA[a{b:url(c)}]]></style>", "<style><![CDATA[a{b:url(<c>)}]]></style>"),
    ("<title><a href='b'/></title>", "<title><a href='<b>'/></title>"),
]
CSS = [
    ("a{b:url(c.png)}", "a{b:url(<c.png>)}"),
    ("a{b:url( 'c d.png' )}", "a{b:url( '<c d.png>' )}"),
    ("@import 'a.css' screen;", "@import '<a.css>' screen;"),
    ("@import url(a.css);", "@import url(<a.css>);"),
    ("@namespace url(a);", "@namespace url(a);"),
    ("a{content:'b.png'}", "a{content:'b.png'}"),
    ("a{b:image-set('c.png' 1x, url(d.png) 2x)}", "a{b:image-set('<c.png>' 1x, url(<d.png>) 2x)}"),
    ("a{b:my-url(c)}", "a{b:my-url(c)}"),
    ("/* url(a) */ b{c:URL(d)}", "/* url(a) */ b{c:URL(<d>)}"),
    (r"a{b:url(c\ d.png)}", r"a{b:url(<c\ d.png>)}"),
    (r"a{b:url('\41 .png')}", "a{b:url('<A.png>')}"),
    ("/*# sourceMappingURL=a.css.map */", "/*# sourceMappingURL=<a.css.map> */"),
    ("a{b:'unclosed\n} c{d:url(e)}", "a{b:'unclosed\n} c{d:url(<e>)}"),
    ("a\r\n\f{b:url(c)\r\n\r;d:url('e')}", "a\r\n\f{b:url(<c>)\r\n\r;d:url('<e>')}"),
    (r"a{b:\75 rl(c)}", r"a{b:\75 rl(<c>)}"),
    (r"a{b:url(\63 .png)}", "a{b:url(<c.png>)}"),
    ("a{b:url(c d)} e{f:url(g)}", "a{b:url(c d)} e{f:url(<g>)}"),
    ("a{b:url(data:c,'d')} e{f:url(g)}", "a{b:url(data:c,'d')} e{f:url(<g>)}"),
    ("@import 'a.css", "@import '<a.css>"),
    ("@import 'a.css' supports(b: 'c');", "@import '<a.css>' supports(b: 'c');"),
    ("a{b:src('c' type('d'))}", "a{b:src('<c>' type('d'))}"),
]
JS = [
    ('import a from "./b.mjs"', 'import a from "<./b.mjs>"'),
    ("f('a.wasm', 'b')", "f('<a.wasm>', 'b')"),
    ("f(`a/b.wasm`)", "f(`<a/b.wasm>`)"),
    ('"a" + b.c + "d.png"', '"a" + b.c + "<d.png>"'),
    ('"a",b.c?"d.png":"e.png"', '"a",b.c?"<d.png>":"<e.png>"'),
    (r'"a\/b.png"', '"<a/b.png>"'),
    ("//# sourceMappingURL=a.js.map", "//# sourceMappingURL=<a.js.map>"),
    ('x="it\'s.pdf?v=1"', 'x="<it\'s.pdf?v=1>"'),
]
MANIFEST = [
    ('{"scope": "/", "name": "a.b"}', '{"scope": "</>", "name": "a.b"}'),
    (
        '{"icons": [{"src": "a.png", "type": "image/png"}]}',
        '{"icons": [{"src": "<a.png>", "type": "image/png"}]}',
    ),
]
JSON = [('{"a.png": "b/c.png"}', '{"<a.png>": "<b/c.png>"}'), (r'["\u0061.png"]', '["<a.png>"]')]
TABLES = {".html": HTML, ".svg": SVG, ".css": CSS, ".js": JS, ".webmanifest": MANIFEST, ".json": JSON}


@pytest.mark.parametrize(
    ("suffix", "text", "expected"),
    [(suffix, *row) for suffix, rows in TABLES.items() for row in rows],
)
def test_each_reference_is_found_and_can_be_replaced(suffix: str, text: str, expected: str) -> None:
    plain = edits_of(suffix, text, lambda _: None)
    assert apply_edits(text, plain) == text

    def bracket(found: Found) -> str | None:
        # Between two literals, as no file is named.
        return None if found.url.startswith((",", "<")) else f"<{found.url}>"

    assert apply_edits(text, edits_of(suffix, text, bracket)) == expected


ROLES = [
    (".html", '<link rel="stylesheet" href="x.y">', "a"),
    (".html", '<link rel="canonical" href="x.y">', "h"),
    (".html", '<meta content="x.y">', "r"),
    (".html", '<meta http-equiv=refresh content="0; url=x.y">', "a"),
    (".html", '<form action="x.y">', "h"),
    (".html", '<base href="x.y">', "b"),
    (".html", '<script>new URL("..", location)</script>', "p"),
    (".js", 'export * from"x.y"', "r"),
    (".js", "import('x.y')", "r"),
    (".js", "new URL('x.y', import.meta.url)", "r"),
    (".js", "n.p + 'x.y'", "l"),
    (".js", "'x.y' + n", "l"),
    (".js", "`${a}/x.y`", "l"),
    (".js", "[{url:'x.y'}]", "v"),
]


@pytest.mark.parametrize(("suffix", "text", "role"), ROLES)
def test_what_is_known_about_a_reference(suffix: str, text: str, role: str) -> None:
    found: list[Found] = []
    edits_of(suffix, text, found.append)
    assert [each.role for each in found] == [role]


def test_the_first_base_address_counts() -> None:
    assert base_address("<!-- <base href=x> --><base target=_top><BASE HREF='/a/'><base href='/b/'>") == "/a/"
    assert base_address("<p>") == ""


PIECES = [
    *(
        "<img src=a>",
        '<img src="b>c">',
        "<img/src=d>",
        "<a ",
        "<b",
        "src=",
        "x",
        "/",
        " ",
        "\n",
        ">",
        '"',
        "'",
        "&amp;",
    ),
    *("<!--", "-->", "--!>", "<!-->", "<?x ", "<!d>", "</ >", "</>", "<![CDATA[", "]]>"),
    *(
        "<title>",
        "</title>",
        "<title/>",
        "<style>",
        "</style>",
        "<style/>",
        "<script>",
        "</script>",
        "<script/>",
    ),
    *("<textarea>", "</textarea >", "<xmp>", "</XMP\n>", "<iframe>", "</iframe>", "<template>", "<p>"),
    *("<svg><title/><style/><script/><image href=e /><![CDATA[> <a>]]></svg>", "<math><title/></math>"),
]


def test_malformed_pages_have_the_tags_that_the_standard_says() -> None:
    source = random.Random(1)
    for _ in range(3000):
        # Ends every tag: the standard drops one that the file's end cuts off.
        page = "".join(source.choices(PIECES, k=source.randint(1, 10))) + "x'\">'><p>"
        expected = [data for kind, data in justhtml.stream(page) if kind == "start"]
        tags = [
            (tag.name, {name: tag.value(name) for name in tag.attributes}) for tag, _, _ in parse_tags(page)
        ]
        # Ours have no attributes without a value.
        with_value = [(name, {key: value for key, value in all_.items() if value}) for name, all_ in expected]
        assert [(name, {k: v for k, v in all_.items() if v}) for name, all_ in tags] == with_value, page
