"""Repeatable files: SQL that runs again when its meaning changes, such as views and functions; in the order in which they need each other."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from mosaic_deploy.errors import ManifestInvalid, Problem, SourceUnreadable
from mosaic_deploy.model.manifest import DatabaseSpec, Manifest
from mosaic_deploy.model.snapshot import Object
from mosaic_deploy.source.migrations.files import REPEATABLE_VERSION, MigrationFile, ParsedFile
from mosaic_deploy.source.migrations.layouts.detect import read_folder
from mosaic_deploy.source.migrations.listing import read_sql_file
from mosaic_deploy.source.migrations.seeds import parse_seeds
from mosaic_deploy.sql.parse import Statement

_CREATED = {
    "ViewStmt": "view",
    "CreateStmt": "relation",
    "CreateSeqStmt": "sequence",
    "CompositeTypeStmt": "typevar",
}
"""The field of each statement with the relation that it makes."""
_NAMED = {
    "CreateFunctionStmt": "funcname",
    "CreateEnumStmt": "typeName",
    "CreateRangeStmt": "typeName",
    "CreateDomainStmt": "domainname",
    "DefineStmt": "defnames",
}
_NAME_LISTS = frozenset({"funcname", "names", "objname", "oprname"})
_Name = tuple[str, str]
"""Schema, "" if it isn't written, and name."""


def read_repeatables(manifest: Manifest) -> tuple[tuple[MigrationFile, ...], Mapping[str, Object]]:
    """The repeatable files in the order in which they run, and their Objects by path.

    An Object's sha256 is the file's meaning: its statements, and those of the files that it needs and that drop what they
    make with all that depends on it. Raises SourceError, MigrationInvalid, ManifestInvalid.
    """
    files = [read_sql_file(manifest.root, path) for path in _paths(manifest)]
    named = [
        replace(
            file,
            migration=replace(
                file.migration, version=f"{REPEATABLE_VERSION}{number}", file=file.relative_path
            ),
        )
        for number, file in enumerate(files, 1)
    ]
    ordered = in_order(parse_seeds(named)) if named else []
    objects: dict[str, Object] = {}
    for each in ordered:
        path, drops = each.parsed.file.relative_path, [one for one in each.needs if one.drops_dependents]
        facts = [
            each.parsed.semantic,
            *sorted(objects[one.path].sha256 for one in drops if one.path in objects),
        ]
        meaning = facts[0] if not drops else hashlib.sha256("\n".join(facts).encode()).hexdigest()
        objects[path] = Object(path, meaning, each.parsed.file.size)
    return tuple(each.parsed.file for each in ordered), objects


def _paths(manifest: Manifest) -> Iterator[Path]:
    """Those that the layout of the migrations folder has, and those of database.repeatable; each once."""
    database = manifest.database or DatabaseSpec()
    found: dict[Path, None] = {}
    if database.migrations is not None:
        folder = manifest.root / database.migrations
        listing = read_folder(folder, database.migrations, database.layout).listing
        found |= dict.fromkeys(folder / name for name in listing.repeatable)
    if database.repeatable is not None:
        found |= dict.fromkeys(_sql_files(manifest, database.repeatable))
    return iter(found)


def _sql_files(manifest: Manifest, name: str) -> list[Path]:
    path = manifest.root / name
    if not path.is_dir():
        if path.suffix.lower() != ".sql":
            place = manifest.locate("database.repeatable")
            problem = Problem(f"{name} is neither a folder nor a .sql file", place, "database.repeatable")
            raise ManifestInvalid("repeatable files must be SQL", problems=[problem])
        return [path]
    try:
        found = sorted(path.rglob("*"))
    except OSError as error:
        raise SourceUnreadable(f"{name} can't be read: {error}") from error
    hidden = {each for each in found if any(part.startswith(".") for part in each.relative_to(path).parts)}
    return [
        each for each in found if each.suffix.lower() == ".sql" and each not in hidden and not each.is_dir()
    ]


