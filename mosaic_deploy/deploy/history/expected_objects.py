"""The tables, views and columns that files leave behind, so that recording them as applied can be checked.

If a name or a drop is decided at run time, nothing is expected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mosaic_deploy.errors import Problem
from mosaic_deploy.source.migrations.files import MigrationFile, ParsedFile, statement_location
from mosaic_deploy.sql.hazards import Facts, ObjectFacts, ObjectKind, ObjectRef
from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.quote import identifier
from mosaic_deploy.sql.session.temporary import created_temporary, dropped_temporary, mentions

_RELATIONS = frozenset({"OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE"})
_DROPS = re.compile(r"\b(drop|rename|set\s+schema)\b", re.IGNORECASE)
_DYNAMIC = re.compile(r"\bexecute\b", re.IGNORECASE)
_SEARCH_PATH = re.compile(r"search_path", re.IGNORECASE)
_TEMPORARY = "pg_temp"
Key = tuple[str, str]
"""Schema and name; `public` if the file names no schema."""


@dataclass(slots=True)
class Expected:
    """A relation, where it was last created, and where each of its columns was."""

    ref: ObjectRef
    shown: str
    file: MigrationFile
    statement: Statement
    columns: dict[str, tuple[MigrationFile, Statement]] = field(default_factory=dict)
    parents: set[Key] = field(default_factory=set)
    is_view: bool = False


def expected_objects(files: Sequence[ParsedFile]) -> list[Expected]:
    """What exists after these files ran in this order."""
    expectation = _Expectation()
    for parsed in files:
        certain = not _SEARCH_PATH.search(parsed.file.text)
        for step in parsed.steps:
            for statement in step.statements:
                certain = certain and not _sets_path(statement)
                expectation.follow(parsed.file, statement, certain=certain)
            expectation.temporary.clear()
    return list(expectation.found.values())


def missing_problems(expected: Sequence[Expected], facts: Facts) -> Iterator[Problem]:
    """What the database, described by `facts`, doesn't have."""
    for each in expected:
        live = facts.get(each.ref)
        if live is None:
            place = statement_location(each.file, each.statement)
            yield Problem(f"creates {each.shown}, which doesn't exist", place)
        elif not each.is_view:
            yield from _missing_columns(each, live)


def _missing_columns(each: Expected, live: ObjectFacts) -> Iterator[Problem]:
    for column, (file, statement) in each.columns.items():
        if column not in live.columns:
            place = statement_location(file, statement)
            yield Problem(f"adds column {column} to {each.shown}, which doesn't have it", place)


