"""A site's files as they are on disk, and what is found in them."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from mosaic_deploy.errors import Location
from mosaic_deploy.model.manifest import SITE_STORAGE_PREFIX
from mosaic_deploy.source.files.local_file import LocalFile, read_unchanged
from mosaic_deploy.source.site.analysis import (
    RULES,
    Analysis,
    places_of,
    suffix_of,
)
from mosaic_deploy.source.site.analysis_cache import AnalysisCache
from mosaic_deploy.source.site.found import Role
from mosaic_deploy.source.site.resolve import (
    StorageAddresses,
    Target,
    deeper_address,
    is_answered,
    relative_address,
    resolve,
)


class _NewAddresses:
    """What `Site.new_address` has found. Pages of one folder share most of their references."""

    def __init__(self) -> None:
        self._last: tuple[StorageAddresses | None, dict[tuple[str, str, str], str | None]] = None, {}

    def at(self, storage: StorageAddresses) -> dict[tuple[str, str, str], str | None]:
        """By folder, base address and reference."""
        last = self._last
        if last[0] is not storage:
            last = self._last = storage, {}
        return last[1]


@dataclass(frozen=True, slots=True)
class Site:
    """The files by name, with the digests on disk. Those in `moved` are served from storage."""

    files: Mapping[str, LocalFile] = field(default_factory=dict)
    analyses: Mapping[str, Analysis] = field(default_factory=dict)
    moved: frozenset[str] = frozenset()
    storing: bool = False
    """Whether files that hosting can't serve are moved."""
    limit: int | None = None
    """The largest static file in bytes, as far as the platform says. Larger ones are moved, but not pages."""
    storage_folders: tuple[str, ...] = ()
    """Folders, with a slash at their end, that are moved with all their files but pages."""
    moved_folders: frozenset[str] = frozenset()
    """Those of `storage_folders` and the folders in them, with a slash at their end, of which every file is moved."""
    copies: Mapping[str, str] = field(default_factory=dict)
    """Pages that are published a second time, one folder deeper: `about/index.html` → `about.html`. Both are in `files`."""
    _known: _NewAddresses = field(default_factory=_NewAddresses, init=False, compare=False, repr=False)

    @property
    def written(self) -> Iterator[tuple[str, Analysis]]:
        """What is found in each text file, without the copies."""
        return ((name, found) for name, found in self.analyses.items() if name not in self.copies)

    def new_address(self, name: str, reference: str, storage: StorageAddresses) -> str | None:
        """The address that the file `name` needs instead of a reference, as in an Analysis; None if it can stay, or isn't known."""
        page = self.copies.get(name)
        if page is not None:
            new = self.new_address(page, reference, storage)
            return self._address_in_copy(page, reference[0], reference[1:], new)
        if name in self.moved:
            return self._computed_address(name, reference, storage)
        known, key = self._known.at(storage), (folder_of(name), self.analyses[name].base, reference)
        if key not in known:
            known[key] = self._computed_address(name, reference, storage)
        return known[key]

    def _computed_address(self, name: str, reference: str, storage: StorageAddresses) -> str | None:
        """For a file that isn't moved, depends on nothing of it but its folder and base address."""
        role, url = reference[0], reference[1:]
        if role in (Role.LINK, Role.REFERENCE, Role.ADDRESS):
            return self._new_reference(name, role, url, storage)
        is_text = role in (Role.LITERAL, Role.VALUE, Role.STYLE)
        return self._new_literal(name, role, url, storage) if is_text else None

    def _address_in_copy(self, page: str, role: str, url: str, new: str | None) -> str | None:
        """What the copy needs if the page needs `new` instead of `url`; None for nothing else."""
        address = url if new is None else new
        base = self.analyses[page].base
        target = resolve(folder_of(page), "", address)
        if target is None or target.rooted or (base and role not in (Role.BASE, Role.LOCATION)):
            return new
        sure = role in (Role.LINK, Role.ADDRESS, Role.BASE, Role.LOCATION)
        return deeper_address(address) if sure or self._is_page_relative(page, role, url) else new

    def _is_page_relative(self, page: str, role: str, url: str) -> bool:
        """Whether a text of the page that may be an address is the path of a file, from the page's folder and from no other."""
        if role == Role.REFERENCE and url.strip().startswith(("./", "../")):
            return True
        own, root = resolve(folder_of(page), "", url), resolve("", "", url)
        if own is None or own.path not in self.files:
            return False
        return role == Role.REFERENCE or root == own or root is None or root.path not in self.files

    def references_to_moved(self) -> Iterator[tuple[str, list[str]]]:
        """Each text file with those of its references that may mean a moved file, or that move with it, by the last part.

        Without the copies.
        """
        lasts = {posixpath.basename(name) for name in self.moved}
        lasts |= {posixpath.basename(folder[:-1]) for folder in self.moved_folders}
        every = set().union(*(found.references for found in self.analyses.values()))
        suspects = {each for each in every if last_part(each[1:]) in lasts}
        for name, found in self.written:
            moves = name in self.moved
            if some := [each for each in found.references if moves or each in suspects]:
                yield name, some

    def moved_address(self, url: str, storage: StorageAddresses) -> str | None:
        """The address of the moved file that the root-relative `url` means; None for everything else."""
        target = resolve("", "", url)
        if target is None or target.path not in self.moved:
            return None
        return storage.address(SITE_STORAGE_PREFIX + target.path) + target.rest

    def _stored_address(self, path: str, storage: StorageAddresses) -> str | None:
        """The address of what `path` means, a moved file or folder."""
        if path not in self.moved:
            folder = SITE_STORAGE_PREFIX + path.rstrip("/") + "/"
            if not self.is_moved_folder(path) or any(name.startswith(folder) for name in storage.listed):
                return None
        return storage.address(SITE_STORAGE_PREFIX + path)

    def is_moved_folder(self, path: str) -> bool:
        """Whether `path`, with or without a slash at its end, is a folder of which every file is moved."""
        if path.endswith("/"):
            return path in self.moved_folders
        return f"{path}/" in self.moved_folders and not is_answered(path, self.files)

    def _new_reference(self, name: str, role: str, url: str, storage: StorageAddresses) -> str | None:
        folder, base = folder_of(name), self.analyses[name].base
        target = resolve(folder, base, url)
        if target is None:
            return None
        # A link to a folder means its page.
        stored = target.path in self.moved or role == Role.REFERENCE
        if stored and (found := self._stored_address(target.path, storage)) is not None:
            address = found
        elif name in self.moved and (target.path in self.files or name.endswith(".webmanifest")):
            address = storage.site_address(target.path)
        else:
            return None
        if storage.same_origin and not (target.rooted or base):
            if name in self.moved:
                folder = folder_of(storage.address(SITE_STORAGE_PREFIX + name)).lstrip("/")
            address = _like(url, relative_address(folder, address))
        return address + target.rest

    def _new_literal(self, name: str, role: str, url: str, storage: StorageAddresses) -> str | None:
        found = self.literal_target(name, url)
        if found is None or (role != Role.STYLE and self.moves_along(name, url)):
            return None
        folder, target = found
        if role == Role.STYLE and folder:
            return None
        address = self._stored_address(target.path, storage)
        if address is None:
            return None
        if target.rooted:
            return address + target.rest
        if storage.same_origin:
            return _like(url, relative_address(folder, address)) + target.rest
        return None if role == Role.LITERAL else address + target.rest

    def literal_target(self, name: str, url: str) -> tuple[str, Target] | None:
        """The moved file or folder that a text in a script means, and the folder to which it is relative; None if there isn't
        exactly one.

        A script's text is relative to the site's root, as bundlers write it, or to the script's folder.
        """
        own = folder_of(name)
        folders = ("",) if url.startswith("/") else (own,) if url.startswith("..") else ("", own)
        found = [(folder, target) for folder in folders if (target := resolve(folder, "", url))]
        paths = {t.path for _, t in found if t.path in self.files or self.is_moved_folder(t.path)}
        if len(paths) != 1 or not all(path in self.moved or path not in self.files for path in paths):
            return None
        return next(each for each in found if each[1].path in paths)

    def moves_along(self, name: str, url: str) -> bool:
        """Whether a text in a moved script means another moved file or folder, relative to the script's folder."""
        target = resolve(folder_of(name), "", url)
        if name not in self.moved or target is None or target.rooted:
            return False
        return target.path in self.moved or self.is_moved_folder(target.path)

    def places(self, name: str, references: Iterable[str], cache: AnalysisCache) -> dict[str, Location]:
        """Where the file `name` has each of these references, as in its Analysis, first. Raises SourceChanged."""
        file, suffix, charset = self.files[name], suffix_of(name), self.analyses[name].charset or ""
        keys = {each: _place_key(suffix, file.object.sha256, each) for each in references}
        known = {each: cache.find_pair(key) for each, key in keys.items()}
        if unknown := {each for each, place in known.items() if place is None}:
            found = places_of(suffix, read_unchanged(file), charset, unknown)
            known |= found
            for each, place in found.items():
                cache.keep_pair(keys[each], *place)
        return {
            each: Location(file.relative_path, int(place[0]), place[1])
            for each, place in known.items()
            if place is not None
        }


def _place_key(suffix: str, sha256: str, reference: str) -> str:
    facts = f"{RULES} {suffix} {sha256} {reference}"
    return hashlib.sha256(facts.encode("utf-8", "surrogatepass")).hexdigest()


def folder_of(name: str) -> str:
    """The folder of a name, with a slash at its end; empty at the root."""
    folder = posixpath.dirname(name)
    return f"{folder}/" if folder else ""


def last_part(url: str) -> str:
    """The name of the file or folder that an address ends with, decoded."""
    path = url.partition("#")[0].partition("?")[0]
    path = path.replace("\\", "/").rstrip("/")
    return unquote(path[path.rfind("/") + 1 :]).strip()


def _like(url: str, relative: str) -> str:
    """The relative address with a dot before it if `url` has one, as imports need it."""
    return f"./{relative}" if url.startswith(".") and not relative.startswith(".") else relative
