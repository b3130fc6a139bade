"""The objects that files leave behind, so that recording them as applied can be checked.

If a name or a drop is decided at run time, nothing is expected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from mosaic_deploy.deploy.history.created_objects import (
    TABLE_OBJECTS,
    Kind,
    changed_column,
    commands,
    namespace,
    new_columns,
    new_parts,
    new_standalone,
    strings,
)
from mosaic_deploy.deploy.history.expected_schema import (
    TEMPORARY,
    Column,
    ExpectedSchema,
    Part,
    Place,
    Relation,
    Standalone,
    key_of,
    may_be,
)
from mosaic_deploy.deploy.history.followed_code import CodeFollower
from mosaic_deploy.source.migrations.files import ParsedFile
from mosaic_deploy.sql.hazards.syntax.names import Name, list_name, object_name, range_name
from mosaic_deploy.sql.parse import Statement, Tree
from mosaic_deploy.sql.session.temporary import created_temporary, dropped_temporary, mentions

_RELATIONS = TABLE_OBJECTS | {"OBJECT_VIEW", "OBJECT_MATVIEW"}
_STANDALONE = {
    "OBJECT_SEQUENCE": Kind.SEQUENCE,
    "OBJECT_TYPE": Kind.TYPE,
    "OBJECT_DOMAIN": Kind.TYPE,
    "OBJECT_FUNCTION": Kind.FUNCTION,
    "OBJECT_PROCEDURE": Kind.FUNCTION,
    "OBJECT_ROUTINE": Kind.FUNCTION,
    "OBJECT_EXTENSION": Kind.EXTENSION,
}
_PARTS = {"OBJECT_TRIGGER": Kind.TRIGGER, "OBJECT_POLICY": Kind.POLICY, "OBJECT_RULE": Kind.RULE}
_SEARCH_PATH = re.compile(r"search_path", re.IGNORECASE)


def expected_objects(files: Sequence[ParsedFile]) -> ExpectedSchema:
    """What surely exists after these files ran in this order."""
    follower = _Follower()
    for number, parsed in enumerate(files):
        follower.certain = not _SEARCH_PATH.search(parsed.file.text)
        for step in parsed.steps:
            follower.undone = any(_undoes(statement) for statement in step.statements)
            for statement in step.statements:
                follower.certain = follower.certain and not _sets_path(statement)
                follower.follow(Place(number, parsed.file, statement))
            follower.temporary -= follower.until_commit
            follower.until_commit.clear()
        follower.temporary.clear()
    return follower.expected


class _Follower:
    def __init__(self) -> None:
        self.expected = ExpectedSchema()
        self.certain = True
        """Whether names without a schema are looked up in the usual one."""
        self.undone = False
        """Whether a part of the step may be rolled back, so that nothing is sure to be created."""
        self.temporary: set[str] = set()
        """Names of the file's temporary objects, which hide others."""
        self.until_commit: set[str] = set()
        self.code = CodeFollower(self.expected)

    def follow(self, place: Place) -> None:
        statement = place.statement
        made = dict(created_temporary(statement))
        if statement.kind == "ViewStmt" and any(mentions(statement, name) for name in self.temporary):
            # PostgreSQL makes a view of a temporary table temporary.
            made[statement.node["view"]["relname"]] = False
        self.temporary |= made.keys()
        self.until_commit |= {name for name, until_commit in made.items() if until_commit}
        if not made or statement.kind == "DoStmt":
            self._remove(statement)
            if not self.undone:
                self._create(place)
            self.temporary -= dropped_temporary(statement)

    def _create(self, place: Place) -> None:
        statement, node = place.statement, place.statement.node
        match statement.kind:
            case "CreateStmt":
                self._create_relation(place, Kind.TABLE, node["relation"], node)
            case "CreateForeignTableStmt":
                base = node.get("base") or node
                self._create_relation(place, Kind.FOREIGN_TABLE, base["relation"], base)
            case "ViewStmt":
                self._create_relation(place, Kind.VIEW, node["view"], {})
            case "CreateTableAsStmt":
                kind = Kind.MATERIALIZED_VIEW if node.get("objtype") == "OBJECT_MATVIEW" else Kind.TABLE
                only = {"if_not_exists": node.get("if_not_exists")}
                self._create_relation(place, kind, node["into"]["rel"], only)
            case "AlterTableStmt" if node.get("objtype") in TABLE_OBJECTS:
                self._change_columns(place)
        if created := new_standalone(statement):
            self._create_standalone(place, *created)
        for relation, part in new_parts(statement):
            if found := self._used(relation):
                found.parts[part.kind, part.name] = Part(part, place)

    def _create_relation(self, place: Place, kind: Kind, relation: Tree, node: Tree) -> None:
        name = range_name(relation)
        if not self._is_sure(name):
            return
        if_not_exists = bool(node.get("if_not_exists"))
        if if_not_exists and key_of(name) in self.expected.relations:
            return
        self.expected.relations[key_of(name)] = Relation(
            name,
            kind,
            place,
            if_not_exists,
            {each.name: Column(each, place, place) for each in new_columns(node)},
            parents={key_of(self._name(each["RangeVar"])) for each in node.get("inhRelations", [])},
        )

    def _create_standalone(self, place: Place, kind: Kind, name: Name) -> None:
        if self._is_sure(name) or kind in (Kind.SCHEMA, Kind.EXTENSION):
            node = place.statement.node
            found = Standalone(name, kind, place, bool(node.get("if_not_exists")), set(self._owners(node)))
            self.expected.standalone[namespace(kind), key_of(name)] = found

    def _change_columns(self, place: Place) -> None:
        node = place.statement.node
        if node.get("missing_ok") or not (found := self._used(node["relation"])):
            return
        for command in commands(node):
            if new := changed_column(command):
                earlier = found.columns.get(new.name)
                if earlier and not new.added:
                    typed = replace(earlier.new, type=new.type)
                    found.columns[new.name] = Column(typed, earlier.place, place)
                elif not (earlier and new.if_not_exists):
                    found.columns[new.name] = Column(new, place, place)

    def _remove(self, statement: Statement) -> None:
        """What the statement may take away."""
        node = statement.node
        match statement.kind:
            case "DropStmt":
                self._drop(node)
            case "AlterTableStmt" if node.get("objtype") in _RELATIONS:
                self._alter(node)
            case "RenameStmt":
                self._rename(node)
            case "AlterObjectSchemaStmt" if node.get("objectType") in _RELATIONS:
                name = self._name(node["relation"])
                self.expected.move(name, Name(node["newschema"], name.name))
            case "AlterObjectSchemaStmt" | "AlterExtensionContentsStmt":
                self.expected.forget_named(strings(node).__contains__)
            case "AlterSeqStmt":
                self._change_owner(node)
            case "DropOwnedStmt":
                self.expected.clear()
        self.code.follow(statement)

    def _drop(self, node: Tree) -> None:
        kind, cascade = str(node.get("removeType")), node.get("behavior") == "DROP_CASCADE"
        names = [object_name(each) for each in node["objects"]]
        if kind == "OBJECT_SCHEMA":
            self.expected.drop_schemas([name.name for name in names])
        elif kind in _RELATIONS:
            names = [name for name in names if name.schema or name.name not in self.temporary]
            self.expected.drop_relations(names)
        elif kind == "OBJECT_INDEX":
            for name in names:
                self.expected.drop_index(name)
        elif found := _STANDALONE.get(kind):
            self.expected.drop_standalone(found, names)
        elif found := _PARTS.get(kind):
            for each in node["objects"]:
                *table, part = each["List"]["items"]
                relations = self.expected.affected(list_name(table))
                self.expected.drop_parts([found], part["String"]["sval"], relations)
        if cascade and kind not in _PARTS:
            narrow = kind in _RELATIONS or kind in ("OBJECT_INDEX", "OBJECT_SEQUENCE")
            self.expected.cascade({name.name for name in names}, widely=not narrow)

    def _alter(self, node: Tree) -> None:
        name = self._name(node["relation"])
        for command in commands(node):
            dropped = str(command.get("name", ""))
            if command.get("behavior") == "DROP_CASCADE":
                self.expected.cascade(widely=False)
            match command.get("subtype"):
                case "AT_DropColumn":
                    self.expected.drop_column(name, dropped)
                case "AT_DropConstraint":
                    # The index of a unique constraint has its name.
                    kinds = (Kind.CONSTRAINT, Kind.INDEX)
                    self.expected.drop_parts(kinds, dropped, self.expected.affected(name))
                case "AT_AlterColumnType":
                    self.expected.forget_types(self.expected.affected(name), dropped)
                case "AT_AttachPartition" | "AT_AddInherit":
                    definition = next(iter(command["def"].values()))
                    one, other = name, self._name(definition.get("name", definition))
                    child, parent = (other, one) if "bound" in definition else (one, other)
                    for each in self.expected.meant(child):
                        each.parents.add(key_of(parent))
                case "AT_AddConstraint" if index := command["def"]["Constraint"].get("indexname"):
                    # It takes the constraint's name.
                    self.expected.drop_parts([Kind.INDEX], index, self.expected.affected(name))

    def _rename(self, node: Tree) -> None:
        kind, new = node.get("renameType"), str(node.get("newname"))
        if kind == "OBJECT_SCHEMA":
            self.expected.drop_schemas([node["subname"]])
        elif kind == "OBJECT_COLUMN":
            self.expected.rename_column(self._name(node["relation"]), node["subname"], new)
        elif kind in _RELATIONS:
            old = self._name(node["relation"])
            if old.schema == TEMPORARY:
                self.temporary = self.temporary - {old.name} | {new}
            # ALTER TABLE also renames an index or a sequence.
            self.expected.forget_named(lambda name: name == old.name)
            self.expected.move(old, Name(old.schema, new))
        else:
            self.expected.forget_named((strings(node) - {new}).__contains__)

    def _change_owner(self, node: Tree) -> None:
        name = range_name(node["sequence"])
        for each in self.expected.standalone.values():
            if each.kind is Kind.SEQUENCE and may_be(each.name, name):
                each.owners |= set(self._owners(node))

    def _owners(self, node: Tree) -> Iterator[tuple[str, str]]:
        """The table of OWNED BY."""
        for item in node.get("options", []):
            option = item.get("DefElem", {})
            if option.get("defname") == "owned_by":
                items = option["arg"]["List"]["items"]
                if len(items) > 1:
                    yield key_of(list_name(items[:-1]))

    def _used(self, relation: Tree) -> Relation | None:
        """The relation that a statement surely alters; None for a temporary one, and if that isn't certain."""
        name = self._name(relation)
        return self.expected.relation(name) if self._is_sure(name) else None

    def _name(self, relation: Tree) -> Name:
        """The name of a relation that is used: a temporary one hides others of its name."""
        name = range_name(relation)
        return Name(TEMPORARY, name.name) if not name.schema and name.name in self.temporary else name

    def _is_sure(self, name: Name) -> bool:
        return name.schema != TEMPORARY if name.schema else self.certain


def _undoes(statement: Statement) -> bool:
    return statement.kind == "TransactionStmt" and statement.node.get("kind") == "TRANS_STMT_ROLLBACK_TO"


def _sets_path(statement: Statement) -> bool:
    """Whether it is a SET search_path, SET SCHEMA among them, whose text doesn't have the setting's name."""
    return statement.kind == "VariableSetStmt" and statement.node.get("name") == "search_path"
