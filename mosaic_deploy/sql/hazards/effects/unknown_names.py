"""Tables and columns that statements name and that can't exist, neither live nor by what the files do before.

It is said only if it is certain. SQL that can't be read, a function that isn't known, or an extension that may bring
tables of its own ends the search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mosaic_deploy.errors import Location
from mosaic_deploy.sql.hazards.effects.scope import ObjectKey, Scope
from mosaic_deploy.sql.hazards.effects.statement_effects import written_tables
from mosaic_deploy.sql.hazards.effects.unseen_changes import (
    CREATING_KINDS,
    UnseenChanges,
    added_columns,
    created_relation,
)
from mosaic_deploy.sql.hazards.live_objects import ObjectKind
from mosaic_deploy.sql.hazards.syntax.names import Name, list_name, object_name, range_name
from mosaic_deploy.sql.hazards.syntax.references import column_references, table_references
from mosaic_deploy.sql.hazards.syntax.trees import Effect
from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.session.temporary import is_temporary
from mosaic_deploy.sql.tree import walk

_SYSTEM_COLUMNS = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid", "oid"})
_RELATIONS = frozenset({"OBJECT_TABLE", "OBJECT_FOREIGN_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW"})
_SESSION_SETTINGS = frozenset({"search_path", "role", "session_authorization"})


@dataclass(frozen=True, slots=True)
class UnknownName:
    """`byte` is a location in the statement's tree. `column` is empty for a table."""

    table: Name
    column: str
    byte: int | None
    known: tuple[str, ...] = ()
    """For a column: the table's columns. For a table: those that the files create."""
    search_path_is_set: bool = False
    """Whether the files change how a name without a schema is resolved."""
    written: frozenset[str] = frozenset()
    """Names of the tables whose rows the files write before, which may fire triggers of the live database."""
    gone: str = ""
    """What became of it: `dropped by migrations/0002_d.sql:1`, if the files drop or rename it before."""


