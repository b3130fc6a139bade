"""Links to files that don't exist, and other problems of a site that a browser would meet."""

from __future__ import annotations

import posixpath
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

from mosaic_deploy.errors import Location, Problem, SourceRefused
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.source.site.analysis import suffix_of
from mosaic_deploy.source.site.found import Role
from mosaic_deploy.source.site.resolve import StorageAddresses, Target, is_answered, resolve
from mosaic_deploy.source.site.site import Site, folder_of

_LINKING = frozenset({".html", ".css", ".svg"})
_ANSWERED_FOLDERS = ("storage/", ".mosaic/")
"""Where the platform itself answers."""
_MAX_NOTES = 20
_MAX_NAMES = 3


@dataclass(frozen=True, slots=True)
class BrokenLink:
    """The link `url` in the file `name` to `path`, which nothing answers."""

    name: str
    role: Role
    url: str
    path: str


Broken = Mapping[str, tuple[BrokenLink, ...]]
"""By file, only those with broken links."""


def broken_links(
    site: Site, also: Iterable[str] = (), known: Broken | None = None, edited: Container[str] = ()
) -> Broken:
    """The links that no file of the site answers. `also` are the names of generated files.

    With `known`, of a site with the same names, only the `edited` files are checked again.
    """
    names = {*site.files, *also}
    folded: dict[tuple[str, str, str], Target | None] = {}
    broken: dict[str, tuple[BrokenLink, ...]] = {}
    for name, found in site.analyses.items():
        if suffix_of(name) not in _LINKING:
            continue
        if known is not None and name not in edited:
            if name in known:
                broken[name] = known[name]
            continue
        folder, base = folder_of(name), found.base
        missing = []
        for role, url in found.references:
            if role is not Role.LINK:
                continue
            key = folder, base, url
            if key not in folded:
                target = resolve(folder, base, url)
                answered = target is None or is_answered(target.path, names)
                folded[key] = None if answered or _is_platforms(target) else target
            if target := folded[key]:
                missing.append(BrokenLink(name, role, url, target.path))
        if missing:
            broken[name] = tuple(missing)
    return broken


def _is_platforms(target: Target | None) -> bool:
    return target is not None and target.path.startswith(_ANSWERED_FOLDERS)


def refuse_broken_links(site: Site, broken: Broken) -> None:
    """Raises SourceRefused with the places of all broken links."""
    links = [link for each in broken.values() for link in each]
    if links:
        raise SourceRefused(
            "links to files that don't exist",
            hint="correct the links or add the files; `check_links: warn` under static makes this a warning",
            problems=[Problem(f"no file answers {link.url}", _place(site, link)) for link in links[:100]],
        )


def broken_link_notes(site: Site, broken: Broken) -> Iterator[Note]:
    """A warning for each missing file, with the first link to it."""
    by_path: dict[str, list[BrokenLink]] = {}
    for each in broken.values():
        for link in each:
            by_path.setdefault(link.path, []).append(link)
    for path in list(by_path)[:_MAX_NOTES]:
        first, *others = by_path[path]
        more = f" ({len(others):,} more links to it)" if others else ""
        message = f"{_place(site, first)}: no file answers {first.url}{more}{_suggestion(site, path)}"
        yield Note("link_broken", message, Severity.WARNING, (f"static:{first.name}",))
    if len(by_path) > _MAX_NOTES:
        message = f"{len(by_path) - _MAX_NOTES:,} more missing files are linked to; `check_links: error` under static lists them"
        yield Note("link_broken", message, Severity.WARNING)


def _place(site: Site, link: BrokenLink) -> Location:
    return Location(site.files[link.name].relative_path, *site.line(link.name, link.role, link.url))


def _suggestion(site: Site, path: str) -> str:
    """A file whose name differs only in case."""
    found = next((name for name in site.files if name.lower() == path.lower()), "")
    return f"; the file is {found}" if found else ""


