"""Flyway: V1.2__title.sql in the order of versions, R__title.sql again after each change, U1.2__title.sql to undo."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from mosaic_deploy.model.snapshot import natural_order
from mosaic_deploy.source.migrations.layouts.layout import (
    FolderContent,
    Layout,
    ListedFile,
    Listing,
    NewFile,
    NewMigration,
    is_sql,
    plain_number,
    stem,
)
from mosaic_deploy.source.migrations.layouts.numbered import TEMPLATE, next_version

_NAME = re.compile(r"([VUB])([0-9]+(?:[._][0-9]+)*)(?:__.*)?\.sql", re.DOTALL)
_REPEATABLE = re.compile(r"R__.*\.sql", re.DOTALL)
_PLACEHOLDER = re.compile(r"\$\{[^{}\n]+\}")
_CALLBACK = re.compile(
    r"(?:before|after)(?:Each)?(?:Migrate|Clean|Info|Validate|Baseline|Repair|Undo|Connect|Version|Repeatables|CreateSchema)"
    r"[A-Za-z]*(?:__.*)?\.sql|createSchema(?:__.*)?\.sql"
)


def placeholder_at(text: str, offset: int) -> str:
    """The placeholder, such as `${schema}`, at a character of the text; empty if there is none."""
    return next(
        (each.group() for each in _PLACEHOLDER.finditer(text) if each.start() <= offset < each.end()), ""
    )


def has_placeholder(file: str, text: str) -> str:
    """The first placeholder in SQL of a file that is named for Flyway; empty if there is none."""
    found = _PLACEHOLDER.search(text) if _parsed(file) else None
    return found.group() if found else ""


def _parsed(name: str) -> tuple[str, str] | None:
    """The kind and the version of a file."""
    found = _NAME.fullmatch(PurePosixPath(name).name)
    return (found[1], plain_number(found[2])) if found else None


def _evidence(content: FolderContent) -> list[str]:
    return [name for name in content.names if _parsed(name) or _is_repeatable(name)]


def _is_repeatable(name: str) -> bool:
    return _REPEATABLE.fullmatch(PurePosixPath(name).name) is not None


def _list(content: FolderContent) -> Listing:
    """The files of all subfolders by version."""
    parsed = {name: found for name in content.names if (found := _parsed(name))}
    files = [ListedFile(name, version, stem(name)) for name, (kind, version) in parsed.items() if kind == "V"]
    files.sort(key=lambda each: (natural_order(each.number), each.name))
    return Listing(
        tuple(files),
        tuple(name for name in content.names if _is_repeatable(name)),
        tuple(_ignored(content, parsed)),
    )


def _ignored(content: FolderContent, parsed: dict[str, tuple[str, str]]) -> Iterator[tuple[str, str]]:
    versions = {version for kind, version in parsed.values() if kind == "V"}
    for name in content.names:
        kind, version = parsed.get(name, ("", ""))
        if kind == "B":
            yield name, "is a Flyway baseline: the files up to its version run instead"
        elif kind == "U" and version not in versions:
            yield name, "is a down migration without its migration"
        elif _CALLBACK.fullmatch(PurePosixPath(name).name):
            yield name, "is a callback of Flyway, which isn't run"
        elif is_sql(name) and not kind and not _is_repeatable(name):
            yield name, "has no name of a Flyway migration"


def _new(wanted: NewMigration) -> list[NewFile]:
    """Beside the newest file, with the next version in its style."""
    newest = PurePosixPath(wanted.existing[-1]) if wanted.existing else PurePosixPath("V0__.sql")
    found = _NAME.fullmatch(newest.name)
    written = found[2] if found else "0"
    version = next_version([written.replace("_", ".")], wanted.now)
    if "_" in written:
        version = version.replace(".", "_")
    return [NewFile((newest.parent / f"V{version}__{wanted.slug}.sql").as_posix(), TEMPLATE)]


FLYWAY = Layout("flyway", "Flyway's names (V1__title.sql)", _evidence, _list, _new)
