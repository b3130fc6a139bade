"""Keeps what was found in files, and the digests of rewritten files, so that an unchanged site isn't parsed again.

One cache file per project folder, in the user's cache folder, by the digests of contents. Losing it only costs time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zlib
from pathlib import Path

from mosaic_deploy.source.files.stat_cache import read_owned_file, replace_file
from mosaic_deploy.source.site.analysis import RULES, Analysis
from mosaic_deploy.source.site.found import Role
from mosaic_deploy.user_cache import cache_folder

_VERSION = f"mosaic-deploy site 1 {RULES}"
_MAX_UNSEEN = 2000
"""Entries kept that this run didn't use, as another environment may."""
_MAX_BYTES = 1 << 30
"""In memory: a larger cache isn't read."""


class AnalysisCache:
    """Analyses by type and digest of a file, and (digest, size) of rewritten files by what they depend on."""

    def __init__(self, path: Path | None) -> None:
        """With `path` None, nothing is loaded or saved."""
        self._path = path
        self._known: dict[str, Analysis] = {}
        self._rewritten: dict[str, tuple[str, int]] = {}
        self._seen: set[str] = set()
        self._changed = False
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, IndexError, zlib.error):
            self._read()

    def find(self, suffix: str, sha256: str) -> Analysis | None:
        self._seen.add(suffix + sha256)
        return self._known.get(suffix + sha256)

    def keep(self, suffix: str, sha256: str, analysis: Analysis) -> None:
        self._known[suffix + sha256] = analysis
        self._seen.add(suffix + sha256)
        self._changed = True

    def find_rewritten(self, key: str) -> tuple[str, int] | None:
        self._seen.add(key)
        return self._rewritten.get(key)

    def keep_rewritten(self, key: str, sha256: str, size: int) -> None:
        self._rewritten[key] = sha256, size
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
            references = [f"{role}{url}" for role, url in found.references]
            return [found.charset, found.base, [number(each) for each in references], list(found.digests)]

        known = {key: entry(self._known[key]) for key in self._kept(self._known)}
        rewritten = {key: self._rewritten[key] for key in self._kept(self._rewritten)}
        return json.dumps([_VERSION, list(texts), known, rewritten]).encode()

    def _kept(self, entries: dict[str, Analysis] | dict[str, tuple[str, int]]) -> list[str]:
        used = [key for key in entries if key in self._seen]
        return used + [key for key in entries if key not in self._seen][:_MAX_UNSEEN]

    def _read(self) -> None:
        if self._path is None:
            return
        unpacked = zlib.decompressobj().decompress(read_owned_file(self._path), _MAX_BYTES)
        version, texts, known, rewritten = json.loads(unpacked)
        if version != _VERSION:
            return
        references = [(Role(text[0]), text[1:]) for text in texts]
        self._known = {
            key: Analysis(charset, base, tuple(references[each] for each in numbers), tuple(digests))
            for key, (charset, base, numbers, digests) in known.items()
        }
        self._rewritten = {key: (sha256, size) for key, (sha256, size) in rewritten.items()}


def analysis_cache(root: Path) -> AnalysisCache:
    """The cache of the project folder `root`; empty if there is no usable one."""
    key = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:16]
    return AnalysisCache(cache_folder() / f"files-{key}-site.bin")
