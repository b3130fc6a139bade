"""Folders with pages: sites without a generator, and the output of builds that aren't known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from mosaic_deploy.source.detection.packages import Package
from mosaic_deploy.source.detection.script_frameworks import package_build
from mosaic_deploy.source.detection.site import PLAIN, Build, Project, Rank, Site
from mosaic_deploy.source.detection.tree import upwards

_PAGE = "index.html"
_OUTPUTS = ("dist", "build", "out", "_site", ".output", ".vitepress", ".vuepress")
"""Names of folders that builds fill and that nobody edits, the likeliest first."""
_SITES = ("public", "site", "www", "static", "htdocs", "html", "web")
_REPORTS = frozenset({"doc", "docs", "api", "apidoc", "apidocs", "javadoc", "reports", "storybook-static"})
_COMPILES = re.compile(r"\s*(tsc|tsup|tsdown|unbuild|nest|swc|babel|rollup|turbo|nx|lerna)\b[^&;|]*")


def plain_sites(project: Project) -> Iterator[Site]:
    """The folders with index.html that aren't in another such folder, the likeliest first.

    The project's own folder isn't one, nor is that of a package: its page is a source.
    """
    tree = project.tree
    found: set[str] = set()
    for place, content in tree.folders.items():
        is_site = _PAGE in content.files and place != "." and place not in project.packages
        if is_site and found.isdisjoint(upwards(place)):
            found.add(place)
    for place in sorted(found, key=_likelihood):
        build = _build_of(project, place)
        yield Site(build.dir if build else place, PLAIN, place, build, project.rank(place, _rank(place)))


def unknown_builds(project: Project) -> Iterator[Package]:
    """The packages with a script `build` that may make a site, which a compiler alone doesn't."""
    for folder, package in project.packages.items():
        script = package.scripts.get("build")
        if script and not _COMPILES.fullmatch(script) and project.rank(folder, Rank.APP) is Rank.APP:
            yield package


def is_output(place: str) -> bool:
    """Whether the folder is named like one that builds fill, or in one."""
    return not set(_OUTPUTS).isdisjoint(PurePosixPath(place).parts)


def _rank(place: str) -> Rank:
    parts = PurePosixPath(place).parts
    usual = parts[-1] in _SITES or is_output(place)
    return Rank.APP if usual and _REPORTS.isdisjoint(parts) else Rank.DOCS


def _likelihood(place: str) -> tuple[int, int, str]:
    parts = PurePosixPath(place).parts
    names = (*_OUTPUTS, *_SITES)
    order = min((names.index(part) for part in parts if part in names), default=len(names))
    return len(parts), order, place


def _build_of(project: Project, place: str) -> Build | None:
    """The script `build` of the package that the folder is in, if the folder is named like one that builds fill."""
    package = project.package_of(place)
    if package is None or "build" not in package.scripts:
        return None
    inside = PurePosixPath(place).relative_to(package.folder).parts
    if not inside or inside[0] not in _OUTPUTS:
        return None
    return package_build(project, package, f"{package.manager} run build")
