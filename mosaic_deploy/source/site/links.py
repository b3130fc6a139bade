"""Links to files that don't exist, and other problems of a site that a browser would meet."""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mosaic_deploy.errors import Location, Problem, SourceRefused
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.quantities import count_text, size_text
from mosaic_deploy.source.files.folder import is_served_type, needs_own_path
from mosaic_deploy.source.site.analysis import LINKING_SUFFIXES, RULES, suffix_of
from mosaic_deploy.source.site.analysis_cache import AnalysisCache
from mosaic_deploy.source.site.found import Role
from mosaic_deploy.source.site.policies import blocked_directives
from mosaic_deploy.source.site.resolve import StorageAddresses, is_answered, resolve
from mosaic_deploy.source.site.site import Site, folder_of, last_part

_ANSWERED_FOLDERS = ("storage/", ".mosaic/")
"""Where the platform itself answers."""
_MAX_NOTES = 20
_MAX_PROBLEMS = 100
_MAX_NAMES = 3


@dataclass(frozen=True, slots=True)
class BrokenLink:
    """The link `url` in the file `name` to `path`, which nothing answers."""

    name: str
    url: str
    path: str
    role: str = Role.LINK

    @property
    def reference(self) -> str:
        """As in an Analysis."""
        return self.role + self.url


Broken = Mapping[str, tuple[BrokenLink, ...]]
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
    broken: dict[str, tuple[BrokenLink, ...]] = {}
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
                missing.append(BrokenLink(name, reference[1:], path))
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
    found: dict[str, list[BrokenLink]] = {}
    for fields in json.loads(text):
        link = BrokenLink(*fields)
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
        places = _places(site, shown, cache)
        more = f"; the first {_MAX_PROBLEMS} of {len(links):,}" if len(links) > _MAX_PROBLEMS else ""
        raise SourceRefused(
            f"links to files that don't exist{more}",
            hint="correct the links or add the files; `check_links: warn` under static makes this a warning",
            problems=[Problem(f"no file answers {link.url}", places[link]) for link in shown],
        )


def broken_link_notes(site: Site, broken: Broken, cache: AnalysisCache) -> Iterator[Note]:
    """A warning for each missing file, with the first link to it."""
    by_path: dict[str, list[BrokenLink]] = {}
    for each in broken.values():
        for link in each:
            by_path.setdefault(link.path, []).append(link)
    shown = list(by_path.values())[:_MAX_NOTES]
    places = _places(site, [links[0] for links in shown], cache)
    for first, *others in shown:
        more = f" ({count_text(len(others), 'more link')} to it)" if others else ""
        message = f"{places[first]}: no file answers {first.url}{more}{_suggestion(site, first.path)}"
        yield Note("link_broken", message, Severity.WARNING, (f"static:{first.name}",))
    if len(by_path) > _MAX_NOTES:
        message = f"{len(by_path) - _MAX_NOTES:,} more missing files are linked to; `check_links: error` under static lists more"
        yield Note("link_broken", message, Severity.WARNING)


def _places(site: Site, links: Sequence[BrokenLink], cache: AnalysisCache) -> dict[BrokenLink, Location]:
    """Where the links are. Each file is parsed once."""
    by_file: dict[str, list[str]] = {}
    for link in links:
        by_file.setdefault(link.name, []).append(link.reference)
    found = {name: site.places(name, references, cache) for name, references in by_file.items()}
    return {link: found[link.name][link.reference] for link in links}


def _suggestion(site: Site, path: str) -> str:
    """A file whose name differs only in case."""
    found = next((name for name in site.files if name.lower() == path.lower()), "")
    return f"; the file is {found}" if found else ""


def charset_notes(site: Site) -> Iterator[Note]:
    """Which texts are converted to UTF-8, and which can't be."""
    converted = [name for name, found in site.written if found.charset]
    unknown = [name for name, found in site.written if found.charset is None]
    if converted:
        message = f"converted to UTF-8 while deploying, as which hosting serves every text: {_names_text(converted)}"
        yield Note("charset_converted", message, Severity.INFO, tuple(f"static:{n}" for n in converted[:100]))
    if unknown:
        message = (
            f"not in UTF-8, as which hosting serves every text, and no other encoding is declared: {_names_text(unknown)}; "
            "save as UTF-8"
        )
        yield Note("charset_unknown", message, Severity.WARNING, tuple(f"static:{n}" for n in unknown[:100]))


