"""A folder for each version (v1.0/title.sql), in the order of versions; in a folder by name, or as its manifest.json lists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from mosaic_deploy.errors import Location, Problem, UsageInvalid
from mosaic_deploy.model.snapshot import natural_order
from mosaic_deploy.source.migrations.layouts.folders import FILES
from mosaic_deploy.source.migrations.layouts.layout import (
    DRAFT_FILE,
    FolderContent,
    Layout,
    ListedFile,
    Listing,
    NewFile,
    NewMigration,
    is_down,
    is_sql,
    plain_number,
    stem,
)
from mosaic_deploy.source.migrations.layouts.numbered import TEMPLATE, next_version

_FOLDER = re.compile(r"(v?)([0-9]+(?:\.[0-9]+)*)", re.IGNORECASE)
_MANIFEST = "manifest.json"
_LISTED_FILES = "SchemaUpdateCqlFiles"


def _versions(content: FolderContent) -> dict[str, tuple[str, Sequence[str]]]:
    """Version and SQL files of each folder that is one of a version, in order."""
    found = {
        folder: (plain_number(version[2]), files)
        for folder, names in content.subfolders.items()
        if (version := _FOLDER.fullmatch(folder))
        and (files := [name for name in names if is_sql(name) and not is_down(name) and name not in FILES])
    }
    return dict(sorted(found.items(), key=lambda each: natural_order(each[1][0])))


def _evidence(content: FolderContent) -> list[str]:
    return [f"{folder}/{files[0]}" for folder, (_, files) in _versions(content).items()]


def _list(content: FolderContent) -> Listing:
    files: list[ListedFile] = []
    problems: list[Problem] = []
    beside = "a file beside the folders of versions isn't a migration"
    ignored = [(name, beside) for name in content.top if is_sql(name) and name.lower() != DRAFT_FILE]
    for folder, (version, names) in _versions(content).items():
        listed = names
        if _MANIFEST in content.subfolders[folder]:
            place = f"{folder}/{_MANIFEST}"
            try:
                listed = _listed(content.read_text(place))
            except ValueError as error:
                problems.append(Problem(f"isn't a manifest of a version: {error}", Location(place)))
            problems += _missing(place, folder, names, listed)
            left_out = [f"{folder}/{name}" for name in names if name not in listed]
            ignored += [(name, f"isn't listed in {place}, so it doesn't run") for name in left_out]
        else:
            listed = sorted(names, key=lambda name: natural_order(stem(name)))
        files += [ListedFile(f"{folder}/{name}", version, stem(name)) for name in listed if name in names]
    return Listing(tuple(files), ignored=tuple(ignored), problems=tuple(problems))


def _listed(text: str) -> list[str]:
    """The files in a manifest of Temporal's or Cadence's. Raises ValueError."""
    try:
        manifest: Any = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    names = manifest.get(_LISTED_FILES) if isinstance(manifest, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"it has no list {_LISTED_FILES}")
    return names


def _missing(place: str, folder: str, names: Sequence[str], listed: Sequence[str]) -> Iterator[Problem]:
    for name in listed:
        if name not in names:
            yield Problem(f"is listed in {place}, but doesn't exist", Location(f"{folder}/{name}"))


def _new(wanted: NewMigration) -> list[NewFile]:
    """In the folder of the next version. Raises UsageInvalid for folders with a manifest."""
    newest = next(reversed(_versions(wanted.content)), "v0")
    if _MANIFEST in wanted.content.subfolders.get(newest, ()):
        raise UsageInvalid(
            f"{_MANIFEST} lists the files of a version, so a new file alone isn't a migration",
            hint=f"the folders have {_MANIFEST}, which lists their files: make the folder and its {_MANIFEST} yourself",
        )
    found = _FOLDER.fullmatch(newest)
    prefix, version = (found[1], found[2]) if found else ("v", "0")
    return [NewFile(f"{prefix}{next_version([version], wanted.now)}/{wanted.slug}.sql", TEMPLATE)]


VERSIONED = Layout("versioned", "a folder for each version (v1.0/title.sql)", _evidence, _list, _new)
