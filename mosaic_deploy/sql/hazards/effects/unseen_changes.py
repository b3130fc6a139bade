"""Whether a statement may create or change tables in a way that can't be read from the files."""

from __future__ import annotations

from mosaic_deploy.sql.hazards.effects.routines import BUILTIN_FUNCTIONS
from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.live_objects import ObjectKind
from mosaic_deploy.sql.hazards.syntax.names import UNKNOWN_NAME, Name, list_name
from mosaic_deploy.sql.hazards.syntax.trees import DYNAMIC_SQL, FUNCTION_CALL, UNREADABLE_ROUTINE, Effect
from mosaic_deploy.sql.hazards.syntax.volatility import STABLE_FUNCTIONS
from mosaic_deploy.sql.parse import Tree
from mosaic_deploy.sql.tree import walk

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
_UNREADABLE = frozenset(
    {DYNAMIC_SQL, UNREADABLE_ROUTINE, "ImportForeignSchemaStmt", "LoadStmt", "CreateEventTrigStmt"}
)
_CALLED_UNSEEN = frozenset(
    {"DefineStmt", "CreateCastStmt", "CreateDomainStmt", "AlterDomainStmt", "CreateStmt", "ViewStmt"}
)
"""Statements that name a function which later ones call without naming it: by an operator, a domain, a default, a view."""
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


def may_change_anything(effect: Effect, scope: Scope) -> bool:
    """Whether tables or columns may change in a way that can't be seen."""
    if effect.kind in _UNREADABLE or _names_are_computed(effect):
        return True
    if effect.kind in _CALLED_UNSEEN:
        return any(_changes_tables(name, scope, set()) for name in _named_functions(effect))
    if effect.kind == FUNCTION_CALL:
        name = list_name(effect.node["funcname"])
        return name.schema is not None and not _is_harmless(name, scope)
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


def _named_functions(effect: Effect) -> set[Name]:
    if effect.kind in ("DefineStmt", "CreateCastStmt"):
        return {Name(None, str(node["sval"])) for _, node in walk(effect.node) if "sval" in node}
    return {list_name(node["funcname"]) for kind, node in walk(effect.node) if kind == "FuncCall"}


def _changes_tables(function: Name, scope: Scope, seen: set[Name]) -> bool:
    """Whether a call may create or change a table, as far as the bodies of functions can be read."""
    if function in seen:
        return False
    seen.add(function)
    for routine in scope.routines.named(function):
        for effect in routine.effects() if routine else [Effect(UNREADABLE_ROUTINE, {}, 0)]:
            if effect.kind in _CHANGING or "intoClause" in effect.node:
                return True
            if effect.kind == FUNCTION_CALL and _changes_tables(
                list_name(effect.node["funcname"]), scope, seen
            ):
                return True
    return False


def _names_are_computed(effect: Effect) -> bool:
    """Whether the name of what the effect creates, renames or moves is computed at run time."""
    node = effect.node
    if effect.kind in ("RenameStmt", "AlterObjectSchemaStmt"):
        names = [node.get("newname"), node.get("newschema")]
    elif effect.kind == "AlterTableStmt":
        names = list(added_columns(node))
    elif effect.kind in CREATING_KINDS or "intoClause" in node:
        relation = created_relation(effect)
        names = [relation.get("schemaname"), relation.get("relname")]
    else:
        return False
    # Of a number in dynamic SQL only an example is known, which is 0.
    parts = (UNKNOWN_NAME,) if effect.certain else (UNKNOWN_NAME, "0")
    return any(part in str(name) for name in names for part in parts)


def _table_functions(item: Tree) -> list[Tree]:
    functions = item.get("RangeFunction", {}).get("functions", [])
    nodes = [one for each in functions for one in each.get("List", {}).get("items", [])]
    return [one["FuncCall"] for one in nodes if "FuncCall" in one]


def _is_harmless(name: Name, scope: Scope) -> bool:
    """Whether the function is PostgreSQL's own, or its body is followed."""
    known = name.schema == "pg_catalog" or name.name in BUILTIN_FUNCTIONS | STABLE_FUNCTIONS
    return known or bool(scope.routines.named(name))


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
