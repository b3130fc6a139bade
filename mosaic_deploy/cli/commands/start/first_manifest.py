"""The text of the first manifest, and the lines in it that need a decision."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mosaic_deploy.cli.commands.start.templates import SCHEMA_FILE
from mosaic_deploy.source.detection.migrations import MigrationFolder
from mosaic_deploy.source.detection.packages import Package
from mosaic_deploy.source.detection.project import Storage
from mosaic_deploy.source.detection.site import PLAIN, Build, Site
from mosaic_deploy.source.detection.tree import join

_MAX_CHOICES = 8


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the manifest is written from. With several sites or folders of migrations, none is chosen."""

    name: str
    sites: Sequence[Site] = ()
    migrations: Sequence[MigrationFolder] = ()
    storage: Storage | None = None
    blocked: Site | None = None
    """The only site, if it can't be deployed as it is."""
    unknown_build: Package | None = None
    builds: bool = True
    """Whether the site's build can run here; else its output is deployed as it is."""
    uses_storage: bool = False
    """Whether hosting doesn't serve some of the site's files."""
    include: Sequence[str] = ()
    """Of a site that is in the project folder itself: what is published."""
    exclude: Sequence[str] = ()
    clean_urls: bool = False
    """Whether the site's pages refer to each other without .html."""

    @property
    def site(self) -> Site | None:
        return self.sites[0] if len(self.sites) == 1 else None

    @property
    def migrations_folder(self) -> MigrationFolder | None:
        return self.migrations[0] if len(self.migrations) == 1 else None


@dataclass(frozen=True, slots=True)
class Decision:
    """A line of the manifest, counted from 1, that a person has to decide on."""

    line: int
    message: str


@dataclass(slots=True)
class _Draft:
    lines: list[str] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)

    def add(self, lines: Iterator[str] | Sequence[str], *, commented: bool = False) -> None:
        for line in lines:
            self.lines.append(f"# {line}".rstrip() if commented else line)

    def decide(self, message: str) -> None:
        """A decision about the next line."""
        self.decisions.append(Decision(len(self.lines) + 1, message))


def manifest_text(chosen: Chosen) -> tuple[str, tuple[Decision, ...]]:
    """A manifest of what was chosen, with other sections and what needs a decision in comments."""
    draft = _Draft()
    draft.add([f"# yaml-language-server: $schema={SCHEMA_FILE}", "version: 1", ""])
    draft.add(["project:", f"  name: {yaml_string(chosen.name)}"])
    draft.add(["  # id: the project ID, shown by the first apply", ""])
    _database(draft, chosen)
    _site(draft, chosen)
    _storage(draft, chosen.storage)
    draft.add(["# The page that magic links open:", "# auth:", "#   magic_link:"])
    draft.add(["#     redirect_url: /signed-in", ""])
    draft.add(["# Requested over HTTP after every deploy."])
    draft.add(["verify:", "  http:", "    - path: /"], commented=chosen.site is None)
    draft.add(["", "# Overrides per environment, selected with --env:", "# environments:", "#   staging:"])
    draft.add(["#     project: { name: " + yaml_string(f"{chosen.name} staging") + " }"])
    return "\n".join(draft.lines) + "\n", tuple(draft.decisions)


def _database(draft: _Draft, chosen: Chosen) -> None:
    folder = chosen.migrations_folder
    if folder:
        draft.add([f"# Migrations, applied once and in order: {folder.title}."])
        draft.add(_database_lines(folder))
    elif chosen.migrations:
        draft.add(["# Several folders have migrations. Uncomment the section of one:"])
        draft.decide(f"which migrations to deploy: {_choices([each.path for each in chosen.migrations])}")
        for each in chosen.migrations[:_MAX_CHOICES]:
            draft.add(_database_lines(each), commented=True)
    else:
        draft.add(
            [
                "# Numbered SQL files, applied once and in order. `mosaic-deploy migrate new NAME` creates the first."
            ]
        )
        draft.add(["# database:", "#   migrations: migrations"])
    draft.add([""])


def _database_lines(folder: MigrationFolder) -> Iterator[str]:
    yield "database:"
    yield f"  migrations: {yaml_string(folder.path)}"
    if folder.layout:
        yield f"  layout: {folder.layout}"


