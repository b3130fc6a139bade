"""The files of a site as they are deployed: under which name, and rewritten how."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from mosaic_deploy.model.manifest import SITE_STORAGE_PREFIX
from mosaic_deploy.model.snapshot import Object
from mosaic_deploy.source.files.local_file import LocalFile, Rewrite, read_unchanged
from mosaic_deploy.source.site.analysis import TextRewrite, digests_of, suffix_of
from mosaic_deploy.source.site.analysis_cache import AnalysisCache
from mosaic_deploy.source.site.resolve import StorageAddresses
from mosaic_deploy.source.site.site import Site


@dataclass(frozen=True, slots=True)
class Published:
    """Static files and the site's files in storage, by their names on the platform."""

    static: dict[str, LocalFile] = field(default_factory=dict)
    stored: dict[str, LocalFile] = field(default_factory=dict)


def publish(site: Site, storage: StorageAddresses, cache: AnalysisCache) -> Published:
    """The files to deploy. Equal files and addresses give equal results. Raises SourceChanged."""
    rewrites = _with_digests(site, dict(_rewrites(site, storage)))
    result = Published()
    for name, file in site.files.items():
        rewrite = rewrites.get(name)
        deployed = _rewritten(file, rewrite, cache) if rewrite else file
        if name in site.moved:
            stored = replace(deployed.object, path=SITE_STORAGE_PREFIX + name)
            result.stored[stored.path] = replace(deployed, object=stored)
        else:
            result.static[name] = deployed
    return result


def _rewrites(site: Site, storage: StorageAddresses) -> Iterator[tuple[str, TextRewrite]]:
    """The rewrites of files that refer to files elsewhere, are copies in another folder, or aren't in UTF-8."""
    references = dict(site.references_to_moved()) if site.moved else {}
    for name, found in site.analyses.items():
        addresses = {
            each: new
            for each in (found.references if name in site.copies else references.get(name, ()))
            if (new := site.new_address(name, each, storage)) is not None and new != each[1:]
        }
        if rewrite := TextRewrite(suffix_of(name), found.charset or "", addresses):
            yield name, rewrite


def _rewritten(file: LocalFile, rewrite: TextRewrite, cache: AnalysisCache) -> LocalFile:
    key = hashlib.sha256(f"{file.object.sha256} {rewrite.digest()}".encode()).hexdigest()
    known = cache.find_pair(key)
    if known is None:
        content = rewrite.apply(read_unchanged(file))
        known = hashlib.sha256(content).hexdigest(), len(content)
        cache.keep_pair(key, *known)
    source = Rewrite(file.object.sha256, file.object.size, rewrite.apply)
    return replace(file, object=Object(file.object.path, str(known[0]), known[1]), rewrite=source)


def _with_digests(site: Site, rewrites: dict[str, TextRewrite]) -> Mapping[str, TextRewrite]:
    """The rewrites with those of files that name the digest of a rewritten one: `integrity` attributes, lists of service workers.

    A file that names the digest of a rewritten file is rewritten itself, and another one may name its digest. No two files can
    name each other's.
    """
    mentioned = {digest for found in site.analyses.values() for digest in found.digests}
    if not mentioned:
        return rewrites
    return _Digests(site, rewrites, mentioned).resolved()


class _Digests:
    """Resolves which files name the digests of rewritten files."""

    def __init__(self, site: Site, rewrites: dict[str, TextRewrite], mentioned: set[str]) -> None:
        self._site = site
        self._rewrites = rewrites
        self._mentioned = mentioned
        self._hexadecimal = any("-" not in digest for digest in mentioned)
        self._named: dict[str, list[str]] = {}
        """Digest of a rewritten file's content on disk, if a file names it → names of files with it."""

    def resolved(self) -> Mapping[str, TextRewrite]:
        by_digest: dict[str, list[str]] = {}
        for name, found in self._site.analyses.items():
            for digest in found.digests:
                by_digest.setdefault(digest, []).append(name)
        # A file that names a digest means the page, not its copy.
        waiting = [name for name in self._rewrites if name not in self._site.copies]
        while waiting:
            name = waiting.pop()
            for digest in self._old_digests(name):
                self._named.setdefault(digest, []).append(name)
                for dependent in by_digest[digest]:
                    if dependent not in self._rewrites:
                        charset = self._site.analyses[dependent].charset or ""
                        self._rewrites[dependent] = TextRewrite(suffix_of(dependent), charset)
                        waiting += [dependent] if dependent not in self._site.copies else []
        if not self._named:
            return self._rewrites
        done: dict[str, TextRewrite] = {}
        for name in self._rewrites:
            self._resolve(name, done)
        return {name: rewrite for name, rewrite in done.items() if rewrite}

    def _old_digests(self, name: str) -> Iterable[str]:
        if not (self._hexadecimal or suffix_of(name) in (".js", ".css", ".mjs", ".json")):
            return ()
        found = digests_of(read_unchanged(self._site.files[name]))
        return [digest for digest in found if digest in self._mentioned]

    def _resolve(self, name: str, done: dict[str, TextRewrite]) -> TextRewrite:
        if name not in done:
            new = {
                digest: changed
                for digest in self._site.analyses[name].digests
                if digest in self._named and (changed := self._new_digest(digest, done)) not in ("", digest)
            }
            done[name] = replace(self._rewrites[name], digests=new)
        return done[name]

    def _new_digest(self, digest: str, done: dict[str, TextRewrite]) -> str:
        """The digest of the same kind of the rewritten file; empty if files with one content become different ones."""
        found = set()
        for name in self._named[digest]:
            old = read_unchanged(self._site.files[name])
            new = self._resolve(name, done).apply(old)
            found.add(digests_of(new)[digests_of(old).index(digest)])
        return found.pop() if len(found) == 1 else ""
