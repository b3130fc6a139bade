"""The files that a site needs besides those of its folder: stub pages for redirects, and 404.html for unknown paths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mosaic_deploy.errors import ManifestInvalid, Problem
from mosaic_deploy.model.manifest import Manifest, StaticSpec
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.quantities import count_text
from mosaic_deploy.source.files.local_file import LocalFile, read_unchanged
from mosaic_deploy.source.routes.clean_urls import clean_page_notes, clean_pages, copied_page
from mosaic_deploy.source.routes.fallback_page import fallback_page
from mosaic_deploy.source.routes.headers_file import HEADERS_FILE, header_notes, parse_headers
from mosaic_deploy.source.routes.redirects_file import (
    REDIRECTS_FILE,
    Redirect,
    RedirectsFile,
    parse_redirects,
)
from mosaic_deploy.source.routes.stub_pages import stub_page
from mosaic_deploy.source.routes.stub_redirects import stub_redirects

ROUTE_FILES = (REDIRECTS_FILE, HEADERS_FILE)
"""Files at the top of the site folder that are read and not published."""
_MAX_SHOWN = 20
_MAX_REDIRECTS_SHOWN = 3

Files = Mapping[str, LocalFile]


@dataclass(frozen=True, slots=True)
class SiteRoutes:
    """The additional files by name, and notes. `copies` are files of the folder under another name.

    `pages` are those of the copies that are one folder deeper than their page, whose name is the value.
    """

    copies: Files = field(default_factory=dict)
    pages: Mapping[str, str] = field(default_factory=dict)
    redirects: Mapping[str, Redirect] = field(default_factory=dict)
    """By the name of their page."""
    notes: tuple[Note, ...] = ()

    @property
    def generated(self) -> dict[str, bytes]:
        """The pages of the redirects, by name."""
        return {name: stub_page(each) for name, each in self.redirects.items()}


def site_routes(manifest: Manifest, files: Files, route_files: Files) -> SiteRoutes:
    """The routes of a site with these `files`. Raises ManifestInvalid for mistakes in the manifest, SourceRefused for pages
    that clean_urls can't publish, and SourceChanged.

    What isn't possible of `route_files` is a warning, because they were written for another host.
    """
    spec = manifest.static
    if spec is None:
        return SiteRoutes()
    listed = _read_redirects(route_files)
    fallback = fallback_page(manifest, spec, listed, files)
    pages = clean_pages(spec, files)
    names = {*files, *fallback.copies, *pages}
    stubs, problems = stub_redirects(_redirects(manifest, spec, listed), names, has_fallback=fallback.wanted)
    found = [*listed.problems, *fallback.problems, *problems]
    if mistakes := [each for each in found if each.field]:
        raise ManifestInvalid(
            "some paths of the site can't be answered as the manifest says", problems=mistakes
        )
    notes = (
        *fallback.notes,
        *clean_page_notes(pages),
        *_stub_notes(stubs),
        *_impossible_notes(found),
        *_header_notes(route_files),
    )
    copies = {**fallback.copies, **{name: copied_page(files[page], name) for name, page in pages.items()}}
    return SiteRoutes(copies, pages, stubs, notes)


def _read_redirects(files: Files) -> RedirectsFile:
    file = files.get(REDIRECTS_FILE)
    return parse_redirects(_text(file), file.relative_path) if file else RedirectsFile()


def _header_notes(files: Files) -> Iterator[Note]:
    if file := files.get(HEADERS_FILE):
        yield from header_notes(parse_headers(_text(file), file.relative_path))


def _text(file: LocalFile) -> str:
    return read_unchanged(file).decode("utf-8-sig", "replace")


def _redirects(manifest: Manifest, spec: StaticSpec, listed: RedirectsFile) -> Iterator[Redirect]:
    """Those of the manifest first, which take precedence."""
    for number, each in enumerate(spec.redirects):
        path = f"static.redirects[{number}]"
        places = manifest.locate(f"{path}.from"), manifest.locate(f"{path}.to")
        yield Redirect(each.source, each.target, each.status, *places, path)
    yield from listed.redirects


def _stub_notes(stubs: Mapping[str, Redirect]) -> Iterator[Note]:
    if not stubs:
        return
    ordered = sorted(stubs.values(), key=lambda each: each.source)
    listed = [f"{each.source} → {each.target}" for each in ordered[:_MAX_REDIRECTS_SHOWN]]
    more = ["…"] if len(stubs) > _MAX_REDIRECTS_SHOWN else []
    message = (
        f"{count_text(len(stubs), 'redirect')} published as a page that sends the browser on ({', '.join([*listed, *more])}): "
        "hosting has no redirects, so the status is 200"
    )
    yield Note(
        "redirect_pages", message, Severity.INFO, tuple(f"static:{name}" for name in sorted(stubs)[:100])
    )


def _impossible_notes(problems: Sequence[Problem]) -> Iterator[Note]:
    for each in problems[:_MAX_SHOWN]:
        yield Note("redirect_not_possible", str(each), Severity.WARNING)
    if len(problems) > _MAX_SHOWN:
        more = count_text(len(problems) - _MAX_SHOWN, "more redirect")
        message = f"{problems[0].location.file}: {more} not possible"
        yield Note("redirect_not_possible", message, Severity.WARNING)
