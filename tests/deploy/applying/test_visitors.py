"""A visitor who keeps loading the site while it is deployed, again and again."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field

import httpx
import pytest

from mosaic_deploy.live.api.transport import loopback_target

PAGES = ["index.html", "about.html", "deep/page.html"]
_REFERS = re.compile(r'(?:href|src)="(/[^"]+)"')
_SHOWS = re.compile(r"url\((/[^)]+)\)")


def version(site, number: int) -> None:
    """A site whose files have versioned names, as a bundler makes them."""
    for old in (site.root / "www").rglob("*"):
        if old.is_file():
            old.unlink()
    for page in PAGES:
        site.write(
            f"www/{page}",
            f'<link rel="stylesheet" href="/css/style-{number}.css"><script src="/js/app-{number}.js"></script>',
        )
    site.write(f"www/css/style-{number}.css", f"body {{ background: url(/img/back-{number}.svg) }}")
    site.write(f"www/js/app-{number}.js", f"console.log({number})")
    site.write(f"www/img/back-{number}.svg", f"<svg><!-- {number} --></svg>")
    for filler in range(12):
        site.write(f"www/img/{number}-{filler}.svg", f"<svg><!-- {number} {filler} --></svg>")


@dataclass
class Visitor:
    """Loads every page and the files it refers to until stopped; records missing files."""

    url: str
    again: bool
    """Reload a page with a missing file first, as a browser's reload does."""
    stop: threading.Event = field(default_factory=threading.Event)
    loads: int = 0
    versions: set[str] = field(default_factory=set)
    missing: list[str] = field(default_factory=list)

    def run(self) -> None:
        with httpx.Client() as client:
            while not self.stop.is_set():
                for page in PAGES:
                    self._load(client, page)

    def _get(self, client: httpx.Client, path: str) -> httpx.Response:
        url, headers = loopback_target(f"{self.url}{path}")
        return client.get(url, headers=headers)

    def _load(self, client: httpx.Client, page: str) -> None:
        shown = self._get(client, f"/{page}")
        assert shown.status_code == 200
        self.versions.add(shown.text)
        self.loads += 1
        for part in _REFERS.findall(shown.text):
            self._part(client, page, part)

    def _part(self, client: httpx.Client, page: str, part: str) -> None:
        answer = self._get(client, part)
        if answer.status_code != 200:
            if not self.again or part in self._get(client, f"/{page}").text:
                self.missing.append(f"{page} refers to {part}: {answer.status_code}")
            return
        for inner in _SHOWS.findall(answer.text):
            if self._get(client, inner).status_code != 200 and not self.again:
                self.missing.append(f"{part} refers to {inner}")


@pytest.mark.parametrize("prune", [False, True], ids=["kept", "pruned"])
def test_no_page_is_served_without_its_stylesheet(site, prune):
    """With pruning, a page loaded before its replacement may miss files; then the page has changed since."""
    version(site, 0)
    site.manifest(static={"dir": "www", "prune": prune})
    site.apply()
    visitor = Visitor(site.plan().plan.project.url, again=prune)
    thread = threading.Thread(target=visitor.run)
    thread.start()
    try:
        for number in range(1, 7):
            version(site, number)
            site.apply()
            before = visitor.loads
            while visitor.loads < before + len(PAGES) and thread.is_alive():
                visitor.stop.wait(0.01)
    finally:
        visitor.stop.set()
        thread.join(20)
    assert not thread.is_alive()
    assert visitor.missing == []
    assert visitor.loads > 6 * len(PAGES)
    assert len(visitor.versions) > 2, "the visitor saw it change"
