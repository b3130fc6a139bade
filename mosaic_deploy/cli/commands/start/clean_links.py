"""Whether a site's pages refer to each other without .html."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from mosaic_deploy.model.manifest import serving_names
from mosaic_deploy.source.detection.site import Site
from mosaic_deploy.source.detection.tree import Tree, join
from mosaic_deploy.source.site.found import Found, Role
from mosaic_deploy.source.site.html import base_address, html_edits
from mosaic_deploy.source.site.resolve import resolve

_MAX_PAGES = 100
"""Pages that are read: in a site, all are linked in the same way."""
_PAGE = ".html"


def needs_clean_urls(tree: Tree, site: Site) -> bool:
    """Whether the build's settings say so, or a page has such a link; False for a site that clean_urls would refuse."""
    names = set(tree.names_below(site.dir))
    if any(f"{name.removesuffix(_PAGE)}/index.html" in names for name in names if name.endswith(_PAGE)):
        return False
    return site.clean_urls or any(_is_clean(path, names) for path in _linked_paths(tree, site.dir, names))


def _is_clean(path: str, names: Collection[str]) -> bool:
    """Whether only a page with .html after the path answers it, if hosting does that."""
    path = path.rstrip("/")
    answering = next((name for name in serving_names(path) if name in names), "")
    return path != "" and answering == f"{path}{_PAGE}"


def _linked_paths(tree: Tree, folder: str, names: Collection[str]) -> Iterator[str]:
    for name in sorted(each for each in names if each.endswith(_PAGE))[:_MAX_PAGES]:
        text = tree.read(join(folder, name))
        found: list[str] = []

        def note(reference: Found, found: list[str] = found) -> None:
            if reference.role == Role.LINK:
                found.append(reference.url)

        html_edits(text, note)
        place = f"{name.rpartition('/')[0]}/".removeprefix("/")
        base = base_address(text)
        yield from (target.path for url in found if (target := resolve(place, base, url)))
