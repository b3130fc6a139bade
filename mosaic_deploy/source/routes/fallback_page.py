"""The page for paths without a file. Hosting answers them with 404.html and the status 404."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from mosaic_deploy.errors import Location, Problem
from mosaic_deploy.model.manifest import Manifest, StaticSpec, serving_names
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.source.files.local_file import LocalFile, read_unchanged
from mosaic_deploy.source.routes.redirects_file import RedirectsFile
from mosaic_deploy.source.site.html import base_address, parse_tags

NOT_FOUND_PAGE = "404.html"
_FIELD = "static.fallback"

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
    if note := _relative_note(page):
        notes.append(note)
    return FallbackPage(copies, tuple(notes), wanted=True)


def _fallback_note(name: str) -> Note:
    message = (
        f"unknown paths: {name} is also published as {NOT_FOUND_PAGE}, which the embedded platform answers them with, and the status "
        "404; the hosted platform's guide doesn't say how it answers them"
    )
    return Note("fallback_page", message, Severity.INFO, (f"static:{NOT_FOUND_PAGE}",))


def _relative_note(page: LocalFile) -> Note | None:
    text = read_unchanged(page).decode("utf-8", "replace")
    found = next(_relative_addresses(text), None)
    if found is None or base_address(text):
        return None
    attribute, address, start = found
    place = Location(page.relative_path, text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start))
    message = (
        f'{place} {attribute}="{address[:80]}" is relative, so the page finds it at / but not at a deeper path such as /a/b; '
        "begin such addresses with a slash (Vite: base: '/'), or add <base href=\"/\">"
    )
    return Note("fallback_relative", message, Severity.WARNING, (f"static:{NOT_FOUND_PAGE}",))


_LOADING = {"script": "src", "link": "href", "img": "src", "source": "src", "video": "src", "iframe": "src"}
"""Elements that load a file, and the attribute with its address."""
_ABSOLUTE = re.compile(r"\s*(?:/|#|[a-zA-Z][a-zA-Z0-9+.-]*:)|\s*\Z")


def _relative_addresses(text: str) -> Iterator[tuple[str, str, int]]:
    """The relative addresses of files that a page loads: attribute, address, and where it begins."""
    for tag, _, _ in parse_tags(text):
        attribute = _LOADING.get(tag.name, "")
        if attribute in tag.attributes:
            address, start, _, _ = tag.attributes[attribute]
            if not _ABSOLUTE.match(address):
                yield attribute, address, start