def _site(draft: _Draft, chosen: Chosen) -> None:
    site = chosen.site
    if site:
        if site.build:
            tool = f"{site.framework}, which runs" if site.framework != PLAIN else "Runs"
            what = f"{tool} before plan, apply and dev if its inputs changed."
            draft.add(
                [f"# {what}" if chosen.builds else f"# {what} Uncomment it once the tool is installed:"]
            )
            draft.add(_build_lines(site.build, site.dir), commented=not chosen.builds)
            draft.add([""])
        draft.add(_static_lines(site, chosen))
    elif chosen.sites:
        draft.add(["# There are several sites. Uncomment the sections of one:"])
        draft.decide(f"which site to deploy: {_choices([each.title for each in chosen.sites])}")
        for each in chosen.sites[:_MAX_CHOICES]:
            draft.add([f"# {each.title}:"])
            draft.add(_candidate_lines(each), commented=True)
    elif chosen.blocked:
        each = chosen.blocked
        draft.add([f"# {each.title} {each.problem}. Then uncomment:"])
        draft.decide(f"{each.title} {each.problem}")
        draft.add(_candidate_lines(each), commented=True)
    elif chosen.unknown_build:
        package = chosen.unknown_build
        draft.add(["# Name the folder that the build fills, and uncomment:"])
        command = f"{package.manager} run build"
        lines = list(_build_lines(Build(command, package.folder), join(package.folder, "FOLDER")))
        at = next(index for index, line in enumerate(lines) if line.startswith("  output:"))
        draft.add(lines[:at], commented=True)
        draft.decide(f"which folder `{command}` fills")
        draft.add(lines[at:], commented=True)
        draft.add(["static:", "  unsupported: storage"], commented=True)
    else:
        draft.add(["# The site's files: HTML, CSS, JavaScript, images.", "# static:", "#   dir: public"])
    draft.add([""])


def _candidate_lines(site: Site) -> Iterator[str]:
    """The sections of a site that isn't chosen yet."""
    if site.build:
        yield from _build_lines(site.build, site.dir)
    yield "static:"
    yield f"  dir: {yaml_string(site.dir)}"
    if site.fallback:
        yield f"  fallback: {yaml_string(site.fallback)}"
    if site.clean_urls:
        yield "  clean_urls: true"
    if site.build:
        yield "  unsupported: storage"


def _build_lines(build: Build, output: str) -> Iterator[str]:
    yield "build:"
    yield f"  command: {yaml_string(build.command)}"
    if build.dir != ".":
        yield f"  dir: {yaml_string(build.dir)}"
    yield f"  output: {yaml_string(output)}"
    if build.inputs:
        yield f"  inputs: [{', '.join(yaml_string(each) for each in build.inputs)}]"


def _static_lines(site: Site, chosen: Chosen) -> Iterator[str]:
    yield "# The site's files."
    yield "static:"
    yield f"  dir: {yaml_string(site.dir)}"
    if chosen.include:
        yield "  # Only what is named here is published:"
        yield "  include:"
        yield from (f"    - {yaml_string(each)}" for each in chosen.include)
    if site.fallback:
        yield "  # For paths without a file, which the app shows:"
        yield f"  fallback: {yaml_string(site.fallback)}"
    if chosen.clean_urls:
        yield "  # The pages refer to each other without .html, so each is also published as NAME/index.html:"
        yield "  clean_urls: true"
    if chosen.uses_storage:
        yield "  # Types that hosting doesn't serve, such as fonts: into storage, and references to them are rewritten."
        yield "  unsupported: storage"
    if chosen.exclude:
        yield f"  exclude: [{', '.join(yaml_string(each) for each in chosen.exclude)}]"
    if site.build:
        yield "  # To delete what the build no longer makes:"
        yield "  # prune: true"


def _storage(draft: _Draft, storage: Storage | None) -> None:
    draft.add(["# Large files, and file types that static hosting doesn't serve."])
    lines = ["storage:", f"  dir: {yaml_string(storage.dir) if storage else 'assets'}"]
    if storage and storage.exclude:
        lines.append(f"  exclude: [{', '.join(yaml_string(each) for each in storage.exclude)}]")
    draft.add(lines, commented=storage is None)
    draft.add([""])


def _choices(names: Sequence[str]) -> str:
    more = len(names) - _MAX_CHOICES
    return ", ".join(names[:_MAX_CHOICES]) + (f" and {more} more" if more > 0 else "")


def yaml_string(value: str) -> str:
    """A YAML string: plain if that is safe, else quoted as in JSON."""
    plain = re.sub(r"[_./ -]", "", value.lstrip("."))
    safe = plain.isascii() and plain.isalnum() and plain[:1].isalpha() and value.strip() == value
    words = {"yes", "no", "on", "off", "true", "false", "null", "y", "n"}
    return value if safe and value.lower() not in words else json.dumps(value, ensure_ascii=False)
