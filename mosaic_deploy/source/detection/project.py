"""What a folder contains that could be deployed, for its first manifest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mosaic_deploy.source.detection.angular import angular_sites
from mosaic_deploy.source.detection.generators import generator_sites
from mosaic_deploy.source.detection.migrations import (
    FoundMigrations,
    MigrationFolder,
    MigrationRank,
    find_migrations,
)
from mosaic_deploy.source.detection.nx import nx_sites
from mosaic_deploy.source.detection.packages import Package, read_packages
from mosaic_deploy.source.detection.plain_sites import is_output, plain_sites, unknown_builds
from mosaic_deploy.source.detection.script_frameworks import script_sites
from mosaic_deploy.source.detection.site import PLAIN, Project, Rank, Site, without_covered
from mosaic_deploy.source.detection.tree import Tree, is_below, join, read_tree
from mosaic_deploy.source.files.folder import is_served_type, needs_own_path

_STORAGE_FOLDERS = ("assets", "storage", "uploads", "media")
_PROGRAMS = frozenset(".ts .tsx .jsx .vue .svelte .scss .sass .less .py .go .rs .rb .php .java .cs".split())  # noqa: SIM905
"""Types of files that a build reads, so nobody downloads them."""
_UNIMPORTANT = (
    "readme",
    "license",
    "licence",
    "agents.md",
    "claude.md",
    "changelog",
    "contributing",
    "makefile",
)


@dataclass(frozen=True, slots=True)
class Storage:
    """A folder with files to download, and patterns of what in it is something else."""

    dir: str
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Detected:
    """What was found. Paths are relative to the folder, the likeliest first."""

    name: str
    sites: tuple[Site, ...]
    migrations: FoundMigrations
    storage: Storage | None
    builds: tuple[Package, ...]
    """Packages with a build that isn't known, if there is no site."""
    has_root_page: bool
    """Whether the folder itself has index.html."""
    is_empty: bool
    """Whether it has no files but such as README.md and .gitignore."""
    tree: Tree

    @property
    def site_choices(self) -> tuple[Site, ...]:
        """The sites of which one has to be chosen; one if there is no question, none if nothing can be deployed."""
        usable = [site for site in self.sites if not site.problem]
        best = min((site.rank for site in usable), default=Rank.SAMPLE)
        if best is Rank.SAMPLE:
            return ()
        likely = [site for site in usable if site.rank is best]
        if any(site.framework != PLAIN for site in likely):
            likely = [site for site in likely if site.framework != PLAIN or not is_output(site.dir)]
        own = [site for site in likely if site.folder == "." and site.build]
        nearest = [site for site in likely if site.build is None and "/" not in site.dir]
        if own:
            return tuple(own)
        # Of folders that are only files, one directly in the project is preferred to those further down.
        return tuple(nearest[:1] if nearest and all(site.build is None for site in likely) else likely)

    @property
    def migration_choices(self) -> tuple[MigrationFolder, ...]:
        """As `site_choices`, for migrations."""
        usable = [each for each in self.migrations.folders if not each.problem]
        best = min((each.rank for each in usable), default=MigrationRank.SAMPLE)
        return tuple(each for each in usable if each.rank is best and best is not MigrationRank.SAMPLE)


def detect_project(folder: Path) -> Detected:
    """Looks at names in `folder` and its subfolders, and reads settings files. Raises SourceUnreadable."""
    tree = read_tree(folder)
    project = Project(tree, read_packages(tree))
    sites = tuple(_sites(project))
    migrations = find_migrations(tree)
    return Detected(
        name=folder.resolve().name or "project",
        sites=sites,
        migrations=migrations,
        storage=_storage(tree, sites, migrations),
        builds=() if sites else tuple(unknown_builds(project)),
        has_root_page=tree.has("index.html") and not any(site.folder == "." for site in sites),
        is_empty=_is_empty(tree),
        tree=tree,
    )


def _sites(project: Project) -> Iterator[Site]:
    known = [
        *script_sites(project),
        *angular_sites(project),
        *nx_sites(project),
        *generator_sites(project),
    ]
    found = without_covered([*_distinct(known), *plain_sites(project)])
    yield from sorted(found, key=lambda site: (bool(site.problem), site.rank, site.folder.count("/")))


def _distinct(sites: Iterable[Site]) -> Iterator[Site]:
    """Without a second one of the same folder and output."""
    seen: set[str] = set()
    for site in sites:
        if site.dir not in seen:
            seen.add(site.dir)
            yield site


def _storage(tree: Tree, sites: Iterable[Site], migrations: FoundMigrations) -> Storage | None:
    """A folder of files that isn't a part of a site's sources, nor has the pictures of a README."""
    sources = [site.folder for site in sites if site.build] + [site.dir for site in sites]
    texts = "".join(tree.read(name) for name in tree.files(".") if name.lower().endswith((".md", ".rst")))
    for name in _STORAGE_FOLDERS:
        if name not in tree.subfolders(".") or any(is_below(name, place) for place in sources):
            continue
        if f"{name}/" in texts:
            continue
        inside = [each.path for each in migrations.folders if is_below(each.path, name)]
        files = [join(name, file) for file in tree.names_below(name)]
        files = [file for file in files if not any(is_below(file, place) for place in inside)]
        suffixes = {PurePosixPath(file).suffix.lower() for file in files}
        if files and name not in inside and not _PROGRAMS & suffixes:
            return Storage(name, tuple(f"{place.removeprefix(f'{name}/')}/" for place in inside))
    return None


def _is_empty(tree: Tree) -> bool:
    if tree.subfolders("."):
        return False
    return all(name.startswith(".") or name.lower().startswith(_UNIMPORTANT) for name in tree.files("."))


def has_unserved_files(names: Iterable[str], site: Site) -> bool:
    """Whether hosting doesn't serve some of the site's files, or may not: a build that has yet to run may make any."""
    if site.build is not None:
        return True
    shown = (name for name in names if not name.rpartition("/")[2].startswith((".", "_")))
    return any(not is_served_type(name) and not name.endswith(".map") for name in shown)


def useless_files(tree: Tree, site: Site, names: Iterable[str]) -> tuple[str, ...]:
    """The site's files that only their own path would be good for, at which hosting doesn't serve them.

    `names` are those that are there; a build copies others.
    """
    folders = [
        join(site.folder, "public"),
        join(site.folder, "static"),
        *([site.public] if site.public else []),
    ]
    built = {name for folder in folders for name in tree.names_below(folder)} if site.build else set()
    return tuple(
        sorted(name for name in {*names, *built} if needs_own_path(name) and not is_served_type(name))
    )
