"""Checks that need only the desired side."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from difflib import get_close_matches

from mosaic_deploy.errors import ManifestInvalid, Problem
from mosaic_deploy.model.manifest import Manifest, is_served
from mosaic_deploy.model.snapshot import Snapshot
from mosaic_deploy.model.variable_value import revealed_text

_FIELD = "auth.magic_link"


def check_redirect_pages(manifest: Manifest, desired: Snapshot) -> None:
    """Raises ManifestInvalid if a magic link's redirect has no page in this manifest."""
    if manifest.static is None:
        return
    pages = frozenset(desired.static or ())
    folder = manifest.written.get("static.dir", manifest.static.dir)
    empty = "" if any(page.endswith(".html") for page in pages) else f"{folder} has no pages; "
    hint = f"{empty}add the page to {folder}, or correct the path"
    problems = [
        Problem(
            f"no page answers {manifest.written.get(field, path)}",
            manifest.locate(field),
            field,
            # A suggestion for a value of a variable would show parts of it.
            hint if field in manifest.written else f"{_suggest_page(path, pages)}{hint}",
        )
        for field, path in _redirects(manifest)
        if not is_served(path, pages)
    ]
    if problems:
        raise ManifestInvalid("a magic link would redirect to a missing page", problems=problems)


def _suggest_page(path: str, pages: Collection[str]) -> str:
    """ "did you mean …?" with the most similar page; "" if there is none."""
    if path.endswith("/") and is_served(path.rstrip("/"), pages):
        return f"write it without the slash: {path.rstrip('/')}. Otherwise "
    near = get_close_matches(
        path, {f"/{page.removesuffix('.html').removesuffix('index')}" for page in pages}, 1
    )
    return f"did you mean {near[0]}? Otherwise " if near else ""


def _redirects(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """(field, path) of each redirect."""
    check, link = manifest.verify.magic_link, manifest.magic_link
    if check and check.redirect_url:
        yield "verify.magic_link.redirect_url", revealed_text(check.redirect_url)
    if link is None:
        return
    yield f"{_FIELD}.redirect_url", link.redirect_url
    for index, path in enumerate(link.allowed_redirect_urls):
        if path != link.redirect_url:
            yield f"{_FIELD}.allowed_redirect_urls[{index}]", path
