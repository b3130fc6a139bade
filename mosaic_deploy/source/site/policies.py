"""Content-Security-Policy in pages: the hashes of inline scripts and styles that were rewritten, and what blocks storage."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from mosaic_deploy.source.site.html import Tag, parse_tags

POLICY = "content-security-policy"
_HASHES = ("sha256", "sha384", "sha512")
_INLINE = frozenset({"script", "style"})
_SUFFIXES = {
    "font-src": ".woff .woff2 .ttf .otf .eot",
    "img-src": ".avif .bmp .apng .jxl .heic .tif .tiff .png .jpg .jpeg .gif .ico .webp .svg",
    "media-src": ".mp4 .m4v .webm .ogv .mov .mp3 .m4a .ogg .oga .wav .flac .aac .opus .vtt",
    "script-src": ".js .mjs .cjs",
    "style-src": ".css",
    "manifest-src": ".webmanifest",
    "connect-src": ".wasm .json .txt .xml .csv .tsv .geojson .bin .data .gltf .glb .pb .parquet .onnx",
}
_DIRECTIVES = {suffix: directive for directive, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
"""The directive that decides whether a page loads a file of a type."""
_SOURCE = re.compile(r"(?:(https?)://)?(\*\.)?([^/:*'\s]+)(?::(\d+|\*))?(/.*)?")


def with_new_hashes(old: str, new: str) -> str:
    """The page `new`, which is `old` with other addresses, with the hashes that its policies need."""
    if POLICY not in old.lower():
        return new
    changed: dict[str, str] = {}
    for before, after in zip(_inline_texts(old), _inline_texts(new), strict=True):
        if before != after:
            changed.update(zip(_hashes(before), _hashes(after), strict=True))
    if not changed:
        return new
    parts: list[str] = []
    done = 0
    for start, end in _policy_ranges(new):
        policy = new[start:end]
        for digest, replacement in changed.items():
            policy = policy.replace(digest, replacement)
        parts += new[done:start], policy
        done = end
    return "".join([*parts, new[done:]])


def _inline_texts(text: str) -> Iterator[str]:
    for tag, start, end in parse_tags(text):
        if tag.name in _INLINE and not tag.value("src"):
            yield text[start:end]
        if style := tag.value("style"):
            yield style


def _hashes(text: str) -> list[str]:
    content = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "surrogateescape")
    return [f"{name}-{b64encode(hashlib.new(name, content).digest()).decode()}" for name in _HASHES]


def _policy_ranges(text: str) -> Iterator[tuple[int, int]]:
    for tag, _, _ in parse_tags(text):
        if is_policy(tag):
            yield tag.attributes["content"][1:3]


def is_policy(tag: Tag) -> bool:
    """Whether the element has a policy in its attribute `content`."""
    return tag.name == "meta" and tag.value("http-equiv").lower() == POLICY and "content" in tag.attributes


def blocked_directives(policy: str, url: str, suffixes: Iterable[str]) -> tuple[str, ...]:
    """The directives of a policy, sorted, that don't let a page load files of these types from below `url`."""
    stated: dict[str, list[str]] = {}
    for part in policy.split(";"):
        if words := part.split():
            stated.setdefault(words[0].lower(), words[1:])
    found = set()
    for directive in {_DIRECTIVES[suffix] for suffix in suffixes if suffix in _DIRECTIVES}:
        names = (f"{directive}-elem", directive, "default-src")
        name = next((each for each in names if each in stated), None)
        if name and not any(_allows(source, url) for source in stated[name]):
            found.add(name)
    return tuple(sorted(found))


def _allows(source: str, url: str) -> bool:
    place = urlsplit(url)
    if source in ("*", f"{place.scheme}:"):
        return True
    found = _SOURCE.fullmatch(source)
    if found is None or source.startswith("'"):
        return False
    scheme, wildcard, host, port, path = found.groups()
    name = place.hostname or ""
    same_host = name.endswith(f".{host.lower()}") if wildcard else name == host.lower()
    same_port = port == "*" or port == str(place.port) or (port is None and place.port is None)
    below = path in (None, "", "/") or (path.endswith("/") and place.path.startswith(path))
    return same_host and same_port and below and scheme in (None, place.scheme)