def moved_notes(site: Site, storage: StorageAddresses, cache: AnalysisCache) -> Iterator[Note]:
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
    if large := sorted(n for n in site.moved if is_served_type(n)):
        message = f"larger than {size_text(site.limit or 0)}, this platform's limit for static files, so in storage: {_names_text(large)}"
        yield Note("large_file_stored", message, Severity.INFO)
    if bound := sorted(n for n in site.moved if needs_own_path(n)):
        message = (
            f"in storage, and asked for at exactly their own path, where nothing answers: {_names_text(bound)}; leave them out with "
            "static.exclude, and if you need them, have another host serve them"
        )
        yield Note("own_path_not_served", message, Severity.WARNING)
    if pages := sorted(n for n in site.moved if suffix_of(n) in _PAGES):
        message = f"storage doesn't show pages, it downloads them: {_names_text(pages)}; rename to .html"
        yield Note("page_in_storage", message, Severity.WARNING)
    if data := sorted(n for n in site.moved if suffix_of(n) in _DATABASES):
        message = (
            f"a database or a dump of one, which everybody can download: {_names_text(data)}; leave it out with static.exclude unless "
            "the site needs it"
        )
        yield Note("database_published", message, Severity.WARNING)
    if not storage.same_origin:
        yield from _policy_notes(site, storage, cache)
    yield from _reference_notes(site, storage, cache)


_NEED_CORS = frozenset(
    ".woff .woff2 .ttf .otf .eot .mjs .cjs .wasm .webmanifest .vtt .gltf .glb .xml .bin .data .pdf .csv .geojson .avif".split()  # noqa: SIM905
) - {".pdf", ".avif"}
_DATABASES = frozenset(".sql .sqlite .sqlite3 .db .db3 .mdb .accdb .dump .bak".split())  # noqa: SIM905
_PAGES = frozenset({".htm", ".xhtml", ".shtml", ".php"})


def _policy_notes(site: Site, storage: StorageAddresses, cache: AnalysisCache) -> Iterator[Note]:
    """Which pages don't let browsers load the site's files from storage. A policy is loosened by a person only."""
    suffixes = {suffix_of(name) for name in site.moved}
    found = [
        (BrokenLink(name, reference[1:], "", Role.POLICY), directives)
        for name, analysis in site.written
        for reference in analysis.references
        if reference[0] == Role.POLICY
        and (directives := blocked_directives(reference[1:], storage.root, suffixes))
    ]
    places = _places(site, [policy for policy, _ in found[:_MAX_NOTES]], cache)
    for policy, directives in found[:_MAX_NOTES]:
        message = (
            f"{places[policy]}: the page's Content-Security-Policy doesn't let it load files from storage: add "
            f"{storage.root} to {', '.join(directives)}"
        )
        yield Note("policy_blocks_storage", message, Severity.WARNING, (f"static:{policy.name}",))
    if len(found) > _MAX_NOTES:
        message = f"{len(found) - _MAX_NOTES:,} more pages have a Content-Security-Policy that blocks storage"
        yield Note("policy_blocks_storage", message, Severity.WARNING)


def _reference_notes(site: Site, storage: StorageAddresses, cache: AnalysisCache) -> Iterator[Note]:
    # Of equal names the first one, in every run: `moved` is a set.
    by_last = {posixpath.basename(name): name for name in sorted(site.moved, reverse=True)}
    named: set[str] = set()
    rewritten: set[tuple[str, str, str]] = set()
    left: dict[str, list[BrokenLink]] = {}
    for name, references in site.references_to_moved():
        folder, base = folder_of(name), site.analyses[name].base
        for reference in references:
            # Of a moved file, a reference's new address depends on its name, too.
            place = (folder if name not in site.moved else name, base, reference)
            if place in rewritten:
                continue
            role, url = reference[0], reference[1:]
            moved = by_last.get(last_part(url))
            if site.new_address(name, reference, storage) is not None:
                target = resolve(folder, base, url)
                named.add(target.path if target and target.path in site.moved else moved or "")
                named.add(moved or "")
                rewritten.add(place)
            elif moved and role != Role.STYLE and site.moves_along(name, url):
                named.add(moved)
            elif moved and role in (Role.LITERAL, Role.VALUE, Role.STYLE):
                left.setdefault(moved, []).append(BrokenLink(name, url, moved, role))
    shown = sorted(left)[:_MAX_NOTES]
    places = _places(site, [left[moved][0] for moved in shown], cache)
    for moved in shown:
        first, *others = left[moved]
        more = f" and {count_text(len(others), 'more place')}" if others else ""
        message = (
            f"{places[first]}{more}: {first.url} may mean {moved}, which is in storage now; it isn't rewritten, because only "
            "the running script knows the whole address"
        )
        yield Note("reference_not_rewritten", message, Severity.WARNING, (f"static:{first.name}",))
    if len(left) > len(shown):
        message = f"{len(left) - len(shown):,} more files in storage have references that aren't rewritten"
        yield Note("reference_not_rewritten", message, Severity.WARNING)
    unnamed = sorted(n for n in site.moved - named - left.keys() if suffix_of(n) != ".map")
    if unnamed:
        message = (
            f"in storage, and no page, stylesheet or script has a reference to them that can be rewritten: {_names_text(unnamed)}; "
            "a visitor or a script that asks for the old address doesn't find them"
        )
        yield Note("stored_file_unnamed", message, Severity.INFO)


def _names_text(names: list[str]) -> str:
    shown = [name if name.isprintable() else ascii(name) for name in names[:_MAX_NAMES]]
    more = [f"and {len(names) - _MAX_NAMES:,} more"] if len(names) > _MAX_NAMES else []
    return ", ".join([*shown, *more])
