"""What is found in a text file, independent of its name: references, digests of other files, and its charset."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from base64 import b64encode
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial

from mosaic_deploy.source.site.charset import decode_text, encode_text, foreign_charset
from mosaic_deploy.source.site.css import css_edits
from mosaic_deploy.source.site.found import Edit, Found, Role, Visit, apply_edits
from mosaic_deploy.source.site.html import base_address, html_edits
from mosaic_deploy.source.site.policies import with_new_hashes
from mosaic_deploy.source.site.script import json_edits, payload_edits, script_edits, web_manifest_edits

RULES = 7
"""Changes when the same file gives another result."""
_SCRIPTS = frozenset({".js", ".mjs", ".cjs"})
_PAGES = frozenset({".html", ".htm", ".xhtml", ".svg"})
TEXT_SUFFIXES = _SCRIPTS | _PAGES | {".css", ".json", ".txt", ".webmanifest", ".gltf"}
"""Types whose references are found."""
LINKING_SUFFIXES = frozenset({".html", ".css", ".svg"})
"""Types whose links a browser follows or loads."""
_INTEGRITY = re.compile(r"sha(?:256|384|512)-[A-Za-z0-9+/]{43,86}={0,2}")
_HEX_DIGEST = re.compile(r"(?<=[\"'`])(?:[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{32})(?=[\"'`])")


@dataclass(frozen=True, slots=True)
class Analysis:
    """`charset` as in `foreign_charset`. `references` are addresses behind the letter of their role, each once."""

    charset: str | None = ""
    base: str = ""
    references: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    """Texts that may be digests of other files: `integrity` attributes, and hexadecimal literals in scripts."""


def suffix_of(name: str) -> str:
    return posixpath.splitext(name)[1].lower()


def analyse(suffix: str, content: bytes, *, data: bool = True) -> Analysis:
    """What is found in a file of the type `suffix`. Without `data`, of scripts and JSON only the charset."""
    charset = foreign_charset(suffix, content)
    if not data and suffix not in LINKING_SUFFIXES:
        return Analysis(charset)
    text = decode_text(content, charset or "")
    found: dict[str, None] = {}

    def note(reference: Found) -> None:
        found[reference.role + reference.url] = None

    edits_of(suffix, text, note)
    return Analysis(
        charset,
        base_address(text) if suffix in _PAGES else "",
        tuple(found),
        tuple(dict.fromkeys(_digests_in(suffix, text))),
    )


def edits_of(suffix: str, text: str, visit: Visit) -> list[Edit]:
    """The edits for the references that `visit` replaces, by the syntax of the type `suffix`."""
    if suffix in _PAGES:
        return html_edits(text, visit, xml=suffix == ".svg")
    find = _EDITS.get(suffix)
    return find(text, visit) if find else []


_EDITS: Mapping[str, Callable[[str, Visit], list[Edit]]] = {
    **dict.fromkeys(_SCRIPTS, script_edits),
    ".css": css_edits,
    ".json": json_edits,
    ".gltf": partial(json_edits, role=Role.REFERENCE),
    ".txt": payload_edits,
    ".webmanifest": web_manifest_edits,
}


def _digests_in(suffix: str, text: str) -> list[str]:
    if suffix in (".css", ".txt", ".svg"):
        return []
    found = _INTEGRITY.findall(text) if "sha" in text else []
    return found if suffix in _PAGES else [*found, *_HEX_DIGEST.findall(text)]


def digests_of(content: bytes) -> list[str]:
    """The digests under which another file may name this content; always in the same order."""
    integrity = (
        f"{name}-{b64encode(hashlib.new(name, content).digest()).decode()}"
        for name in ("sha256", "sha384", "sha512")
    )
    plain = (
        hashlib.new(name, content, usedforsecurity=False).hexdigest() for name in ("md5", "sha1", "sha256")
    )
    return [*integrity, *plain]


@dataclass(frozen=True, slots=True)
class TextRewrite:
    """How a text file differs from the file on disk when it is deployed."""

    suffix: str
    charset: str = ""
    addresses: Mapping[str, str] = field(default_factory=dict)
    """The new address of a reference, which has the letter of its role before it."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """The new digest of a rewritten file."""

    def __bool__(self) -> bool:
        return bool(self.charset or self.addresses or self.digests)

    def apply(self, content: bytes) -> bytes:
        """The content as deployed. Equal contents and rewrites give equal bytes."""
        old = text = decode_text(content, self.charset)
        if self.addresses:
            edits = edits_of(self.suffix, text, lambda f: self.addresses.get(f.role + f.url))
            text = apply_edits(text, edits)
        for digest, new in self.digests.items():
            text = text.replace(digest, new)
        if self.suffix in _PAGES:
            text = with_new_hashes(old, text)
        return encode_text(text, self.suffix, self.charset)

    def digest(self) -> str:
        """Of everything that the result depends on, besides the content."""
        facts = [RULES, self.suffix, self.charset]
        addresses = sorted(self.addresses.items())
        text = json.dumps([facts, addresses, sorted(self.digests.items())])
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def places_of(
    suffix: str, content: bytes, charset: str, references: Collection[str]
) -> dict[str, tuple[int, int]]:
    """Line and column, from 1, where each of these references, as in an Analysis, is first; (1, 1) if it isn't there."""
    text = decode_text(content, charset)
    starts: dict[str, int] = {}

    def note(found: Found) -> None:
        reference = found.role + found.url
        if reference in references:
            starts[reference] = min(starts.get(reference, found.start), found.start)

    edits_of(suffix, text, note)
    firsts = {reference: starts.get(reference, 0) for reference in references}
    return {
        reference: (text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start))
        for reference, start in firsts.items()
    }
