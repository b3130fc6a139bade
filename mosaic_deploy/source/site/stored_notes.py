"""What to know about the files of a site that are in storage, and references to them that can't be rewritten."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mosaic_deploy.model.manifest import SITE_STORAGE_PREFIX
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.quantities import count_text, size_text
from mosaic_deploy.source.files.folder import is_served_type, needs_own_path
from mosaic_deploy.source.site.analysis import suffix_of
from mosaic_deploy.source.site.analysis_cache import AnalysisCache
from mosaic_deploy.source.site.found import Role
from mosaic_deploy.source.site.policies import blocked_directives
from mosaic_deploy.source.site.references import MAX_NOTES, Reference, find_places, names_text
from mosaic_deploy.source.site.resolve import StorageAddresses, resolve
from mosaic_deploy.source.site.site import Site, folder_of, last_part


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
            f"from there only if it allows that (CORS), which isn't known ({names_text(moved)}); check the site after the apply"
        )
        yield Note("storage_other_origin", message, Severity.WARNING)
    if large := sorted(n for n in site.moved if is_served_type(n) and not n.startswith(site.storage_folders)):
        message = f"larger than {size_text(site.limit or 0)}, this platform's limit for static files, so in storage: {names_text(large)}"
        yield Note("large_file_stored", message, Severity.INFO)
    if bound := sorted(n for n in site.moved if needs_own_path(n)):
        message = (
            f"in storage, and asked for at exactly their own path, where nothing answers: {names_text(bound)}; leave them out with "
            "static.exclude, and if you need them, have another host serve them"
        )
        yield Note("own_path_not_served", message, Severity.WARNING)
    if pages := sorted(n for n in site.moved if suffix_of(n) in _PAGES):
        message = f"storage doesn't show pages, it downloads them: {names_text(pages)}; rename to .html"
        yield Note("page_in_storage", message, Severity.WARNING)
    if data := sorted(n for n in site.moved if suffix_of(n) in _DATABASES):
        message = (
            f"a database or a dump of one, which everybody can download: {names_text(data)}; leave it out with static.exclude unless "
            "the site needs it"
        )
        yield Note("database_published", message, Severity.WARNING)
    if not storage.same_origin:
        yield from _policy_notes(site, storage, cache)
    yield from _reference_notes(site, storage, cache)


_NEED_CORS = frozenset(
    ".woff .woff2 .ttf .otf .eot .mjs .cjs .wasm .webmanifest .vtt .gltf .glb .xml .bin .data .pdf .csv .geojson .avif .js .json".split()  # noqa: SIM905
) - {".pdf", ".avif"}
_DATABASES = frozenset(".sql .sqlite .sqlite3 .db .db3 .mdb .accdb .dump .bak".split())  # noqa: SIM905
_PAGES = frozenset({".htm", ".xhtml", ".shtml", ".php"})


def _policy_notes(site: Site, storage: StorageAddresses, cache: AnalysisCache) -> Iterator[Note]:
    """Which pages don't let browsers load the site's files from storage. A policy is loosened by a person only."""
    suffixes = {suffix_of(name) for name in site.moved}
    found = [
        (Reference(name, reference[1:], "", Role.POLICY), directives)
        for name, analysis in site.written
        for reference in analysis.references
        if reference[0] == Role.POLICY
        and (directives := blocked_directives(reference[1:], storage.root, suffixes))
    ]
    places = find_places(site, [policy for policy, _ in found[:MAX_NOTES]], cache)
    for policy, directives in found[:MAX_NOTES]:
        message = (
            f"{places[policy]}: the page's Content-Security-Policy doesn't let it load files from storage: add "
            f"{storage.root} to {', '.join(directives)}"
        )
        yield Note("policy_blocks_storage", message, Severity.WARNING, (f"static:{policy.name}",))
    if len(found) > MAX_NOTES:
        message = f"{len(found) - MAX_NOTES:,} more pages have a Content-Security-Policy that blocks storage"
        yield Note("policy_blocks_storage", message, Severity.WARNING)


@dataclass(slots=True)
class _Referred:
    """What the site's files refer to of what is in storage."""

    named: set[str] = field(default_factory=set)
    """Files whose references are rewritten, or that move together with what refers to them."""
    from_site: set[str] = field(default_factory=set)
    """Files and folders that files outside storage have a rewritten reference to."""
    left: dict[str, list[Reference]] = field(default_factory=dict)
    """By file, texts that end like its name and may mean it, and aren't rewritten."""


def _reference_notes(site: Site, storage: StorageAddresses, cache: AnalysisCache) -> Iterator[Note]:
    referred = _referred(site, storage)
    yield from _left_notes(site, referred.left, cache)
    missed = site.moved - referred.named - referred.left.keys()
    unnamed = sorted(n for n in missed if suffix_of(n) != ".map" and not n.startswith(site.storage_folders))
    joined = _joined(site, unnamed) if unnamed else {}
    yield from _joined_notes(site, joined, cache)
    if others := sorted(set(unnamed).difference(*(each.files for each in joined.values()))):
        message = (
            f"in storage, and no page, stylesheet or script has a reference to them that can be rewritten: {names_text(others)}; "
            "a visitor or a script that asks for the old address doesn't find them"
        )
        yield Note("stored_file_unnamed", message, Severity.INFO)
    yield from _own_address_notes(site, storage, cache)
    for folder in site.storage_folders:
        if not any(path.startswith(folder[:-1]) for path in referred.from_site):
            message = (
                f"no reference to {folder} or to a file in it can be rewritten: set {storage.address(SITE_STORAGE_PREFIX + folder)} as its "
                "address where the site tells a script where the folder is"
            )
            yield Note("storage_folder_unnamed", message, Severity.WARNING)


