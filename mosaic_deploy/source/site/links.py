"""Links to files that don't exist, and other problems of a site that a browser would meet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterable, Iterator, Mapping

from mosaic_deploy.errors import Problem, SourceRefused
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.quantities import count_text
from mosaic_deploy.source.site.analysis import LINKING_SUFFIXES, RULES, suffix_of
from mosaic_deploy.source.site.analysis_cache import AnalysisCache
from mosaic_deploy.source.site.found import Role
from mosaic_deploy.source.site.references import MAX_NOTES, Reference, find_places, names_text
from mosaic_deploy.source.site.resolve import is_answered, resolve
from mosaic_deploy.source.site.site import Site, folder_of

_ANSWERED_FOLDERS = ("storage/", ".mosaic/")
"""Where the platform itself answers."""
_MAX_PROBLEMS = 100


Broken = Mapping[str, tuple[Reference, ...]]
"""By file, only those with broken links."""


def broken_links(
    site: Site,
    also: Iterable[str] = (),
    known: Broken | None = None,
    edited: Container[str] = (),
    *,
    fallback: bool = False,
) -> Broken:
    """The links that no file of the site answers. `also` are the names of generated files; a `fallback` answers paths like those of pages.

    With `known`, of a site with the same names, only the `edited` files are checked again.
    """
    names = {*site.files, *also}
    broken: dict[str, tuple[Reference, ...]] = {}
    by_folder: dict[tuple[str, str], dict[str, str]] = {}
    for name, found in site.written:
        if suffix_of(name) not in LINKING_SUFFIXES:
            continue
        if known is not None and name not in edited:
            if name in known:
                broken[name] = known[name]
            continue
        paths = by_folder.setdefault((folder_of(name), found.base), {})
        missing = []
        for reference in found.references:
            path = paths.get(reference)
            if path is None:
                path = paths[reference] = _missing_path(name, found.base, reference, names, fallback=fallback)
            if path:
                missing.append(Reference(name, reference[1:], path))
        if missing:
            broken[name] = tuple(missing)
    return broken


def links_key(site: Site, also: Iterable[str], *, fallback: bool) -> str:
    """A digest of everything that the site's broken links depend on."""
    digest = hashlib.sha256(f"{RULES} {fallback}\n".encode())
    for name, file in sorted(site.files.items()):
        content = file.object.sha256 if suffix_of(name) in LINKING_SUFFIXES else ""
        digest.update(f"{name}\n{content}\n".encode())
    digest.update("\n".join([*sorted(also), "", *sorted(site.copies)]).encode())
    return digest.hexdigest()


def broken_links_text(broken: Broken) -> str:
    """The broken links as text, for the cache."""
    return json.dumps([[link.name, link.url, link.path] for each in broken.values() for link in each])


def parse_broken_links(text: str) -> Broken:
    """The broken links of a text of `broken_links_text`."""
    found: dict[str, list[Reference]] = {}
    for fields in json.loads(text):
        link = Reference(*fields)
        found.setdefault(link.name, []).append(link)
    return {name: tuple(links) for name, links in found.items()}


def _missing_path(name: str, base: str, reference: str, names: Container[str], *, fallback: bool) -> str:
    """The path that a link means and nothing answers; empty for everything else."""
    if reference[0] != Role.LINK:
        return ""
    target = resolve(folder_of(name), base, reference[1:])
    if target is None or is_answered(target.path, names) or target.path.startswith(_ANSWERED_FOLDERS):
        return ""
    return "" if fallback and not suffix_of(target.path) else target.path


def refuse_broken_links(site: Site, broken: Broken, cache: AnalysisCache) -> None:
    """Raises SourceRefused with the places of the first broken links."""
    links = [link for each in broken.values() for link in each]
    if links:
        shown = links[:_MAX_PROBLEMS]
        places = find_places(site, shown, cache)
        more = f"; the first {_MAX_PROBLEMS} of {len(links):,}" if len(links) > _MAX_PROBLEMS else ""
        raise SourceRefused(
            f"links to files that don't exist{more}",
            hint="correct the links or add the files; `check_links: warn` under static makes this a warning",
            problems=[Problem(f"no file answers {link.url}", places[link]) for link in shown],
        )


def broken_link_notes(site: Site, broken: Broken, cache: AnalysisCache) -> Iterator[Note]:
    """A warning for each missing file, with the first link to it."""
    by_path: dict[str, list[Reference]] = {}
    for each in broken.values():
        for link in each:
            by_path.setdefault(link.path, []).append(link)
    shown = list(by_path.values())[:MAX_NOTES]
    places = find_places(site, [links[0] for links in shown], cache)
    for first, *others in shown:
        more = f" ({count_text(len(others), 'more link')} to it)" if others else ""
        message = f"{places[first]}: no file answers {first.url}{more}{_suggestion(site, first.path)}"
        yield Note("link_broken", message, Severity.WARNING, (f"static:{first.name}",))
    if len(by_path) > MAX_NOTES:
        message = f"{len(by_path) - MAX_NOTES:,} more missing files are linked to; `check_links: error` under static lists more"
        yield Note("link_broken", message, Severity.WARNING)


def _suggestion(site: Site, path: str) -> str:
    """A file whose name differs only in case."""
    found = next((name for name in site.files if name.lower() == path.lower()), "")
    return f"; the file is {found}" if found else ""


def charset_notes(site: Site) -> Iterator[Note]:
    """Which texts are converted to UTF-8, and which can't be."""
    converted = [name for name, found in site.written if found.charset]
    unknown = [name for name, found in site.written if found.charset is None]
    if converted:
        message = (
            f"converted to UTF-8 while deploying, as which hosting serves every text: {names_text(converted)}"
        )
        yield Note("charset_converted", message, Severity.INFO, tuple(f"static:{n}" for n in converted[:100]))
    if unknown:
        message = (
            f"not in UTF-8, as which hosting serves every text, and no other encoding is declared: {names_text(unknown)}; "
            "save as UTF-8"
        )
        yield Note("charset_unknown", message, Severity.WARNING, tuple(f"static:{n}" for n in unknown[:100]))
