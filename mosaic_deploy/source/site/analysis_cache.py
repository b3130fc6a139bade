"""Keeps what was found in files, where, and the digests of rewritten files, so that an unchanged site isn't parsed again.

One cache file per project folder, in the user's cache folder, by the digests of contents. Losing it only costs time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path

from mosaic_deploy.source.files.stat_cache import read_owned_file, replace_file
from mosaic_deploy.source.site.analysis import RULES, Analysis
from mosaic_deploy.user_cache import cache_folder

_VERSION = f"mosaic-deploy site 1 {RULES}"
_MAX_UNSEEN = 2000
"""Entries kept that this run didn't use, as another environment may."""
_MAX_BYTES = 1 << 30
"""In memory: a larger cache isn't read."""


class AnalysisCache:
    """Analyses by type and digest of a file; pairs, as of a digest and a size, by the digest of what they depend on."""

    def __init__(self, path: Path | None) -> None:
        """With `path` None, nothing is loaded or saved."""
        self._path = path
        self._known: dict[str, Analysis] = {}
        self._pairs: dict[str, tuple[str | int, int]] = {}
        self._seen: set[str] = set()
        self._changed = False
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, IndexError, zlib.error):
            self._read()

    def find(self, kind: str, sha256: str) -> Analysis | None:
        self._seen.add(kind + sha256)
        return self._known.get(kind + sha256)

    def keep(self, kind: str, sha256: str, analysis: Analysis) -> None:
        self._known[kind + sha256] = analysis
        self._seen.add(kind + sha256)
        self._changed = True

    def find_pair(self, key: str) -> tuple[str | int, int] | None:
        self._seen.add(key)
        return self._pairs.get(key)

    def keep_pair(self, key: str, first: str | int, second: int) -> None:
        self._pairs[key] = first, second
        self._seen.add(key)
        self._changed = True

    def write(self) -> None:
        """Writes the file atomically if there is something new. With concurrent runs, the last one wins."""
        if self._path is None or not self._changed:
            return
        with contextlib.suppress(OSError, ValueError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            replace_file(self._path, zlib.compress(self._document(), 1))
        self._changed = False

    def _document(self) -> bytes:
        texts: dict[str, int] = {}

        def number(text: str) -> int:
            return texts.setdefault(text, len(texts))

        def entry(found: Analysis) -> list[object]:
            numbers = [number(each) for each in found.references]
            return [found.charset, found.base, numbers, list(found.digests)]

        known = {key: entry(self._known[key]) for key in self._kept(self._known)}
        pairs = {key: self._pairs[key] for key in self._kept(self._pairs)}
        return json.dumps([_VERSION, list(texts), known, pairs]).encode()

    def _kept(self, entries: Mapping[str, object]) -> list[str]:
        used = [key for key in entries if key in self._seen]
        return used + [key for key in entries if key not in self._seen][:_MAX_UNSEEN]

    def _read(self) -> None:
        if self._path is None:
            return
        unpacked = zlib.decompressobj().decompress(read_owned_file(self._path), _MAX_BYTES)
        version, texts, known, pairs = json.loads(unpacked)
        if version != _VERSION:
            return
        self._known = {
            key: Analysis(charset, base, tuple([texts[each] for each in numbers]), tuple(digests))
            for key, (charset, base, numbers, digests) in known.items()
        }
        self._pairs = {key: (first, second) for key, (first, second) in pairs.items()}


def analysis_cache(root: Path) -> AnalysisCache:
    """The cache of the project folder `root`; empty if there is no usable one."""
    key = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:16]
    return AnalysisCache(cache_folder() / f"files-{key}-site.bin")
