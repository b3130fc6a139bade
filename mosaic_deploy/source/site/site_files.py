"""The files of the static section: as they are on disk, as they are deployed, and what to report about them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mosaic_deploy.errors import Location, ManifestInvalid, Problem, SourceRefused
from mosaic_deploy.model.manifest import SITE_STORAGE_PREFIX, Manifest, StaticSpec
from mosaic_deploy.model.plan import Note
from mosaic_deploy.source.files.folder import is_served_type
from mosaic_deploy.source.files.local_file import LocalFile, read_unchanged
from mosaic_deploy.source.files.names import name_problem
from mosaic_deploy.source.site.analysis import LINKING_SUFFIXES, TEXT_SUFFIXES, Analysis, analyse, suffix_of
from mosaic_deploy.source.site.analysis_cache import AnalysisCache, analysis_cache
from mosaic_deploy.source.site.links import (
    Broken,
    broken_link_notes,
    broken_links,
    broken_links_text,
    charset_notes,
    links_key,
    parse_broken_links,
    refuse_broken_links,
)
from mosaic_deploy.source.site.published import Published, publish
from mosaic_deploy.source.site.resolve import StorageAddresses
from mosaic_deploy.source.site.site import Site
from mosaic_deploy.source.site.stored_notes import moved_notes

_MAX_SIZE = 64 * 1024 * 1024
"""Bytes: larger texts aren't searched."""


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
            files,
            self.cache,
            storing=before.storing,
            limit=before.limit,
            known=known,
            copies=before.copies,
            storage_folders=before.storage_folders,
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
    storage_folders: tuple[str, ...] = (),
) -> SiteFiles:
    """The site of the files that were read from disk. `stored` are the names of the storage section, `copies` and `storage_folders` as
    in Site; for the others see SiteFiles.

    Raises SourceRefused for broken links if the manifest says so, and for names that can't be in storage; SourceChanged.
    """
    cache = analysis_cache(root)
    try:
        site = read_site(
            files, cache, storing=spec.uses_storage, copies=copies, storage_folders=storage_folders
        )
        if spec.uses_storage:
            _refuse_names(site, stored)
        read = SiteFiles(
            site, check_links=spec.check_links, also=frozenset(also), fallback=fallback, cache=cache
        )
        return replace(read, broken=read._checked(site), published=publish(site, read.addresses, cache))
    finally:
        cache.write()


def storage_folders(manifest: Manifest, files: Collection[str]) -> tuple[str, ...]:
    """The folders of `static.storage_folders`, each with a slash at its end.

    Raises ManifestInvalid for one without files, and if files don't go into storage.
    """
    spec = manifest.static
    if spec is None:
        return ()
    problems = []
    found: dict[str, None] = {}
    for number, given in enumerate(spec.storage_folders):
        folder, path = f"{given.strip('/')}/", f"static.storage_folders[{number}]"
        if not spec.uses_storage:
            message, hint = "nothing of the site goes into storage", "add `unsupported: storage` under static"
        elif not any(name.startswith(folder) for name in files):
            message, hint = (
                f"{spec.dir} has no files in a folder {folder}",
                "paths are relative to static.dir",
            )
        else:
            found[folder] = None
            continue
        problems.append(Problem(message, manifest.locate(path), path, hint=hint))
    if problems:
        raise ManifestInvalid("some folders can't be served from storage", problems=problems)
    return tuple(found)


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


def read_site(
    files: Mapping[str, LocalFile],
    cache: AnalysisCache,
    *,
    storing: bool,
    limit: int | None = None,
    known: Mapping[str, Analysis] | None = None,
    copies: Mapping[str, str] | None = None,
    storage_folders: tuple[str, ...] = (),
) -> Site:
    """The site of the files that were read from disk. With `storing`, files that hosting can't serve are moved.

    `known` are analyses of files that haven't changed; for the others see Site. Raises SourceChanged.
    """
    found = dict(_analyses(files, cache, known or {}, data=storing))
    site = Site(files, found, storing=storing, copies=copies or {}, storage_folders=storage_folders)
    return with_size_limit(site, limit)


def with_size_limit(site: Site, limit: int | None) -> Site:
    """The site for a platform with this limit."""
    if not site.storing:
        return replace(site, moved=frozenset(), moved_folders=frozenset(), limit=limit)
    moved = frozenset(
        name
        for name, file in site.files.items()
        if not is_served_type(name) or (suffix_of(name) != ".html" and _goes_along(site, file, name, limit))
    )
    return replace(site, moved=moved, moved_folders=_moved_folders(site, moved), limit=limit)


def _goes_along(site: Site, file: LocalFile, name: str, limit: int | None) -> bool:
    """Whether a file of a type that hosting serves is moved: it is too large, or its folder is moved."""
    return (limit is not None and file.object.size > limit) or name.startswith(site.storage_folders)


def _moved_folders(site: Site, moved: frozenset[str]) -> frozenset[str]:
    if not site.storage_folders:
        return frozenset()
    inside = [name for name in site.files if name.startswith(site.storage_folders)]
    left = {folder for name in inside if name not in moved for folder in _folders_above(name)}
    every = {folder for name in inside for folder in _folders_above(name)}
    return frozenset(folder for folder in every - left if folder.startswith(site.storage_folders))


def _folders_above(name: str) -> Iterator[str]:
    """The folders that the file is in, each with a slash at its end."""
    at = name.find("/")
    while at >= 0:
        yield name[: at + 1]
        at = name.find("/", at + 1)


def _analyses(
    files: Mapping[str, LocalFile], cache: AnalysisCache, known: Mapping[str, Analysis], *, data: bool
) -> Iterator[tuple[str, Analysis]]:
    for name, file in files.items():
        suffix = suffix_of(name)
        if suffix not in TEXT_SUFFIXES or file.object.size > _MAX_SIZE:
            continue
        kind = suffix if data or suffix in LINKING_SUFFIXES else f"{suffix} charset "
        found = known.get(name) or cache.find(kind, file.object.sha256)
        if found is None:
            found = analyse(suffix, read_unchanged(file), data=data)
            cache.keep(kind, file.object.sha256, found)
        yield name, found
