"""A site whose index.html is in the project folder itself: which files and folders beside it belong to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mosaic_deploy.model.manifest import serving_names
from mosaic_deploy.source.detection.project import Detected
from mosaic_deploy.source.detection.site import Rank, Site
from mosaic_deploy.source.detection.tree import Tree, is_below, is_sample
from mosaic_deploy.source.files.gitignore import escaped_pattern
from mosaic_deploy.source.site.analysis import LINKING_SUFFIXES, TEXT_SUFFIXES, edits_of, suffix_of
from mosaic_deploy.source.site.found import Found, Role
from mosaic_deploy.source.site.html import base_address
from mosaic_deploy.source.site.resolve import resolve

_MAX_READ = 500
"""Files in which references are looked for."""
_USUAL = ("favicon.ico", "robots.txt", "_redirects", "_headers", "404.html", "ads.txt", "humans.txt")
"""Files that browsers and programs ask for though no page names them, and those that say how the site answers."""
_USUAL_FOLDERS = (".well-known", "css", "js", "img", "images", "fonts", "icons", "styles", "scripts")
_NOT_ADDRESSES = frozenset({Role.POLICY, Role.BASE, Role.LOCATION})


def included_beside(found: Detected) -> tuple[str, ...]:
    """The patterns of `static.include` for a site beside the manifest; none if there isn't one, or another one is likelier."""
    likelier = any(site.rank is Rank.APP for site in found.site_choices) or any(
        site.problem for site in found.sites
    )
    if not found.has_root_page or likelier or found.builds:
        return ()
    tree = found.tree
    tops = {name.partition("/")[0]: None for name in _site_files(tree)}
    tops |= {name: None for name in _USUAL if tree.has(name)}
    tops |= {name: None for name in _USUAL_FOLDERS if name in tree.subfolders(".")}
    others = [each.path for each in found.migrations.folders]
    folders = {name for name in tops if name in tree.subfolders(".")}
    wrong = {name for name in folders if is_sample(name) or any(is_below(path, name) for path in others)}
    return tuple(
        f"/{escaped_pattern(name)}{'/' if name in folders else ''}" for name in tops if name not in wrong
    )


def _site_files(tree: Tree) -> Iterator[str]:
    """The pages of the folder itself, and the files that they lead to."""
    pages = (name for name in tree.files(".") if name.endswith(".html"))
    pending = list(dict.fromkeys(["index.html", *pages]))
    known = set(pending)
    read = 0
    for name in pending:
        yield name
        suffix = suffix_of(name)
        if suffix not in TEXT_SUFFIXES or (read := read + 1) > _MAX_READ:
            continue
        for path in _references(tree, name, suffix):
            file = next((each for each in serving_names(path) if tree.has(each)), None)
            if file and file not in known:
                known.add(file)
                pending.append(file)


def _references(tree: Tree, name: str, suffix: str) -> Iterator[str]:
    """The paths that a file may mean, encoded as in addresses: relative to its folder, and of scripts to the site."""
    text = tree.read(name)
    urls: list[str] = []

    def note(found: Found) -> None:
        if found.role not in _NOT_ADDRESSES:
            urls.append(found.url)

    edits_of(suffix, text, note)
    place = f"{name.rpartition('/')[0]}/".removeprefix("/")
    base = base_address(text) if suffix == ".html" else ""
    folders = (place,) if suffix in LINKING_SUFFIXES else ("", place)
    for url in urls:
        for folder in folders:
            if target := resolve(folder, base, url):
                yield target.path.replace("%", "%25")


def published_names(tree: Tree, site: Site, include: Sequence[str]) -> Iterator[str]:
    """The files of the site that are there: all of its folder, or those that `include` names in the project folder."""
    if not include:
        return tree.names_below(site.dir)
    tops = {each.strip("/").replace("\\", "") for each in include}
    return (name for name in tree.names_below(".") if name.partition("/")[0] in tops)
