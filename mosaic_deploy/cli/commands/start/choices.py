"""Chooses what the first manifest deploys: the only sensible site and migrations, or what a person picks at a terminal."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import click

from mosaic_deploy.cli.commands.start.clean_links import needs_clean_urls
from mosaic_deploy.cli.commands.start.first_manifest import Chosen
from mosaic_deploy.cli.commands.start.root_site import included_beside, published_names
from mosaic_deploy.cli.terminal.consent import is_interactive
from mosaic_deploy.source.detection.packages import lock_file
from mosaic_deploy.source.detection.project import Detected, detect_project, has_unserved_files, useless_files
from mosaic_deploy.source.detection.site import PLAIN, Build, Rank, Site
from mosaic_deploy.source.detection.tree import join, listed_text
from mosaic_deploy.source.manifest.folders import boundary_of

T = TypeVar("T")


def choose(found: Detected, name: str) -> Chosen:
    """What to deploy. Asks at a terminal if there are several candidates; elsewhere they stay a decision."""
    sites = _pick("site", found.site_choices, [site.title for site in found.site_choices])
    folders = found.migration_choices
    migrations = _pick("folder of migrations", folders, [each.path for each in folders])
    site = sites[0] if len(sites) == 1 else None
    include = () if site and site.rank is Rank.APP else included_beside(found)
    if include:
        site = Site(".", PLAIN, ".")
        sites = (site,)
    names = tuple(published_names(found.tree, site, include)) if site else ()
    return Chosen(
        name,
        sites,
        migrations,
        None if found.storage and f"/{found.storage.dir}/" in include else found.storage,
        found.sites[0] if len(found.sites) == 1 and found.sites[0].problem else None,
        found.builds[0] if len(found.builds) == 1 else None,
        builds=not (
            site and site.build and missing_tool(found.tree.root, site.build) and _is_built(found, site)
        ),
        uses_storage=site is not None and has_unserved_files(names, site),
        include=include,
        exclude=useless_files(found.tree, site, names) if site else (),
        clean_urls=site is not None and needs_clean_urls(found.tree, site),
    )


def _pick(what: str, candidates: Sequence[T], titles: Sequence[str]) -> Sequence[T]:
    """The candidate that a person picks; all of them without a terminal, or if there is no question."""
    if len(candidates) < 2 or not is_interactive():
        return candidates
    for number, title in enumerate(titles, 1):
        click.echo(f"  {number}  {title}", err=True)
    choice = click.prompt(
        f"Which {what}? 0 for none now", type=click.IntRange(0, len(candidates)), default=1, err=True
    )
    return candidates[choice - 1 : choice] if choice else candidates


def _is_built(found: Detected, site: Site) -> bool:
    return bool(found.tree.files(site.dir))


def missing_tool(root: Path, build: Build) -> str:
    """What has to be installed before the build can run here, as a sentence; empty if it can run."""
    tool = build.command.split()[0]
    if not shutil.which(tool):
        return f"{tool} isn't installed here"
    if not build.manager or _has_packages(root, build.dir):
        return ""
    folder = "" if build.dir == "." else f" in {build.dir}"
    return f"the packages of the build aren't installed here (`{build.manager} install`{folder})"


def _has_packages(root: Path, folder: str) -> bool:
    top = Path(boundary_of(root))
    start = (root / folder).resolve()
    for place in (start, *start.parents):
        if (place / "node_modules").is_dir():
            return True
        if place == top:
            break
    return False


def choice_notes(found: Detected, chosen: Chosen) -> Iterator[str]:
    """What a person should know about the manifest: what was left out, and what is missing."""
    yield from _site_notes(found, chosen)
    yield from _migration_notes(found, chosen)
    if not found.tree.complete:
        yield "the folder has too many files to look at all of them: check that nothing is missing in mosaic.yaml"


def _site_notes(found: Detected, chosen: Chosen) -> Iterator[str]:
    site = chosen.site
    yield from (
        f"{each.title} {each.problem}"
        for each in found.sites[:3]
        if each.problem and each is not chosen.blocked
    )
    if site:
        yield from site.notes
        if chosen.include:
            yield (
                "the site is the project folder itself: static.include names what index.html and its pages refer to, and only that is "
                "published; add what is missing, or move the site into a folder such as public"
            )
        others = [each.title for each in found.sites if each is not site and not each.problem]
        if others:
            yield f"the site is {'index.html beside the manifest' if chosen.include else site.title}; others that aren't deployed: {listed_text(others)}"
        yield from _build_notes(found, chosen, site)
        if chosen.exclude:
            names = " and ".join(chosen.exclude)
            yield (
                f"static.exclude has {names}: what asks for it asks at exactly this path, where hosting serves no file without an "
                "extension; if you need it, another host must serve it"
            )
    elif found.has_root_page and not chosen.sites:
        yield (
            "index.html isn't deployed from the project folder, so other files are not published by accident. "
            "Move the site into public/ and uncomment `static` in mosaic.yaml"
        )
    elif len(found.builds) > 1:
        folders = [each.folder for each in found.builds]
        yield f"packages with a build whose output isn't known: {listed_text(folders)}; run one and set static.dir"
    elif found.sites and not found.site_choices and not any(each.problem for each in found.sites):
        folders = [each.dir for each in found.sites]
        yield f"pages in folders of examples, tests or reports aren't deployed: {listed_text(folders)}"
    elif not found.sites and not found.builds and not found.is_empty:
        yield "no site found: name its folder in static.dir"


def _build_notes(found: Detected, chosen: Chosen, site: Site) -> Iterator[str]:
    missing = missing_tool(found.tree.root, site.build) if site.build else ""
    if not missing:
        return
    if chosen.builds:
        yield f"{missing}, so the build fails"
    else:
        yield f"{missing}, so {site.dir} is deployed as it is; then uncomment `build`"


def _migration_notes(found: Detected, chosen: Chosen) -> Iterator[str]:
    folder = chosen.migrations_folder
    for each in found.migrations.folders:
        if each.problem:
            yield f"{each.path} {each.problem}, and Mosaic's database is PostgreSQL"
    usable = [each.path for each in found.migrations.folders if not each.problem]
    others = [path for path in usable if not folder or path != folder.path]
    if folder and others:
        yield f"database.migrations is {folder.path}; these folders also look like migrations: {listed_text(others)}"
    if usable:
        if not chosen.migrations:
            yield f"not used as migrations, because of their names: {listed_text(usable)}"
        return
    if found.migrations.programs:
        folders = listed_text(found.migrations.programs)
        yield (
            f"the migrations in {folders} are programs: write them out as SQL, as docs/migrations.md says under "
            "`Migrations of other tools`"
        )
    elif found.migrations.schemas:
        yield f"{found.migrations.schemas[0]} isn't a migration; to deploy it, copy it to migrations/0001_schema.sql"
    else:
        yield from _notes_beside(found)


def _notes_beside(found: Detected) -> Iterator[str]:
    """About migrations elsewhere in the repository, which a manifest may name."""
    root, top = found.tree.root.resolve(), Path(boundary_of(found.tree.root))
    if root == top:
        return
    others = [os.path.relpath(top / each.path, root) for each in detect_project(top).migration_choices]
    if others:
        yield f"migrations elsewhere in the repository, which database.migrations may name: {listed_text(others)}"


def installed_from(root: Path, build: Build) -> str | None:
    """The lock file of the build's packages, relative to the project."""
    lock = lock_file(root, build.dir)
    return join(os.path.relpath(lock.parent, root.resolve()), lock.name) if lock else None