def _referred(site: Site, storage: StorageAddresses) -> _Referred:
    # Of equal names the first one, in every run: `moved` is a set.
    by_last = {posixpath.basename(name): name for name in sorted(site.moved, reverse=True)}
    result = _Referred()
    rewritten: set[tuple[str, str, str]] = set()
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
                # A script's text is relative to the site's root, or to the script's folder.
                text = site.literal_target(name, url) if role in (Role.LITERAL, Role.VALUE) else None
                target = text[1] if text else resolve(folder, base, url)
                means = {target.path if target and target.path in site.moved else moved or "", moved or ""}
                result.named |= means
                if name not in site.moved:
                    result.from_site |= means | ({target.path} if target else set())
                rewritten.add(place)
            elif moved and role != Role.STYLE and site.moves_along(name, url):
                result.named.add(moved)
            elif moved and role in _TEXTS and not moved.startswith(site.storage_folders):
                result.left.setdefault(moved, []).append(Reference(name, url, moved, role))
    return result


_TEXTS = frozenset({Role.LITERAL, Role.VALUE, Role.STYLE})


def _left_notes(site: Site, left: Mapping[str, list[Reference]], cache: AnalysisCache) -> Iterator[Note]:
    shown = sorted(left)[:MAX_NOTES]
    places = find_places(site, [left[moved][0] for moved in shown], cache)
    for moved in shown:
        first, *others = left[moved]
        more = f" and {count_text(len(others), 'more place')}" if others else ""
        message = (
            f"{places[first]}{more}: {first.url} may mean {moved}, which is in storage now; it isn't rewritten, because only "
            f"the running script knows the whole address{_way_out(_shared_folder([first.name, moved]))}"
        )
        yield Note("reference_not_rewritten", message, Severity.WARNING, (f"static:{first.name}",))
    if len(left) > len(shown):
        message = f"{len(left) - len(shown):,} more files in storage have references that aren't rewritten"
        yield Note("reference_not_rewritten", message, Severity.WARNING)


@dataclass(slots=True)
class _Joined:
    """Files in storage whose names scripts join from parts, and what those names end with in the scripts."""

    files: set[str] = field(default_factory=set)
    endings: set[str] = field(default_factory=set)
    references: list[Reference] = field(default_factory=list)


def _joined(site: Site, unnamed: Sequence[str]) -> dict[str, _Joined]:
    """By the folder that has the files and, unless only the site's root has both, the scripts."""
    by_type: dict[str, list[str]] = {}
    for name in unnamed:
        by_type.setdefault(_type_of(name), []).append(name)
    by_type.pop("", None)
    found: dict[str, _Joined] = {}
    for name, analysis in site.written:
        for reference in analysis.references:
            if reference[0] != Role.LITERAL:
                continue
            ending = last_part(reference[1:]).rpartition("}")[2]
            files = [
                each
                for each in by_type.get(_type_of(ending), ())
                if each.endswith(ending) and posixpath.basename(each) != ending
            ]
            if files:
                joined = found.setdefault(_shared_folder([name, *files]) or _shared_folder(files), _Joined())
                joined.files.update(files)
                joined.endings.add(ending)
                joined.references.append(Reference(name, reference[1:], files[0], Role.LITERAL))
    return found


def _type_of(name: str) -> str:
    return posixpath.basename(name).lower().rpartition(".")[2] if "." in name else ""


def _shared_folder(names: Iterable[str]) -> str:
    """The deepest folder that has all of these files; empty if only the root has."""
    return posixpath.commonpath([f"/{posixpath.dirname(name)}" for name in names])[1:]


def _joined_notes(site: Site, joined: Mapping[str, _Joined], cache: AnalysisCache) -> Iterator[Note]:
    shown = sorted(joined)[:MAX_NOTES]
    places = find_places(site, [joined[folder].references[0] for folder in shown], cache)
    for folder in shown:
        (first, *others), files = joined[folder].references, sorted(joined[folder].files)
        more = f" and {count_text(len(others), 'more place')}" if others else ""
        message = (
            f"{places[first]}{more}: a script joins the names of files from parts ({', '.join(sorted(joined[folder].endings))}), and "
            f"asks for them at their old addresses, but they are in storage ({names_text(files)}){_way_out(folder)}"
        )
        yield Note("reference_not_rewritten", message, Severity.WARNING, (f"static:{first.name}",))


def _own_address_notes(site: Site, storage: StorageAddresses, cache: AnalysisCache) -> Iterator[Note]:
    """Which scripts of whole folders in storage compute addresses from their own: also of pages, which aren't there."""
    for folder in site.storage_folders:
        found = [
            Reference(name, each[1:], "", Role.OWN)
            for name, analysis in site.written
            if name.startswith(folder) and name in site.moved
            for each in analysis.references
            if each[0] == Role.OWN
        ]
        if not found:
            continue
        first, *others = found
        more = f" and {count_text(len(others), 'more script')}" if others else ""
        message = (
            f"{find_places(site, [first], cache)[first]}{more}: a script computes addresses from its own, which is below "
            f"{storage.address(SITE_STORAGE_PREFIX + folder)} now; if it links to pages, set their address in its options "
            '(Pagefind: baseUrl: "/")'
        )
        yield Note(
            "script_address_moved", message, Severity.INFO, (f"storage:{SITE_STORAGE_PREFIX}{first.name}",)
        )


def _way_out(folder: str) -> str:
    if not folder:
        return "; put such files into a folder of their own, and name it in storage_folders"
    return f"; serve the whole folder from storage: `storage_folders: {json.dumps([folder], ensure_ascii=False)}` under static"