def charset_notes(site: Site) -> Iterator[Note]:
    """Which texts are converted to UTF-8, and which can't be."""
    converted = [name for name, found in site.analyses.items() if found.charset]
    unknown = [name for name, found in site.analyses.items() if found.charset is None]
    if converted:
        message = f"converted to UTF-8 while deploying, as which hosting serves every text: {_names_text(converted)}"
        yield Note("charset_converted", message, Severity.INFO, tuple(f"static:{n}" for n in converted[:100]))
    if unknown:
        message = (
            f"not in UTF-8, as which hosting serves every text, and no other encoding is declared: {_names_text(unknown)}; "
            "save as UTF-8"
        )
        yield Note("charset_unknown", message, Severity.WARNING, tuple(f"static:{n}" for n in unknown[:100]))


def moved_notes(site: Site, storage: StorageAddresses) -> Iterator[Note]:
    """What to know about files that are served from storage, and references to them that can't be rewritten."""
    if not site.moved:
        return
    if not storage.known:
        message = (
            "no storage file exists yet, so its address isn't known; this plan assumes "
            f"{storage.root}NAME, and apply writes the real ones into the files that refer to storage"
        )
        yield Note("storage_address_assumed", message, Severity.INFO)
    if not storage.same_origin and (moved := sorted(n for n in site.moved if suffix_of(n) in _NEED_CORS)):
        message = (
            f"{storage.root} is another origin than the site: browsers load fonts, module scripts, WebAssembly and data "
            f"from there only if it allows that (CORS), which isn't known ({_names_text(moved)}); check the site after the apply"
        )
        yield Note("storage_other_origin", message, Severity.WARNING)
    if pages := sorted(n for n in site.moved if suffix_of(n) in _PAGES):
        message = f"storage doesn't show pages, it downloads them: {_names_text(pages)}; rename to .html"
        yield Note("page_in_storage", message, Severity.WARNING)
    yield from _reference_notes(site, storage)


_NEED_CORS = frozenset(
    ".woff .woff2 .ttf .otf .eot .mjs .cjs .wasm .webmanifest .vtt .gltf .glb .xml .bin .data .pdf .csv .geojson .avif".split()  # noqa: SIM905
) - {".pdf", ".avif"}
_PAGES = frozenset({".htm", ".xhtml", ".shtml", ".php"})


def _reference_notes(site: Site, storage: StorageAddresses) -> Iterator[Note]:
    basenames = {posixpath.basename(name): name for name in site.moved}
    named: set[str] = set()
    left: dict[str, list[BrokenLink]] = {}
    for name, found in site.analyses.items():
        for role, url in found.references:
            last = url.partition("?")[0].partition("#")[0].rpartition("/")[2]
            moved = basenames.get(last)
            if site.new_address(name, role, url, storage) is not None:
                target = resolve(folder_of(name), found.base, url)
                named.add(target.path if target and target.path in site.moved else moved or "")
                named.add(moved or "")
            elif moved and role in (Role.LITERAL, Role.VALUE):
                left.setdefault(moved, []).append(BrokenLink(name, role, url, moved))
    shown = sorted(left)[:_MAX_NOTES]
    for moved in shown:
        first, *others = left[moved]
        more = f" and {len(others):,} more places" if others else ""
        message = (
            f"{_place(site, first)}{more}: {first.url} may mean {moved}, which is in storage now; it isn't rewritten, because only "
            "the running script knows the whole address"
        )
        yield Note("reference_not_rewritten", message, Severity.WARNING, (f"static:{first.name}",))
    if len(left) > len(shown):
        message = f"{len(left) - len(shown):,} more files in storage have references that aren't rewritten"
        yield Note("reference_not_rewritten", message, Severity.WARNING)
    unnamed = sorted(site.moved - named - left.keys())
    if unnamed:
        message = (
            f"in storage, and named by no page, stylesheet or script: {_names_text(unnamed)}; a visitor or a script that asks for "
            "the old address doesn't find them"
        )
        yield Note("stored_file_unnamed", message, Severity.INFO)


def _names_text(names: list[str]) -> str:
    shown = [name if name.isprintable() else ascii(name) for name in names[:_MAX_NAMES]]
    more = [f"and {len(names) - _MAX_NAMES:,} more"] if len(names) > _MAX_NAMES else []
    return ", ".join([*shown, *more])
