"""A single-page app in Chromium: deep routes, redirects, and an open tab that loads an old chunk after a deploy."""

from __future__ import annotations

import pytest
from browser import find_chromium, opened_browser

PAGE = '<!doctype html><div id="at"></div><script type="module" src="/assets/app-{0}.js"></script>'
APP = """
document.querySelector('#at').textContent = 'route ' + location.pathname + ' of build {0}'
window.more = () => import('/assets/lazy-{0}.js').then(found => found.text, error => 'failed')
"""


def build(site, number: int) -> None:
    for old in (site.root / "dist/assets").glob("*"):
        old.unlink()
    site.write("dist/index.html", PAGE.format(number))
    site.write(f"dist/assets/app-{number}.js", APP.replace("{0}", str(number)))
    site.write(f"dist/assets/lazy-{number}.js", f"export const text = 'chunk {number}'")


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium: apt-get install chromium")
def test_an_app_routes_in_the_browser_and_an_open_tab_survives_a_deploy(site) -> None:
    build(site, 1)
    site.write("dist/.well-known/app.json", '{"app": 1}')
    site.write("dist/_redirects", "/start/old  /todo?from=old\n/away /todo 302\n/* /index.html 200\n")
    site.manifest(static={"dir": "dist", "prune": True})
    site.apply()
    url = site.plan().plan.project.url
    with opened_browser() as tab:
        tab.go(f"{url}/todo/7?x=1#y")
        tab.wait_for("document.body.innerText === 'route /todo/7 of build 1'")
        assert tab.value("fetch('/todo/7').then(found => found.status)") == 404
        assert tab.value("fetch('/.well-known/app.json').then(found => found.json()).then(o => o.app)") == 1
        tab.go(f"{url}/start/old#part", lands_on=f"{url}/todo?from=old#part")
        tab.go(f"{url}/away?q=1#part", lands_on=f"{url}/todo?q=1#part")
        tab.wait_for("document.body.innerText === 'route /todo of build 1'")

        build(site, 2)
        site.apply()
        assert tab.value("more()") == "chunk 1", "the tab still shows build 1"
        site.sql("UPDATE mosaic_deploy.objects SET retired_at = retired_at - interval '1 hour'")
        site.apply()
        assert site.get("/assets/lazy-1.js").status_code == 404
        tab.go(f"{url}/todo")
        tab.wait_for("document.body.innerText === 'route /todo of build 2'")
        assert tab.value("more()") == "chunk 2"


SVELTE_LIKE = (
    '<!doctype html><link rel="icon" href="data:,"><link rel="stylesheet" href="./_app/s.css"><a href="./about">about</a>'
    '<script>base = new URL(".", location).pathname.slice(0, -1); import("./_app/start.js")</script>'
)


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium: apt-get install chromium")
def test_pages_without_html_in_their_addresses(site) -> None:
    site.write("build/index.html", SVELTE_LIKE)
    site.write("build/about.html", SVELTE_LIKE)
    site.write("build/blog/post.html", SVELTE_LIKE.replace('"./', '"../').replace('"."', '".."'))
    site.write("build/_app/s.css", "a { color: rgb(1, 2, 3) }")
    site.write("build/_app/start.js", "document.title = 'at ' + base + '/'")
    site.manifest(static={"dir": "build", "clean_urls": True})
    site.apply()
    url = site.plan().plan.project.url
    with opened_browser() as tab:
        for path, shown in (
            ("/", "/"),
            ("/about", "/about/"),
            ("/about.html", "/about.html"),
            ("/blog/post", "/blog/post/"),
        ):
            tab.go(url + path, lands_on=url + shown)
            tab.wait_for("document.title === 'at /'")
            assert tab.value("getComputedStyle(document.links[0]).color") == "rgb(1, 2, 3)"
            assert tab.value("document.links[0].href") == f"{url}/about"
        assert tab.console_errors() == []
