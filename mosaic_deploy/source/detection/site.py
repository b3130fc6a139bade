"""A site that was detected: where its files are, what builds them, and what is known about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

from mosaic_deploy.source.detection.packages import Package
from mosaic_deploy.source.detection.settings import script_setting
from mosaic_deploy.source.detection.tree import Tree, is_below, is_sample, join, upwards

PLAIN = "plain files"
"""The name of no framework."""


class Rank(IntEnum):
    """How likely a site is the one to deploy, the likeliest first."""

    APP = 0
    DOCS = 1
    """Documentation, or a folder of pages that nothing is known about."""
    SAMPLE = 2
    """In a folder of examples, tests or reports."""


@dataclass(frozen=True, slots=True)
class Build:
    """A command, the folder that it runs in, and `inputs` if that folder isn't all that it reads. Paths are those of the tree."""

    command: str
    dir: str
    inputs: tuple[str, ...] = ()
    manager: str = ""
    """The package manager, if the command is one of a package."""


@dataclass(frozen=True, slots=True)
class Site:
    """A site. `folder` is that of its sources; `dir` has the files to publish, and may not exist before the build."""

    folder: str
    framework: str
    dir: str
    build: Build | None = None
    rank: Rank = Rank.APP
    fallback: str | None = None
    problem: str = ""
    """Why it can't be deployed as it is; empty if it can."""
    notes: tuple[str, ...] = ()
    clean_urls: bool = False
    """Whether its pages are `about.html` and their links say `/about`, by the settings of what builds it."""
    public: str | None = None
    """A folder whose files are copied into `dir` as they are."""

    @property
    def title(self) -> str:
        """`apps/web (Vite)`, or the folder to publish if nothing builds it."""
        if self.framework == PLAIN:
            return self.dir
        return self.framework if self.folder == "." else f"{self.folder} ({self.framework})"


@dataclass(frozen=True, slots=True)
class Project:
    """What the detection of frameworks works on."""

    tree: Tree
    packages: Mapping[str, Package] = field(default_factory=dict)

    def package_of(self, folder: str) -> Package | None:
        """The package that `folder` is in."""
        return next((self.packages[place] for place in upwards(folder) if place in self.packages), None)

    def rank(self, folder: str, usual: Rank) -> Rank:
        return Rank.SAMPLE if is_sample(folder) else usual


def without_covered(sites: Sequence[Site]) -> Iterator[Site]:
    """The sites without folders of files that belong to another one: its output, or a part of its sources."""
    known = [site for site in sites if site.framework != PLAIN]
    yield from known
    for site in sites:
        if site.framework == PLAIN and not any(_covers(each, site.dir) for each in known):
            yield site


def _covers(site: Site, folder: str) -> bool:
    if is_below(folder, site.dir) or is_below(site.dir, folder):
        return True
    return is_below(folder, site.folder) and (site.folder != "." or site.rank is Rank.APP)


_ROUTERS = frozenset(
    "react-router react-router-dom @tanstack/react-router @tanstack/solid-router @tanstack/vue-router wouter wouter-preact "  # noqa: SIM905
    "@reach/router vue-router @solidjs/router solid-app-router preact-router preact-iso svelte-routing sv-router "
    "@mateothegreat/svelte5-router @roxi/routify @angular/router @vaadin/router navigo page universal-router raviger".split()
)
"""Packages that route in the browser, by the path."""


def client_router(package: Package) -> str | None:
    """The package's router that works in the browser."""
    return min(_ROUTERS & package.dependencies, default=None)


def with_fallback(project: Project, site: Site, package: Package) -> Site:
    """The site with its page for unknown paths, if it is one page with a router and has no page of its own for them."""
    public = site.public or join(site.folder, "public")
    router = client_router(package)
    if router is None or project.tree.has(join(public, "404.html")):
        return site
    note = f"static.fallback is index.html because package.json has {router}: unknown paths show the app, with the status 404"
    return replace(site, fallback="index.html", notes=(*site.notes, note))


def base_note(text: str, name: str, file: str) -> tuple[str, ...]:
    """A note about a setting that puts the site below a path, which it won't be."""
    value = script_setting(text, name)
    if value is None or value in ("", "/", "./"):
        return ()
    return (f"{file} sets {name} to {value}, but the site is at /: set it to / or its addresses won't work",)
