"""Which file of the site an address means, and the address of a file that is elsewhere now."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Container
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, unquote

from mosaic_deploy.model.manifest import STORAGE_PATH, serving_names

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//|\\\\|/\\|\\/")
_TEMPLATE = re.compile(r"\{\{|\{%|<%|\$\{|\[\[")
_UNQUOTED = "/-._~!$&'()*+,;=:@"


class Target(NamedTuple):
    """A path of the site without its first slash, and what follows it in the address (`?v=1#top`)."""

    path: str
    rest: str
    rooted: bool
    """Whether the address begins with a slash."""


def resolve(folder: str, base: str, url: str) -> Target | None:
    """What `url` means in a file of `folder` (empty, or with a slash at its end) that has the base address `base`.

    None for another site, for a place within the file itself, and for templates.
    """
    address = url.strip(" \t\n\f\r")
    if "\n" in address or "\t" in address:
        address = re.sub(r"[\t\n\r]", "", address)
    if _SCHEME.match(address) or _TEMPLATE.search(address):
        return None
    path, rest = _split(address)
    if not path:
        return None
    path = path.replace("\\", "/")
    rooted = path.startswith("/")
    if not rooted and base:
        above = resolve(folder, "", base)
        if above is None:
            return Target(_joined(folder, path), rest, rooted=False) if not _split(base)[0] else None
        folder, rooted = above.path.rpartition("/")[0], above.rooted
        folder = f"{folder}/" if folder else ""
    return Target(_joined("" if path.startswith("/") else folder, path), rest, rooted)


def _split(address: str) -> tuple[str, str]:
    end = len(address)
    for mark in "?#":
        found = address.find(mark, 0, end)
        end = found if found >= 0 else end
    return address[:end], address[end:]


def _joined(folder: str, path: str) -> str:
    """The path from the site's root, decoded. As in browsers, `..` stops at the root."""
    whole = f"/{folder}{unquote(path).lstrip('/')}"
    if "/." not in whole and "//" not in whole:
        return whole[1:]
    normal = posixpath.normpath(whole).lstrip("/")
    is_folder = whole.endswith(("/", "/.", "/.."))
    return f"{normal}/" if is_folder and normal else normal


def is_answered(path: str, names: Container[str]) -> bool:
    """Whether hosting serves `path`, decoded."""
    return path in names or any(name in names for name in serving_names(quote(path)))


@dataclass(frozen=True, slots=True)
class StorageAddresses:
    """Where storage files are served: `root` and the name, or the URL in `listed`.

    `root` is a path such as `/storage/` if that is on the site itself, else a URL. `site` is the site's URL. Unless `known`, it
    is an assumption, because no storage file exists yet.
    """

    root: str = STORAGE_PATH
    site: str = ""
    known: bool = False
    listed: tuple[tuple[str, str], ...] = ()
    """Names whose address isn't `root` and the name."""

    @property
    def same_origin(self) -> bool:
        return self.root.startswith("/")

    def address(self, name: str) -> str:
        return dict(self.listed).get(name) or self.root + quote(name, safe=_UNQUOTED)

    def site_address(self, path: str) -> str:
        """The address of a static file or page from a file in storage."""
        return ("" if self.same_origin else self.site) + "/" + quote(path, safe=_UNQUOTED)


def deeper_address(url: str) -> str:
    """The relative address `url` as it is written one folder deeper."""
    address = url.strip(" \t\n\f\r")
    while address.startswith("./"):
        address = address[2:]
    path, rest = _split(address)
    return f"../{rest}" if path == "." else f"../{address}"


def relative_address(folder: str, address: str) -> str:
    """The path `address` of the site, as it is written in a file of `folder`."""
    path = address.removeprefix("/")
    if not folder:
        return path
    shared = posixpath.commonpath([f"/{folder}", f"/{posixpath.dirname(path)}"]).removeprefix("/")
    depth = folder[len(shared) :].strip("/").count("/") + 1 if folder.rstrip("/") != shared else 0
    rest = path[len(shared) :].lstrip("/") if shared else path
    return "../" * depth + rest
