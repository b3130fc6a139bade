"""The public URLs of storage files: as the platform lists them, and of files that aren't there yet, as far as it is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import nsmallest
from urllib.parse import quote, unquote

from mosaic_deploy.model.manifest import STORAGE_PATH

Listing = Mapping[str, tuple[int | None, str]]
"""Filename → (size or None, URL), as the platform lists it."""
_MAX_COMPARED = 100
"""Listed files that are asked what precedes a name, the first by name: the same in every run."""
_UNQUOTED = "/-._~!$&'()*+,;=:@"
"""The characters of a name, besides letters and digits, that are the same in a URL's path."""


@dataclass(frozen=True, slots=True)
class StorageUrls:
    """`listed` are the URLs of live files. `base` precedes the name in the URL of any other file; empty if unknown.

    It is a path (`/storage/`) on the embedded platform as long as the project doesn't exist.
    """

    listed: Mapping[str, str] = field(default_factory=dict)
    base: str = ""

    def of(self, name: str) -> str:
        """The URL that the file has, or will have; empty if that isn't known."""
        return self.listed.get(name) or (storage_url(self.base, name) if self.base else "")

    def known(self, names: Iterable[str]) -> dict[str, str]:
        """By name, the URLs of the files of which they are known."""
        return {name: url for name in names if (url := self.of(name))}

    @property
    def lasting(self) -> bool:
        """Whether pages may refer to the files: their URLs aren't signed for a while, and most end with the name."""
        return self.base != "" and not any("?" in url for url in self.listed.values())

    def exceptions(self, prefix: str) -> dict[str, str]:
        """By name, the URLs of live files whose names begin with `prefix` that aren't `base` and the name."""
        names = (name for name in self.listed if name.startswith(prefix))
        return {name: self.listed[name] for name in names if _base(name, self.listed[name]) != self.base}


def storage_url(base: str, name: str) -> str:
    return base + quote(name, safe=_UNQUOTED)


def storage_paths(names: Iterable[str]) -> dict[str, str]:
    """By name, the files' paths on a site of the embedded platform."""
    return {name: storage_url(STORAGE_PATH, name) for name in names}


def find_storage_urls(listed: Listing | None, site: str, *, embedded: bool) -> StorageUrls:
    """`site` is the project's URL, empty without one. Where the files of a hosted project are, only its listing says."""
    urls = {name: url for name, (_, url) in (listed or {}).items() if url}
    base = _common_base(urls)
    if not base and embedded:
        base = f"{site}{STORAGE_PATH}"
    return StorageUrls(urls, base)


def _common_base(urls: Mapping[str, str]) -> str:
    """What precedes the name in more than half of these URLs; empty if nothing does, as with signed ones."""
    compared = nsmallest(_MAX_COMPARED, urls)
    bases = Counter(_base(name, urls[name]) for name in compared)
    return next((base for base, count in bases.most_common(1) if count > len(compared) / 2), "")


def _base(name: str, url: str) -> str:
    """The part of `url` before `name`; empty if it doesn't end with the name."""
    parts = url.rsplit("/", name.count("/") + 1)
    return f"{parts[0]}/" if unquote("/".join(parts[1:])) == name else ""
