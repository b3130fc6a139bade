"""What can be seen from the desired side alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from mosaic_deploy.errors import ManifestInvalid, Problem
from mosaic_deploy.model.manifest import MagicLinkSpec, Manifest
from mosaic_deploy.model.snapshot import Snapshot

_FIELD = "auth.magic_link"


def check_redirect_pages(manifest: Manifest, desired: Snapshot) -> None:
    """Raises ManifestInvalid for sign-in links that lead to no page of this manifest."""
    if manifest.static is None or manifest.magic_link is None:
        return
    pages = desired.static or ()
    hint = f"add the page to {manifest.static.dir}, or correct the path"
    problems = [
        Problem(
            f"no page of this manifest answers {path}",
            manifest.locate(field),
            field,
            f"{_suggest_page(path, pages)}{hint}",
        )
        for field, path in _redirects(manifest.magic_link)
        if not is_served(path, pages)
    ]
    if problems:
        raise ManifestInvalid("a sign-in link would lead to a page that isn't there", problems=problems)


def is_served(path: str, pages: Iterable[str]) -> bool:
    """Whether hosting has a file for `path`: itself, as a page, or as a folder's index."""
    bare = path.strip("/")
    candidates = {bare, f"{bare}.html", f"{bare}/index.html"} if bare else {"index.html"}
    return not candidates.isdisjoint(pages)


def _suggest_page(path: str, pages: Iterable[str]) -> str:
    """The page that is spelled almost like this, as a question; empty where none is."""
    near = get_close_matches(
        path, {f"/{page.removesuffix('.html').removesuffix('index')}" for page in pages}, 1
    )
    return f"did you mean {near[0]}? Else " if near else ""


def _redirects(link: MagicLinkSpec) -> Iterator[tuple[str, str]]:
    """Each redirect path with the field it stands in."""
    yield f"{_FIELD}.redirect_url", link.redirect_url
    for index, path in enumerate(link.allowed_redirect_urls):
        if path != link.redirect_url:
            yield f"{_FIELD}.allowed_redirect_urls[{index}]", path
