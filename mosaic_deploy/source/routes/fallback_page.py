"""The page for paths without a file. Hosting answers them with 404.html and the status 404."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from urllib.parse import urlsplit

from mosaic_deploy.errors import Location, Problem
from mosaic_deploy.model.manifest import Manifest, StaticSpec, serving_names
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.source.files.local_file import LocalFile, read_unchanged
from mosaic_deploy.source.routes.redirects_file import RedirectsFile

NOT_FOUND_PAGE = "404.html"
_FIELD = "static.fallback"
_MAX_SIZE = 256 * 1024
"""Bytes of a page that is searched for relative addresses: such pages are small."""

Files = Mapping[str, LocalFile]


@dataclass(frozen=True, slots=True)
class FallbackPage:
    """`copies` has 404.html as another name of the page, unless the folder has it. `wanted`: unknown paths are routes."""

    copies: Files = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    problems: tuple[Problem, ...] = ()
    wanted: bool = False


def fallback_page(manifest: Manifest, spec: StaticSpec, listed: RedirectsFile, files: Files) -> FallbackPage:
    """The page of `static.fallback`, else of the rule for all paths in `_redirects`, if there is one.

    The problems of the manifest have its field, those of `_redirects` have none. Raises SourceChanged.
    """
    if spec.fallback is not None:
        location = manifest.locate(_FIELD)
        if spec.fallback in files:
            return _page(spec.fallback, location, files, _FIELD)
        problem = Problem(f"{spec.dir} has no file {spec.fallback}", location, _FIELD)
        return FallbackPage(problems=(problem,), wanted=True)
    if listed.fallback is None:
        return FallbackPage()
    target, location = listed.fallback
    names = [
        name
        for name in serving_names(urlsplit(target).path)
        if name.lower().endswith(".html") and name in files
    ]
    if names:
        return _page(names[0], location, files, "")
    return FallbackPage(problems=(Problem(f"/*: no page answers {target}", location),))


def _page(name: str, location: Location, files: Files, field_name: str) -> FallbackPage:
    page, existing = files[name], files.get(NOT_FOUND_PAGE)
    if existing is not None and existing.object.sha256 != page.object.sha256:
        message = (
            f"{existing.relative_path} answers unknown paths already, so {name} can't; delete one of the two"
        )
        return FallbackPage(problems=(Problem(message, location, field_name),), wanted=True)
    copies = (
        {}
        if existing
        else {
            NOT_FOUND_PAGE: LocalFile(
                replace(page.object, path=NOT_FOUND_PAGE), page.root, page.relative_path
            )
        }
    )
    notes = [_fallback_note(name)] if copies else []
    if page.object.size <= _MAX_SIZE and (note := _relative_note(page)):
        notes.append(note)
    return FallbackPage(copies, tuple(notes), wanted=True)


def _fallback_note(name: str) -> Note:
    message = (
        f"unknown paths: {name} is also published as {NOT_FOUND_PAGE}, which the embedded platform answers them with, and the status "
        "404; the hosted platform's guide doesn't say how it answers them"
    )
    return Note("fallback_page", message, Severity.INFO, (f"static:{NOT_FOUND_PAGE}",))


def _relative_note(page: LocalFile) -> Note | None:
    parser = _FirstRelativeAddress()
    parser.feed(read_unchanged(page).decode("utf-8", "replace"))
    parser.close()
    if parser.found is None or parser.has_base:
        return None
    attribute, address, line, column = parser.found
    place = Location(page.relative_path, line, column)
    message = (
        f'{place} {attribute}="{address}" is relative, so the page finds it at / but not at a deeper path such as /a/b; '
        "begin such addresses with a slash (Vite: base: '/'), or add <base href=\"/\">"
    )
    return Note("fallback_relative", message, Severity.WARNING, (f"static:{NOT_FOUND_PAGE}",))


_LOADING = {"script": "src", "link": "href", "img": "src", "source": "src", "video": "src", "iframe": "src"}
"""Elements that load a file, and the attribute with its address."""
_ABSOLUTE = re.compile(r"\s*(?:/|#|[a-zA-Z][a-zA-Z0-9+.-]*:)|\s*\Z")


class _FirstRelativeAddress(HTMLParser):
    """Finds the first relative address of a file that a page loads, and whether the page says what addresses begin at."""

    def __init__(self) -> None:
        super().__init__()
        self.found: tuple[str, str, int, int] | None = None
        self.has_base = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "base":
            self.has_base = self.has_base or any(name == "href" for name, _ in attributes)
        name = _LOADING.get(tag)
        address = dict(attributes).get(name) if name else None
        if self.found is None and name and address and not _ABSOLUTE.match(address):
            line, column = self.getpos()
            self.found = name, address[:80], line, column + 1
