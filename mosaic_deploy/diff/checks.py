"""What can be seen from the desired side alone."""

from __future__ import annotations

from collections.abc import Iterable

from mosaic_deploy.errors import Location, ManifestInvalid, Problem
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.model.snapshot import Settings, Snapshot


def check_pages(manifest: Manifest, desired: Snapshot) -> None:
    """Raises ManifestInvalid for sign-in links that lead to no page of this manifest."""
    if manifest.static is None or desired.auth is None or desired.static is None:
        return
    hint = "add the page to the static folder, or correct the path"
    problems = [
        Problem(
            f"no page of this manifest answers {path}", Location(manifest.file.name), "auth.magic_link", hint
        )
        for path in pages_missing(desired.auth, desired.static)
    ]
    if problems:
        raise ManifestInvalid("a sign-in link would lead to a page that isn't there", problems=problems)


def pages_missing(settings: Settings, static: Iterable[str]) -> list[str]:
    """The redirect paths that no deployed page answers."""
    pages = set(static)
    allowed = settings.get("allowed_redirect_urls")
    paths = [str(path) for path in allowed] if isinstance(allowed, list) else []
    return [path for path in paths if not pages & set(_answers(path))]


def _answers(path: str) -> tuple[str, ...]:
    """The files that hosting may serve for `path`."""
    bare = path.split("?", 1)[0].split("#", 1)[0].strip("/")
    if not bare:
        return ("index.html",)
    return (bare, f"{bare}.html", f"{bare}/index.html")
