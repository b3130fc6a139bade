"""Checks that need only the desired side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from mosaic_deploy.errors import ManifestInvalid, Problem
from mosaic_deploy.model.manifest import MagicLinkSpec, Manifest
from mosaic_deploy.model.snapshot import Snapshot

_FIELD = "auth.magic_link"


def check_redirect_pages(manifest: Manifest, desired: Snapshot) -> None:
    """Raises ManifestInvalid if a magic link's redirect has no page in this manifest."""
    if manifest.static is None or manifest.magic_link is None:
        return
    pages = desired.static or ()
    hint = f"add the page to {manifest.static.dir}, or correct the path"
    problems = [
        Problem(
            f"no page answers {path}",
            manifest.locate(field),
            field,
            f"{_suggest_page(path, pages)}{hint}",
        )
        for field, path in _redirects(manifest.magic_link)
        if not is_served(path, pages)
    ]
    if problems:
        raise ManifestInvalid("a magic link would redirect to a missing page", problems=problems)


def is_served(path: str, pages: Iterable[str]) -> bool:
    """Whether hosting serves `path`: as the file itself, as `path.html`, or as `path/index.html`."""
    bare = path.strip("/")
    candidates = {bare, f"{bare}.html", f"{bare}/index.html"} if bare else {"index.html"}
    return not candidates.isdisjoint(pages)


def _suggest_page(path: str, pages: Iterable[str]) -> str:
    """ "did you mean …?" with the most similar page; "" if there is none."""
    near = get_close_matches(
        path, {f"/{page.removesuffix('.html').removesuffix('index')}" for page in pages}, 1
    )
    return f"did you mean {near[0]}? Otherwise " if near else ""


def _redirects(link: MagicLinkSpec) -> Iterator[tuple[str, str]]:
    """(field, path) of each redirect."""
    yield f"{_FIELD}.redirect_url", link.redirect_url
    for index, path in enumerate(link.allowed_redirect_urls):
        if path != link.redirect_url:
            yield f"{_FIELD}.allowed_redirect_urls[{index}]", path
