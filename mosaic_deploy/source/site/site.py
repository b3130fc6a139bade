"""A site's files as they are on disk, and what is found in them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mosaic_deploy.model.manifest import SITE_STORAGE_PREFIX
from mosaic_deploy.source.files.folder import is_served_type
from mosaic_deploy.source.files.local_file import LocalFile, read_unchanged
from mosaic_deploy.source.site.analysis import TEXT_SUFFIXES, Analysis, analyse, line_of, suffix_of
from mosaic_deploy.source.site.analysis_cache import AnalysisCache
from mosaic_deploy.source.site.found import Role
from mosaic_deploy.source.site.resolve import StorageAddresses, Target, relative_address, resolve

_MAX_SIZE = 64 * 1024 * 1024
"""Bytes: larger texts aren't searched."""


@dataclass(frozen=True, slots=True)
class Site:
    """The files by name, with the digests on disk. Those in `moved` are served from storage."""

    files: Mapping[str, LocalFile] = field(default_factory=dict)
    analyses: Mapping[str, Analysis] = field(default_factory=dict)
    moved: frozenset[str] = frozenset()

    def new_address(self, name: str, role: Role, url: str, storage: StorageAddresses) -> str | None:
        """The address that the file `name` needs instead of `url`; None if it can stay, or if it isn't known."""
        if role in (Role.LINK, Role.REFERENCE):
            return self._new_reference(name, url, storage)
        return self._new_literal(name, role, url, storage)

    def _new_reference(self, name: str, url: str, storage: StorageAddresses) -> str | None:
        folder, base = folder_of(name), self.analyses[name].base
        target = resolve(folder, base, url)
        if target is None:
            return None
        if target.path in self.moved:
            address = storage.address(SITE_STORAGE_PREFIX + target.path)
            if storage.same_origin and not (target.rooted or base or name in self.moved):
                address = _like(url, relative_address(folder, address))
            return address + target.rest
        if name in self.moved and (target.path in self.files or name.endswith(".webmanifest")):
            return storage.site_address(target.path) + target.rest
        return None

    def _new_literal(self, name: str, role: Role, url: str, storage: StorageAddresses) -> str | None:
        found = self._literal_target(name, url)
        if found is None:
            return None
        folder, target = found
        address = storage.address(SITE_STORAGE_PREFIX + target.path)
        if target.rooted:
            return address + target.rest
        if storage.same_origin:
            return _like(url, relative_address(folder, address)) + target.rest
        return address + target.rest if role is Role.VALUE else None

    def _literal_target(self, name: str, url: str) -> tuple[str, Target] | None:
        """The moved file that a text in a script means, and the folder to which it is relative; None if there isn't exactly one.

        A script's text is relative to the site's root, as bundlers write it, or to the script's folder.
        """
        folders = ("",) if url.startswith("/") else ("", folder_of(name))
        found = [(folder, target) for folder in folders if (target := resolve(folder, "", url))]
        paths = {target.path for _, target in found if target.path in self.files}
        if len(paths) != 1 or paths.isdisjoint(self.moved):
            return None
        folder, target = next(each for each in found if each[1].path in paths)
        moves_along = name in self.moved and folder and not target.rooted
        return None if moves_along else (folder, target)

    def line(self, name: str, role: Role, url: str) -> tuple[int, int]:
        """Line and column of a reference. Raises SourceChanged."""
        charset = self.analyses[name].charset or ""
        return line_of(suffix_of(name), read_unchanged(self.files[name]), charset, role, url)


def folder_of(name: str) -> str:
    """The folder of a name, with a slash at its end; empty at the root."""
    folder = posixpath.dirname(name)
    return f"{folder}/" if folder else ""


def _like(url: str, relative: str) -> str:
    """The relative address with a dot before it if `url` has one, as imports need it."""
    return f"./{relative}" if url.startswith(".") and not relative.startswith(".") else relative


def read_site(
    files: Mapping[str, LocalFile],
    cache: AnalysisCache,
    *,
    storing: bool,
    known: Mapping[str, Analysis] | None = None,
) -> Site:
    """The site of the files that were read from disk. With `storing`, files of types that hosting refuses are moved.

    `known` are analyses of files that haven't changed. Raises SourceChanged.
    """
    moved = frozenset(name for name in files if not is_served_type(name)) if storing else frozenset()
    found = dict(_analyses(files, cache, known or {}))
    return Site(files, found, moved)


def _analyses(
    files: Mapping[str, LocalFile], cache: AnalysisCache, known: Mapping[str, Analysis]
) -> Iterator[tuple[str, Analysis]]:
    for name, file in files.items():
        suffix = suffix_of(name)
        if suffix not in TEXT_SUFFIXES or file.object.size > _MAX_SIZE:
            continue
        found = known.get(name) or cache.find(suffix, file.object.sha256)
        if found is None:
            found = analyse(suffix, read_unchanged(file))
            cache.keep(suffix, file.object.sha256, found)
        yield name, found