class _Expectation:
    def __init__(self) -> None:
        self.found: dict[Key, Expected] = {}
        self.temporary: set[str] = set()
        """Names of the temporary objects of the step, which hide others."""

    def follow(self, file: MigrationFile, statement: Statement, *, certain: bool) -> None:
        """What the statement changes. Not `certain`: names without a schema may be in any."""
        made = {name for name, _ in created_temporary(statement)}
        if statement.kind == "ViewStmt" and any(mentions(statement, name) for name in self.temporary):
            # PostgreSQL makes a view of a temporary table temporary.
            made.add(statement.node["view"]["relname"])
        self.temporary |= made
        if not made or statement.kind == "DoStmt":
            self._follow_lasting(file, statement, certain=certain)
            self.temporary -= dropped_temporary(statement)

    def _follow_lasting(self, file: MigrationFile, statement: Statement, *, certain: bool) -> None:
        node = statement.node
        match statement.kind:
            case "CreateStmt" | "CreateForeignTableStmt":
                base = node.get("base") or node
                self._create(file, statement, base["relation"], base, certain=certain)
            case "ViewStmt":
                self._create(file, statement, node["view"], {}, certain=certain, is_view=True)
            case "CreateTableAsStmt":
                is_view = node.get("objtype") == "OBJECT_MATVIEW"
                self._create(file, statement, node["into"]["rel"], {}, certain=certain, is_view=is_view)
            case "DropStmt":
                self._drop(node)
            case "AlterTableStmt":
                self._alter(file, statement)
            case "RenameStmt":
                self._rename(node)
            case "AlterObjectSchemaStmt" if node.get("objectType") in _RELATIONS:
                self._move(self._key(node["relation"]), (node["newschema"], node["relation"]["relname"]))
            case "DoStmt" | "CallStmt":
                self._follow_code(statement.text)

    def _create(
        self,
        file: MigrationFile,
        statement: Statement,
        relation: dict[str, Any],
        node: dict[str, Any],
        *,
        certain: bool,
        is_view: bool = False,
    ) -> None:
        if not (certain or relation.get("schemaname")):
            return
        key = _key(relation)
        if key in self.found and node.get("if_not_exists"):
            return
        schema, name = relation.get("schemaname"), relation["relname"]
        quoted = ".".join(identifier(part) for part in (schema, name) if part)
        shown = f"{schema}.{name}" if schema else name
        elements = [each.get("ColumnDef") for each in node.get("tableElts", [])]
        self.found[key] = Expected(
            ObjectRef(ObjectKind.RELATION, quoted),
            shown,
            file,
            statement,
            {each["colname"]: (file, statement) for each in elements if each},
            {self._key(each["RangeVar"]) for each in node.get("inhRelations", [])},
            is_view,
        )

    def _drop(self, node: dict[str, Any]) -> None:
        cascade = node.get("behavior") == "DROP_CASCADE"
        if node.get("removeType") == "OBJECT_SCHEMA":
            schemas = {each["String"]["sval"] for each in node["objects"]}
            self._forget({key for key in self.found if key[0] in schemas}, cascade=cascade)
        elif node.get("removeType") in _RELATIONS:
            lists = (each["List"]["items"] for each in node["objects"])
            named = ([part["String"]["sval"] for part in items][-2:] for items in lists)
            names = [name for name in named if len(name) > 1 or name[0] not in self.temporary]
            self._forget(
                {key for key in self.found for name in names if _matches(key, name)}, cascade=cascade
            )
        elif cascade:
            self._forget(set(), cascade=True)

    def _forget(self, keys: set[Key], *, cascade: bool) -> None:
        """The relations are gone, their partitions too, and with CASCADE any view may be."""
        for key, each in list(self.found.items()):
            if key in keys or each.parents & keys or (cascade and each.is_view):
                del self.found[key]

    def _alter(self, file: MigrationFile, statement: Statement) -> None:
        node = statement.node
        each = self.found.get(self._key(node["relation"]))
        for item in node.get("cmds", []):
            command = item.get("AlterTableCmd", {})
            if command.get("behavior") == "DROP_CASCADE":
                self._forget(set(), cascade=True)
            if each is None:
                continue
            if command.get("subtype") == "AT_AddColumn":
                each.columns.setdefault(command["def"]["ColumnDef"]["colname"], (file, statement))
            elif command.get("subtype") == "AT_DropColumn":
                each.columns.pop(command.get("name", ""), None)

    def _rename(self, node: dict[str, Any]) -> None:
        relation = node.get("relation")
        if not relation:
            return
        key = self._key(relation)
        if node.get("renameType") in _RELATIONS:
            if key[0] == _TEMPORARY:
                self.temporary = self.temporary - {key[1]} | {node["newname"]}
            self._move(key, (key[0], node["newname"]))
        elif node.get("renameType") == "OBJECT_COLUMN" and (each := self.found.get(key)):
            place = each.columns.pop(node.get("subname", ""), None)
            if place:
                each.columns[node["newname"]] = place

    def _move(self, old: Key, new: Key) -> None:
        if each := self.found.pop(old, None):
            each.ref = ObjectRef(ObjectKind.RELATION, ".".join(map(identifier, new)))
            each.shown = f"{new[0]}.{new[1]}"
            self.found[new] = each

    def _key(self, relation: dict[str, Any]) -> Key:
        """Of a relation that is used: a temporary one hides others of its name."""
        is_hidden = "schemaname" not in relation and relation["relname"] in self.temporary
        return (_TEMPORARY, relation["relname"]) if is_hidden else _key(relation)

    def _follow_code(self, text: str) -> None:
        """Code that drops or renames: what it names may be gone, and if it builds statements, anything."""
        if not _DROPS.search(text):
            return
        words = set(re.findall(r"\w+", text))
        for key, each in list(self.found.items()):
            if _DYNAMIC.search(text) or key[1] in words or not words.isdisjoint(each.columns):
                del self.found[key]


def _sets_path(statement: Statement) -> bool:
    """Whether it is a SET search_path, SET SCHEMA among them, whose text doesn't have the setting's name."""
    return statement.kind == "VariableSetStmt" and statement.node.get("name") == "search_path"


def _key(relation: dict[str, Any]) -> Key:
    return relation.get("schemaname") or "public", relation["relname"]


def _matches(key: Key, name: list[str]) -> bool:
    """Whether a dropped name may mean the relation; one without a schema may be in any."""
    return key[1] == name[-1] and (len(name) == 1 or key[0] == name[0])
