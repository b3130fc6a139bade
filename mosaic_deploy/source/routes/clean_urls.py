"""Addresses without .html: each page is also published as the first page of a folder of its name.

Vercel (`cleanUrls`), Netlify and Cloudflare Pages answer `/about` with about.html. Whether this hosting does isn't documented; that
it answers a folder with its index.html is what every host of files does. The page stays at its old path as it is, for links,
scripts, service workers and services that ask for exactly that file.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import replace

from mosaic_deploy.errors import Location, Problem, SourceRefused
from mosaic_deploy.model.manifest import StaticSpec
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.quantities import count_text
from mosaic_deploy.source.files.local_file import LocalFile
from mosaic_deploy.source.files.names import name_problem

_PAGE = ".html"
_SPECIAL = frozenset({"index.html", "404.html", _PAGE})
"""Names of pages that a folder or an unknown path is answered with."""
_MAX_SHOWN = 3

Files = Mapping[str, LocalFile]


def clean_pages(spec: StaticSpec, files: Files) -> dict[str, str]:
    """The names under which pages are published a second time, and the pages; empty without `clean_urls`.

    Raises SourceRefused for pages whose second name another file has, or that is too long.
    """
    if not spec.clean_urls:
        return {}
    pages = {name for name in files if _is_clean(name) and name != spec.fallback}
    chosen = {f"{name.removesuffix(_PAGE)}/index.html": name for name in sorted(pages)}
    if problems := [each for name, page in chosen.items() if (each := _problem(files, name, page))]:
        raise SourceRefused(
            "two pages would have the same address, which clean_urls doesn't allow",
            hint="rename or delete one of the two, or leave it out with static.exclude",
            problems=problems,
        )
    return chosen


def _is_clean(name: str) -> bool:
    return name.endswith(_PAGE) and posixpath.basename(name) not in _SPECIAL


def _problem(files: Files, name: str, page: str) -> Problem | None:
    path = files[page].relative_path
    if other := files.get(name):
        address = name.removesuffix("index.html")
        return Problem(f"{other.relative_path} answers /{address} already", Location(path))
    return name_problem(path, name)


def copied_page(page: LocalFile, name: str) -> LocalFile:
    """The page under another name, with the content on disk."""
    return LocalFile(replace(page.object, path=name), page.root, page.relative_path)


def clean_page_notes(pages: Mapping[str, str]) -> Iterator[Note]:
    """Which pages are published twice."""
    if not pages:
        return
    listed = [f"{page} → {name}" for name, page in list(pages.items())[:_MAX_SHOWN]]
    more = ["…"] if len(pages) > _MAX_SHOWN else []
    message = f"{count_text(len(pages), 'page')} also published as the first page of a folder ({', '.join([*listed, *more])})"
    yield Note("clean_urls", message, Severity.INFO, tuple(f"static:{name}" for name in list(pages)[:100]))
