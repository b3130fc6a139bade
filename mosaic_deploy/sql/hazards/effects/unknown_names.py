"""Tables and columns that statements name and that can't exist, neither live nor by what the files do before.

It is said only if it is certain. SQL that can't be read, a function that isn't known, or an extension that may bring
tables of its own ends the search.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mosaic_deploy.sql.hazards.effects.routines import BUILTIN_FUNCTIONS
from mosaic_deploy.sql.hazards.effects.scope import ObjectKey, Scope
from mosaic_deploy.sql.hazards.live_objects import ObjectKind
from mosaic_deploy.sql.hazards.syntax.names import Name, list_name, object_name, range_name
from mosaic_deploy.sql.hazards.syntax.references import column_references, table_references
from mosaic_deploy.sql.hazards.syntax.trees import DYNAMIC_SQL, UNREADABLE_ROUTINE, Effect
from mosaic_deploy.sql.hazards.syntax.volatility import STABLE_FUNCTIONS
from mosaic_deploy.sql.parse import Statement, Tree

_WITHOUT_TABLES = frozenset(
    [
        "pgcrypto",
        "uuid-ossp",
        "citext",
        "vector",
        "pg_trgm",
        "hstore",
        "btree_gin",
        "btree_gist",
        "unaccent",
        "intarray",
        "ltree",
        "fuzzystrmatch",
        "cube",
        "tablefunc",
        "earthdistance",
        "isn",
        "lo",
        "seg",
        "tcn",
        "plpgsql",
        "dict_int",
        "dict_xsyn",
        "bloom",
    ]
)
"""Extensions that create no tables or views, and no functions that do."""
_UNREADABLE = frozenset({DYNAMIC_SQL, UNREADABLE_ROUTINE, "ImportForeignSchemaStmt", "LoadStmt"})
_SYSTEM_COLUMNS = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid", "oid"})
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


class NameCheck:
    """Follows the files' statements. Feed it each statement, then each of its effects before the scope changes."""

    def __init__(self, *, certain: bool) -> None:
        """`certain`: the scope knows everything that happened since the live database was read."""
        self._certain = certain
        self._columns: dict[ObjectKey, set[str] | None] = {}
        self._added: set[str] = set()
        """Names of all columns that the files add, which a partition or child may get too."""
        self._created: set[str] = set()
        self._path_is_set = False
        self._seen_inserts: set[str] = set()

    def unknown_names(self, statement: Statement, scope: Scope) -> Iterator[UnknownName]:
        """What the statement names and can't exist."""
        if not self._certain or self._is_seen_insert(statement):
            return
        missing = set()
        for table in table_references(statement.kind, statement.node):
            if table.name not in missing and self._is_missing(table.name, scope):
                missing.add(table.name)
                yield UnknownName(table.name, "", table.byte, tuple(sorted(self._created)), self._path_is_set)
        for column in column_references(statement.kind, statement.node):
            known = None if column.table in missing else self._columns_of(column.table, scope)
            also = self._added | _SYSTEM_COLUMNS
            if known is not None and column.column not in known and column.column not in also:
                added = _added_columns(statement.node)
                if column.column not in added:
                    yield UnknownName(column.table, column.column, column.byte, tuple(sorted(known)))

    def observe(self, effect: Effect, scope: Scope) -> None:
        """Records what the effect does. Call it before the scope is updated."""
        self._certain = self._certain and not _may_do_anything(effect, scope)
        if not self._certain:
            return
        self._path_is_set = self._path_is_set or _sets_path(effect)
        if effect.kind in (
            "CreateStmt",
            "CreateTableAsStmt",
            "ViewStmt",
            "SelectStmt",
            "CreateForeignTableStmt",
        ):
            self._record_created(effect, scope)
        elif effect.kind == "AlterTableStmt":
            self._record_altered(effect, scope)
        elif effect.kind in ("RenameStmt", "AlterObjectSchemaStmt") and "relation" in effect.node:
            self._record_renamed(effect, scope)
        elif effect.kind == "DropStmt":
            for item in effect.node.get("objects", []):
                self._columns[scope.key(object_name(item))] = None

    def _is_seen_insert(self, statement: Statement) -> bool:
        """Whether a plain INSERT of a large file, which isn't parsed yet, begins like an earlier one."""
        if statement.parsed is not None:
            return False
        head = statement.text[: max(0, statement.text.lower().find("values"))]
        seen = bool(head) and head in self._seen_inserts
        self._seen_inserts.add(head)
        return seen

    def _is_missing(self, name: Name, scope: Scope) -> bool:
        if name.name in self._created or not scope.is_missing(name):
            return False
        # A sequence or index that comes with a table of these files has the table's name in front.
        return not name.name.endswith("_seq") and not any(
            name.name.startswith(f"{table}_") for table in self._created
        )

    def _columns_of(self, table: Name, scope: Scope) -> set[str] | None:
        key = scope.key(table)
        if key not in self._columns:
            found = scope.facts_of(table) if scope.existed_before(table) else None
            self._columns[key] = set(found.columns) if found and found.columns else None
        return self._columns[key]

    def _record_created(self, effect: Effect, scope: Scope) -> None:
        relation = _created_relation(effect)
        if not relation:
            return
        name = range_name(relation)
        self._created.add(name.name)
        schema = "pg_temp" if relation.get("relpersistence") == "t" else name.schema or scope.schema
        key = ObjectKey(ObjectKind.RELATION, schema, name.name)
        self._columns[key] = _all_columns(effect) if effect.certain and effect.kind == "CreateStmt" else None

    def _record_altered(self, effect: Effect, scope: Scope) -> None:
        self._added |= _added_columns(effect.node)
        known = self._columns_of(range_name(effect.node["relation"]), scope)
        if known is None:
            return
        known |= _added_columns(effect.node)
        for item in effect.node.get("cmds", []):
            command = item.get("AlterTableCmd", {})
            if command.get("subtype") == "AT_DropColumn" and effect.certain:
                known.discard(str(command.get("name")))

    def _record_renamed(self, effect: Effect, scope: Scope) -> None:
        node = effect.node
        name, new = range_name(node["relation"]), str(node.get("newname", ""))
        known = self._columns_of(name, scope)
        if node.get("renameType") == "OBJECT_COLUMN":
            self._added.add(new)
            if known is not None and effect.certain:
                known.discard(str(node.get("subname")))
            return
        key = scope.key(name)
        to = ObjectKey(ObjectKind.RELATION, str(node.get("newschema") or key.schema), new or name.name)
        self._columns[to] = known if effect.certain else None
        self._columns[key] = None
        self._created.add(to.name)


