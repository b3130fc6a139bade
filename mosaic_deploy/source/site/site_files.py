"""The files of the static section: as they are on disk, as they are deployed, and what to report about them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mosaic_deploy.errors import Location, Problem, SourceRefused
from mosaic_deploy.model.manifest import SITE_STORAGE_PREFIX, StaticSpec
from mosaic_deploy.model.plan import Note
from mosaic_deploy.source.files.local_file import LocalFile
from mosaic_deploy.source.files.names import name_problem
from mosaic_deploy.source.site.analysis_cache import AnalysisCache, analysis_cache
from mosaic_deploy.source.site.links import (
    Broken,
    broken_link_notes,
    broken_links,
    broken_links_text,
    charset_notes,
    links_key,
    moved_notes,
    parse_broken_links,
    refuse_broken_links,
)
from mosaic_deploy.source.site.published import Published, publish
from mosaic_deploy.source.site.resolve import StorageAddresses
from mosaic_deploy.source.site.site import Site, read_site, with_size_limit


@dataclass(frozen=True, slots=True)
class SiteFiles:
    """The site on disk, and what is deployed if storage files are at `addresses`."""

    site: Site = field(default_factory=Site)
    published: Published = field(default_factory=Published)
    addresses: StorageAddresses = field(default_factory=StorageAddresses)
    broken: Broken = field(default_factory=dict)
    check_links: str = "off"
    also: frozenset[str] = frozenset()
    """Names of generated files, which answer links too."""
    fallback: bool = False
    """Whether a page answers paths without a file."""
    cache: AnalysisCache = field(default_factory=lambda: AnalysisCache(None), compare=False, repr=False)

    def at(self, addresses: StorageAddresses) -> SiteFiles:
        """The same files, with storage files at other addresses. Raises SourceChanged."""
        if addresses == self.addresses or not self.site.moved:
            return self
        published = self.published
        if (addresses.root, addresses.listed) != (
            self.addresses.root,
            self.addresses.listed,
        ) or not addresses.same_origin:
            published = publish(self.site, addresses, self.cache)
            self.cache.write()
        return replace(self, addresses=addresses, published=published)

    def moved_address(self, target: str) -> str | None:
        """The address in storage of what `target` means, as of a redirect; None for other targets."""
        return self.site.moved_address(target, self.addresses)

    def within(self, limit: int) -> SiteFiles:
        """The same files for a platform with this limit, in bytes, for a static file. Raises SourceChanged and SourceRefused."""
        site = with_size_limit(self.site, limit)
        if site.moved == self.site.moved:
            return replace(self, site=site)
        _refuse_names(site, ())
        published = publish(site, self.addresses, self.cache)
        self.cache.write()
        return replace(self, site=site, published=published)

    def with_edits(self, edited: Mapping[str, LocalFile]) -> SiteFiles:
        """The site after known files were edited. Raises SourceChanged, and SourceRefused as `read_site_files`."""
        files = {**self.site.files, **edited}
        known = {name: found for name, found in self.site.analyses.items() if name not in edited}
        before = self.site
        site = read_site(
            files, self.cache, storing=before.storing, limit=before.limit, known=known, copies=before.copies
        )
        broken = self._checked(site, self.broken, edited.keys())
        return replace(self, site=site, broken=broken, published=publish(site, self.addresses, self.cache))

    def _checked(self, site: Site, known: Broken | None = None, edited: Collection[str] = ()) -> Broken:
        if self.check_links == "off":
            return {}
        key = links_key(site, self.also, fallback=self.fallback)
        found = self.cache.find_pair(key)
        if found is not None:
            broken = parse_broken_links(str(found[0]))
        else:
            broken = broken_links(site, self.also, known, edited, fallback=self.fallback)
            self.cache.keep_pair(key, broken_links_text(broken), 0)
        if self.check_links == "error":
            refuse_broken_links(site, broken, self.cache)
        return broken

    def notes(self) -> tuple[Note, ...]:
        """Warnings about broken links, encodings, and references to files in storage. Raises SourceChanged."""
        found = (
            *broken_link_notes(self.site, self.broken, self.cache),
            *charset_notes(self.site),
            *moved_notes(self.site, self.addresses, self.cache),
        )
        self.cache.write()
        return found


def read_site_files(
    root: Path,
    spec: StaticSpec,
    files: Mapping[str, LocalFile],
    also: Iterable[str],
    stored: Iterable[str],
    *,
    fallback: bool = False,
    copies: Mapping[str, str] | None = None,
) -> SiteFiles:
    """The site of the files that were read from disk. `stored` are the names of the storage section, `copies` as in Site;
    for the others see SiteFiles.

    Raises SourceRefused for broken links if the manifest says so, and for names that can't be in storage; SourceChanged.
    """
    cache = analysis_cache(root)
    try:
        site = read_site(files, cache, storing=spec.uses_storage, copies=copies)
        if spec.uses_storage:
            _refuse_names(site, stored)
        read = SiteFiles(
            site, check_links=spec.check_links, also=frozenset(also), fallback=fallback, cache=cache
        )
        return replace(read, broken=read._checked(site), published=publish(site, read.addresses, cache))
    finally:
        cache.write()


def _refuse_names(site: Site, stored: Iterable[str]) -> None:
    problems = [
        Problem(
            f"the name begins with {SITE_STORAGE_PREFIX}, which is for the site's files in storage",
            Location(name),
            hint="rename the folder, or set storage.prefix",
        )
        for name in stored
        if name.startswith(SITE_STORAGE_PREFIX)
    ]
    for name in site.moved:
        path = site.files[name].relative_path
        if problem := name_problem(path, SITE_STORAGE_PREFIX + name):
            problems.append(problem)
    if problems:
        raise SourceRefused("some files can't be put into storage", problems=problems)