@dataclass(eq=False)
class RepeatableFile:
    """A parsed file, what it makes and mentions, and the files that it needs."""

    parsed: ParsedFile
    needs: tuple[RepeatableFile, ...] = ()

    @property
    def path(self) -> str:
        return self.parsed.file.relative_path

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        return tuple(statement for step in self.parsed.steps for statement in step.statements)

    @cached_property
    def made(self) -> frozenset[_Name]:
        """The relations, functions and types that it creates."""
        return frozenset(name for statement in self.statements for name in _made(statement))

    @cached_property
    def mentioned(self) -> frozenset[_Name]:
        return frozenset(name for statement in self.statements for name in _mentioned(statement.node))

    @cached_property
    def bodies(self) -> frozenset[str]:
        """The words in its strings, of which function bodies consist."""
        return frozenset(word for statement in self.statements for word in _words(statement))

    @property
    def drops_dependents(self) -> bool:
        """Whether it drops what it makes with what others have built on it."""
        return any(
            statement.kind == "DropStmt" and statement.node.get("behavior") == "DROP_CASCADE"
            for statement in self.statements
        )

    def uses(self, other: RepeatableFile) -> bool:
        """Whether it mentions, also in a function's body, what only the other file makes."""
        for schema, name in other.made - self.made:
            found = (written for written, mentioned in self.mentioned if mentioned == name)
            if name in self.bodies or any(
                not schema or not written or schema == written for written in found
            ):
                return True
        return False


def in_order(files: Sequence[ParsedFile]) -> list[RepeatableFile]:
    """The files by name, but each after those that make what it uses. Files that need each other stay by name."""
    waiting = sorted((RepeatableFile(file) for file in files), key=lambda each: each.path)
    makers: dict[str, list[RepeatableFile]] = {}
    for each in waiting:
        for name in {name for _, name in each.made}:
            makers.setdefault(name, []).append(each)
    for each in waiting:
        names = {name for _, name in each.mentioned} | each.bodies
        others = {other for name in names & makers.keys() for other in makers[name] if other is not each}
        each.needs = tuple(other for other in sorted(others, key=lambda one: one.path) if each.uses(other))
    ordered: dict[RepeatableFile, None] = {}
    while waiting:
        ready = (each for each in waiting if all(other in ordered for other in each.needs))
        chosen = next(ready, waiting[0])
        waiting.remove(chosen)
        ordered[chosen] = None
    return list(ordered)


def _made(statement: Statement) -> Iterator[_Name]:
    node = statement.node
    if statement.kind == "CreateTableAsStmt":
        yield _relation(node.get("into", {}).get("rel", {}))
    elif field := _CREATED.get(statement.kind):
        yield _relation(node.get(field, {}))
    elif field := _NAMED.get(statement.kind):
        yield _listed(node.get(field, []))


def _mentioned(tree: Any) -> Iterator[_Name]:
    """The relations, functions and types in a statement's tree, and the objects that it drops or alters."""
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if isinstance(node.get("relname"), str):
                yield _relation(node)
            yield from (
                _listed(node[field]) for field in _NAME_LISTS & node.keys() if isinstance(node[field], list)
            )
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _words(statement: Statement) -> Iterator[str]:
    """Names in the body of a function or of a DO block: as written, which counts if it is in quotes, and in lower case."""
    if statement.kind in ("CreateFunctionStmt", "DoStmt"):
        yield from re.findall(r"\w+", f"{statement.text}\n{statement.text.lower()}")


def _relation(node: Any) -> _Name:
    return str(node.get("schemaname", "")), str(node.get("relname", ""))


def _listed(items: Sequence[Any]) -> _Name:
    names = [str(item.get("String", {}).get("sval", "")) for item in items if isinstance(item, dict)]
    return (names[-2] if len(names) > 1 else ""), (names[-1] if names else "")