def _created_relation(effect: Effect) -> Tree:
    node = effect.node
    if effect.kind == "ViewStmt":
        relation = node.get("view", {})
    elif effect.kind == "CreateTableAsStmt":
        relation = node["into"]["rel"]
    elif effect.kind == "SelectStmt":
        relation = node.get("intoClause", {}).get("rel", {})
    elif effect.kind == "CreateForeignTableStmt":
        relation = node.get("base", {}).get("relation", {})
    else:
        relation = node["relation"]
    found: Tree = relation
    return found


def _all_columns(effect: Effect) -> set[str] | None:
    """The columns of CREATE TABLE; None if it may have others."""
    node = effect.node
    elements = node.get("tableElts", [])
    others = any(field in node for field in ("inhRelations", "ofTypename", "partbound", "if_not_exists"))
    if others or any("TableLikeClause" in item for item in elements):
        return None
    return {str(item["ColumnDef"]["colname"]) for item in elements if "ColumnDef" in item}


def _added_columns(node: Tree) -> set[str]:
    commands = [item.get("AlterTableCmd", {}) for item in node.get("cmds", [])]
    added = [
        one.get("def", {}).get("ColumnDef", {}) for one in commands if one.get("subtype") == "AT_AddColumn"
    ]
    return {str(one.get("colname")) for one in added}


def _may_do_anything(effect: Effect, scope: Scope) -> bool:
    """Whether tables or columns may change in a way that can't be seen."""
    if effect.kind in _UNREADABLE:
        return True
    if effect.kind == "CreateExtensionStmt":
        name = Name(None, str(effect.node["extname"]))
        return name.name not in _WITHOUT_TABLES and not scope.existed_before(name, ObjectKind.EXTENSION)
    calls = []
    if effect.kind == "SelectStmt":
        values = [item.get("ResTarget", {}).get("val", {}) for item in effect.node.get("targetList", [])]
        calls = [value["FuncCall"] for value in values if "FuncCall" in value]
        calls += [call for item in effect.node.get("fromClause", []) for call in _table_functions(item)]
    elif effect.kind == "CallStmt":
        calls = [effect.node.get("funccall", {})]
    return any(not _is_harmless(list_name(call.get("funcname", [])), scope) for call in calls)


def _table_functions(item: Tree) -> list[Tree]:
    functions = item.get("RangeFunction", {}).get("functions", [])
    nodes = [one for each in functions for one in each.get("List", {}).get("items", [])]
    return [one["FuncCall"] for one in nodes if "FuncCall" in one]


def _is_harmless(name: Name, scope: Scope) -> bool:
    """Whether the function is PostgreSQL's own, or its body is followed."""
    known = name.schema == "pg_catalog" or name.name in BUILTIN_FUNCTIONS | STABLE_FUNCTIONS
    return known or bool(scope.routines.named(name))


def _sets_path(effect: Effect) -> bool:
    if effect.kind in ("AlterRoleSetStmt", "AlterDatabaseSetStmt", "DiscardStmt"):
        return True
    if effect.kind == "VariableSetStmt":
        return (
            effect.node.get("name") in (*_SESSION_SETTINGS, None)
            or effect.node.get("kind") == "VAR_RESET_ALL"
        )
    return effect.kind == "SelectStmt" and "set_config" in str(effect.node.get("targetList"))