class NameCheck:
    """Follows the files' statements. Feed it each statement, then each of its effects before the scope changes."""

    def __init__(self, *, certain: bool) -> None:
        """`certain`: the scope knows everything that happened since the live database was read."""
        self._certain = certain
        self._unseen = UnseenChanges()
        self._columns: dict[ObjectKey, set[str] | None] = {}
        self._added: set[str] = set()
        """Names of all columns that the files add, which a partition or child may get too."""
        self._created: set[str] = set()
        """Names of all relations that the files create, also of indexes, sequences and composite types."""
        self._with_parts: set[str] = set()
        """Names of tables that the files create or give an index, whose names begin with the table's."""
        self._path_is_set = False
        self._seen_inserts: set[str] = set()
        self._written: set[str] = set()
        self._gone: dict[tuple[ObjectKey, str], str] = {}
        """As in UnknownName, by table and column; the column is empty for a table."""

    def unknown_names(self, statement: Statement, scope: Scope) -> Iterator[UnknownName]:
        """What the statement names and can't exist."""
        if not self._certain or self._is_seen_insert(statement):
            return
        node = statement.node
        if (
            node.get("if_not_exists")
            and statement.kind == "CreateStmt"
            and not self._is_missing(range_name(node["relation"]), scope)
        ):
            return  # if the table is there, PostgreSQL looks at nothing else
        missing = set()
        for table in table_references(statement.kind, node):
            if table.name not in missing and self._is_missing(table.name, scope):
                missing.add(table.name)
                known_tables = tuple(sorted(self._created))
                yield UnknownName(
                    table.name,
                    "",
                    table.byte,
                    known_tables,
                    self._path_is_set,
                    written=frozenset(self._written),
                    gone=self._gone.get((scope.key(table.name), ""), ""),
                )
        also = self._added | _SYSTEM_COLUMNS | added_columns(node)
        for column in column_references(statement.kind, node):
            known = None if column.table in missing else self._columns_of(column.table, scope)
            # `t.f` may be a call of the function f with a row.
            is_call = column.column in scope.functions
            if known is not None and not is_call and column.column not in known | also:
                yield UnknownName(
                    column.table,
                    column.column,
                    column.byte,
                    tuple(sorted(known)),
                    written=frozenset(self._written),
                    gone=self._gone.get((scope.key(column.table), column.column), ""),
                )

    def is_missing(self, table: Name, scope: Scope) -> bool:
        """Whether there surely is no such table after what was observed."""
        return self._certain and self._is_missing(table, scope)

    def observe(self, effect: Effect, scope: Scope, where: Callable[[], Location]) -> None:
        """Records what the effect does. Call it before the scope is updated. `where` is the statement's place."""
        self._certain = self._certain and not self._unseen.may_follow(effect, scope)
        if not self._certain:
            return
        self._path_is_set = self._path_is_set or _sets_path(effect)
        self._written.update(table.name for table, _ in written_tables(effect))
        self._record_parts(effect)
        if effect.kind in CREATING_KINDS or effect.kind == "SelectStmt":
            self._record_created(effect, scope)
        elif effect.kind == "AlterTableStmt":
            self._record_altered(effect, scope, where)
        elif effect.kind in ("RenameStmt", "AlterObjectSchemaStmt") and "relation" in effect.node:
            self._record_renamed(effect, scope, where)
        elif effect.kind == "DropStmt":
            for item in effect.node.get("objects", []):
                name = object_name(item)
                self._columns[scope.key(name)] = None
                if effect.node.get("removeType") in _RELATIONS and not scope.is_missing(name):
                    self._gone[scope.key(name), ""] = _by("dropped", where())

    def _is_seen_insert(self, statement: Statement) -> bool:
        """Whether a plain INSERT of a large file, which isn't parsed yet, begins like an earlier one."""
        if statement.kind != "InsertStmt" or statement.parsed is not None:
            return False
        head = statement.text[: max(0, statement.text.lower().find("values"))]
        if head and head in self._seen_inserts:
            return True
        self._seen_inserts.add(head)
        self._written.add(range_name(statement.node["relation"]).name)
        return False

    def _is_missing(self, name: Name, scope: Scope) -> bool:
        if name.name in self._created or not scope.is_missing(name):
            return False
        if name.schema is None and "information_schema" in scope.search_path:
            return False
        # A sequence or index that comes with a table has the table's name in front.
        return not name.name.endswith("_seq") and not any(
            name.name.startswith(f"{table}_") for table in self._with_parts
        )

    def _columns_of(self, table: Name, scope: Scope) -> set[str] | None:
        key = scope.key(table)
        if key not in self._columns:
            found = scope.facts_of(table) if scope.existed_before(table) else None
            self._columns[key] = set(found.columns) if found and found.columns else None
        return self._columns[key]

    def _record_created(self, effect: Effect, scope: Scope) -> None:
        relation = created_relation(effect)
        if not relation:
            return
        name = range_name(relation)
        self._created.add(name.name)
        self._with_parts.add(name.name)
        schema = "pg_temp" if is_temporary(relation) else name.schema or scope.schema
        key = ObjectKey(ObjectKind.RELATION, schema, name.name)
        self._columns[key] = _all_columns(effect) if effect.certain and effect.kind == "CreateStmt" else None

    def _record_parts(self, effect: Effect) -> None:
        """Records the indexes and sequences that come with tables."""
        if effect.kind in ("CreateStmt", "AlterTableStmt", "IndexStmt"):
            self._with_parts.add(range_name(effect.node["relation"]).name)
            for kind, fields in walk([effect.node.get("tableElts", []), effect.node.get("cmds", [])]):
                if kind == "Constraint":
                    self._created.add(str(fields.get("conname")))
                elif kind == "DefElem" and fields.get("defname") == "sequence_name":
                    self._created.add(list_name(fields["arg"]["List"]["items"]).name)

    def _record_altered(self, effect: Effect, scope: Scope, where: Callable[[], Location]) -> None:
        self._added |= added_columns(effect.node)
        table = range_name(effect.node["relation"])
        known = self._columns_of(table, scope)
        if known is None:
            return
        known |= added_columns(effect.node)
        for item in effect.node.get("cmds", []):
            command = item.get("AlterTableCmd", {})
            if command.get("subtype") == "AT_DropColumn" and effect.certain:
                known.discard(str(command.get("name")))
                self._gone[scope.key(table), str(command.get("name"))] = _by("dropped", where())

    def _record_renamed(self, effect: Effect, scope: Scope, where: Callable[[], Location]) -> None:
        node = effect.node
        name, new = range_name(node["relation"]), str(node.get("newname", ""))
        known = self._columns_of(name, scope)
        if node.get("renameType") in ("OBJECT_COLUMN", "OBJECT_ATTRIBUTE"):
            self._added.add(new)
            if known is not None and effect.certain:
                known.discard(str(node.get("subname")))
                self._gone[scope.key(name), str(node.get("subname"))] = _by(f"renamed to {new}", where())
            return
        key = scope.key(name)
        to = ObjectKey(ObjectKind.RELATION, str(node.get("newschema") or key.schema), new or name.name)
        self._columns[to] = known if effect.certain else None
        self._columns[key] = None
        self._gone[key, ""] = _by(f"renamed to {to.name}", where())
        self._created.add(to.name)


def _all_columns(effect: Effect) -> set[str] | None:
    """The columns of CREATE TABLE; None if it may have others."""
    node = effect.node
    elements = node.get("tableElts", [])
    others = any(field in node for field in ("inhRelations", "ofTypename", "partbound", "if_not_exists"))
    if others or any("TableLikeClause" in item for item in elements):
        return None
    return {str(item["ColumnDef"]["colname"]) for item in elements if "ColumnDef" in item}


def _by(what: str, where: Location) -> str:
    return f"{what} by {where.file}:{where.line}"


def _sets_path(effect: Effect) -> bool:
    if effect.kind in ("AlterRoleSetStmt", "AlterDatabaseSetStmt", "DiscardStmt"):
        return True
    if effect.kind == "VariableSetStmt":
        return (
            effect.node.get("name") in (*_SESSION_SETTINGS, None)
            or effect.node.get("kind") == "VAR_RESET_ALL"
        )
    return effect.kind == "SelectStmt" and "set_config" in str(effect.node.get("targetList"))
