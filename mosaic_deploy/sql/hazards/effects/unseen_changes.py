"""Whether a statement may create or change tables in a way that its text doesn't show."""

from __future__ import annotations

from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.effects.statement_effects import routine_effects
from mosaic_deploy.sql.hazards.live_objects import ObjectKind
from mosaic_deploy.sql.hazards.syntax.functions import BUILTIN_FUNCTIONS
from mosaic_deploy.sql.hazards.syntax.names import Name, list_name
from mosaic_deploy.sql.hazards.syntax.trees import DYNAMIC_SQL, FUNCTION_CALL, Effect
from mosaic_deploy.sql.parse import Statement, Tree
from mosaic_deploy.sql.tree import walk

_EXTENSIONS = """
    pgcrypto uuid-ossp citext vector pg_trgm hstore btree_gin btree_gist unaccent intarray ltree fuzzystrmatch cube
    tablefunc earthdistance isn lo seg tcn plpgsql dict_int dict_xsyn bloom
"""
_WITHOUT_TABLES = frozenset(_EXTENSIONS.split())
"""Extensions that create no tables or views, and no functions that do."""
_UNREADABLE = frozenset({DYNAMIC_SQL, "ImportForeignSchemaStmt", "LoadStmt", "CreateEventTrigStmt"})
CREATING_KINDS = {
    "CreateStmt": "relation",
    "ViewStmt": "view",
    "CreateSeqStmt": "sequence",
    "CompositeTypeStmt": "typevar",
    "CreateTableAsStmt": "",
    "CreateForeignTableStmt": "",
}
"""Statements that create a relation, and the field with its name."""
_CHANGING = frozenset(
    {*_UNREADABLE, *CREATING_KINDS, "AlterTableStmt", "RenameStmt", "AlterObjectSchemaStmt"}
)
_ABOUT_FUNCTIONS = frozenset(
    {"CreateFunctionStmt", "AlterFunctionStmt", "AlterOwnerStmt", "RenameStmt", "DropStmt", "GrantStmt", "CommentStmt"}
)  # fmt: skip
"""Statements that name a function without using it."""


class UnseenChanges:
    """Tells which effects may change tables in a way that can't be seen. It remembers the bodies that it has read."""

    def __init__(self) -> None:
        self._bodies: dict[int, tuple[Effect, ...]] = {}
        """The effects of functions, by the identity of their CREATE statement."""

    def may_follow(self, effect: Effect, scope: Scope) -> bool:
        """Whether tables or columns may change by the effect without being named."""
        if effect.kind in _UNREADABLE:
            return True
        if effect.kind == "CreateExtensionStmt":
            name = Name(None, str(effect.node["extname"]))
            return name.name not in _WITHOUT_TABLES and not scope.existed_before(name, ObjectKind.EXTENSION)
        if effect.kind in _ABOUT_FUNCTIONS:
            return False
        if any(not _is_known(name, scope) for name in _outermost_calls(effect)):
            return True
        return self._may_call_unseen(effect, scope, set())

    def _may_call_unseen(self, effect: Effect, scope: Scope, seen: set[str]) -> bool:
        """Whether a function that the effect names may change tables; those in `seen` are known not to."""
        if any(_may_be_unseen(name, scope) for name in _named_functions(effect)):
            return True
        own = _words(effect.node) & scope.functions.keys() if scope.functions else set()
        return any(self._changes_tables(name, scope, seen) for name in own - seen)

    def _changes_tables(self, function: str, scope: Scope, seen: set[str]) -> bool:
        """Whether a call may create or change a table, as far as the bodies of the files' functions can be read."""
        seen.add(function)
        return any(
            effect.kind in _CHANGING
            or "intoClause" in effect.node
            or self._may_call_unseen(effect, scope, seen)
            for statement in scope.functions[function]
            for effect in self._body(statement)
        )

    def _body(self, statement: Statement) -> tuple[Effect, ...]:
        if id(statement) not in self._bodies:
            self._bodies[id(statement)] = tuple(routine_effects(statement, statement.node))
        return self._bodies[id(statement)]


def _named_functions(effect: Effect) -> list[Name]:
    """The functions that it calls, or stores in an object: in a trigger, a default, a view, a domain, an operator."""
    node = effect.node
    if effect.kind in (FUNCTION_CALL, "CreateTrigStmt"):
        return [list_name(node["funcname"])]
    if effect.kind in ("DefineStmt", "CreateCastStmt"):
        return [Name(None, word) for word in _words(node)]
    return [list_name(one["funcname"]) for kind, one in walk(node) if kind == "FuncCall"]


def _words(node: Tree) -> set[str]:
    return {str(one["sval"]) for _, one in walk(node) if isinstance(one.get("sval"), str)}


def _may_be_unseen(name: Name, scope: Scope) -> bool:
    """Whether the function may be a live one of the project, or one of an extension in a schema of its own."""
    own = name.schema is not None or scope.may_be_own_function(name)
    return own and not _is_known(name, scope)


def _is_known(name: Name, scope: Scope) -> bool:
    """Whether the function is PostgreSQL's, or created by the files."""
    return name.schema == "pg_catalog" or name.name in BUILTIN_FUNCTIONS or name.name in scope.functions


def _outermost_calls(effect: Effect) -> list[Name]:
    """The functions for whose effect a SELECT or CALL is usually written: `SELECT create_hypertable('t')`."""
    calls = []
    if effect.kind == "SelectStmt":
        targets = (item.get("ResTarget", {}) for item in effect.node.get("targetList", []))
        calls = [target.get("val", {}).get("FuncCall") for target in targets]
        for item in effect.node.get("fromClause", []):
            for function in item.get("RangeFunction", {}).get("functions", []):
                calls += [one.get("FuncCall") for one in function.get("List", {}).get("items", [])]
    elif effect.kind == "CallStmt":
        calls = [effect.node.get("funccall")]
    return [list_name(call.get("funcname", [])) for call in calls if call]


def created_relation(effect: Effect) -> Tree:
    """The RangeVar of what the effect creates; {} if it creates nothing."""
    node = effect.node
    if effect.kind == "CreateTableAsStmt":
        found: Tree = node["into"]["rel"]
    elif effect.kind == "SelectStmt":
        found = node.get("intoClause", {}).get("rel", {})
    elif effect.kind == "CreateForeignTableStmt":
        found = node.get("base", {}).get("relation", {})
    else:
        found = node.get(CREATING_KINDS[effect.kind], {})
    return found


def added_columns(node: Tree) -> set[str]:
    """The names of the columns that ALTER TABLE adds."""
    commands = [item.get("AlterTableCmd", {}) for item in node.get("cmds", [])]
    added = [
        one.get("def", {}).get("ColumnDef", {}) for one in commands if one.get("subtype") == "AT_AddColumn"
    ]
    return {str(one.get("colname")) for one in added}
