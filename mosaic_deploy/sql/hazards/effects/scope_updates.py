"""How statements change the scope that later statements are reviewed in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from operator import getitem

from mosaic_deploy.sql.hazards.effects.scope import Scope, visible_schemas
from mosaic_deploy.sql.hazards.effects.table_facts import (
    dropped_policies,
    record_constraints,
    record_new_table,
    record_row_security,
    record_written_tables,
    rename_column,
    rename_policy,
)
from mosaic_deploy.sql.hazards.live_objects import ObjectKind
from mosaic_deploy.sql.hazards.syntax import types
from mosaic_deploy.sql.hazards.syntax.names import Name, list_name, object_name, range_name
from mosaic_deploy.sql.hazards.syntax.trees import (
    Effect,
    alter_commands,
    column_constraints,
    gives_values,
    new_columns,
    option_is_true,
    options_by_name,
    security_invoker_setting,
)
from mosaic_deploy.sql.parse import Tree
from mosaic_deploy.sql.session.assignments import ALL_SETTINGS, node_assignments
from mosaic_deploy.sql.session.state import SEARCH_PATH


def update_scope(effect: Effect, scope: Scope) -> None:
    """Records in `scope` what `effect` does; an uncertain effect only as far as that hides no hazard."""
    record_written_tables(effect, scope)
    updater = _SCOPE_UPDATERS.get(effect.kind)
    if updater:
        updater(effect, scope)


def _create_relation(effect: Effect, scope: Scope, relation: Tree) -> None:
    if_not_exists = bool(effect.node.get("if_not_exists"))
    scope.create(
        range_name(relation),
        certain=effect.certain and not if_not_exists and not effect.node.get("replace"),
        temporary=relation.get("relpersistence") == "t",
        if_not_exists=if_not_exists and effect.certain,
    )


def _create_table(effect: Effect, scope: Scope) -> None:
    _create_relation(effect, scope, effect.node["relation"])
    relation = scope.relation(range_name(effect.node["relation"]))
    for definition in new_columns(effect):
        relation.columns.setdefault(definition["colname"], types.type_from_node(definition["typeName"]))
    record_new_table(effect, relation)
    _create_sequences(effect, scope, new_columns(effect))


def _create_sequences(effect: Effect, scope: Scope, columns: Iterable[Tree]) -> None:
    """Those that PostgreSQL makes for new serial and identity columns."""
    table = range_name(effect.node["relation"])
    for column in columns:
        is_identity = any(one["contype"] == "CONSTR_IDENTITY" for one in column_constraints(column))
        if is_identity or list_name(column["typeName"].get("names", ())).name in types.SERIALS:
            name = Name(scope.key(table).schema, f"{table.name}_{column['colname']}_seq")
            scope.create(name, certain=effect.certain)


def _create_table_as(effect: Effect, scope: Scope) -> None:
    _create_relation(effect, scope, effect.node["into"]["rel"])
    scope.relation(range_name(effect.node["into"]["rel"])).populated = not effect.node["into"].get("skipData")


def _refresh(effect: Effect, scope: Scope) -> None:
    scope.relation(range_name(effect.node["relation"])).populated = not effect.node.get("skipData")


def _creates_relation(*path: str) -> Callable[[Effect, Scope], None]:
    """An updater for statements that create the relation whose RangeVar is at `path` in their node."""

    def update(effect: Effect, scope: Scope) -> None:
        _create_relation(effect, scope, reduce(getitem, path, effect.node))

    return update


def _select(effect: Effect, scope: Scope) -> None:
    if "intoClause" in effect.node:
        _create_relation(effect, scope, effect.node["intoClause"]["rel"])
    _follow_search_path(effect, scope)


def _create_view(effect: Effect, scope: Scope) -> None:
    _create_relation(effect, scope, effect.node["view"])
    named = options_by_name(effect.node.get("options", []))
    view = scope.relation(range_name(effect.node["view"]))
    view.security_invoker = "security_invoker" in named and option_is_true(named["security_invoker"])


def _create_index(effect: Effect, scope: Scope) -> None:
    if name := effect.node.get("idxname"):
        schema = scope.key(range_name(effect.node["relation"])).schema
        certain = effect.certain and not effect.node.get("if_not_exists")
        scope.create(Name(schema, name), certain=certain)
        scope.relation(Name(schema, name)).partitioned = scope.relation(
            range_name(effect.node["relation"])
        ).partitioned


def _create_schema(effect: Effect, scope: Scope) -> None:
    certain = effect.certain and not effect.node.get("if_not_exists")
    scope.create(Name(None, str(effect.node.get("schemaname", ""))), ObjectKind.SCHEMA, certain=certain)


def _create_extension(effect: Effect, scope: Scope) -> None:
    certain = effect.certain and not effect.node.get("if_not_exists")
    scope.create(Name(None, str(effect.node["extname"])), ObjectKind.EXTENSION, certain=certain)


def _create_type(effect: Effect, scope: Scope) -> None:
    # A domain's typeName is the type that it is based on.
    name = effect.node.get("domainname") or effect.node.get("typeName") or effect.node.get("defnames", [])
    if "typevar" in effect.node:
        scope.create(range_name(effect.node["typevar"]), ObjectKind.TYPE, certain=effect.certain)
    elif effect.kind != "DefineStmt" or effect.node.get("kind") == "OBJECT_TYPE":
        scope.create(list_name(name), ObjectKind.TYPE, certain=effect.certain)
    for item in effect.node.get("constraints", []):
        scope.relation(list_name(name)).checks[""] = item["Constraint"]


def _alter_domain(effect: Effect, scope: Scope) -> None:
    if effect.node.get("subtype") in ("C", "O"):  # ADD CONSTRAINT, SET NOT NULL
        scope.relation(list_name(effect.node["typeName"])).checks[""] = effect.node.get("def", {})


def _create_function(effect: Effect, scope: Scope) -> None:
    name = list_name(effect.node["funcname"]).name
    volatility = options_by_name(effect.node.get("options", [])).get("volatility")
    if volatility and volatility.get("String", {}).get("sval") in ("immutable", "stable"):
        scope.stable_functions.add(name)
    if effect.source:
        scope.functions.setdefault(name, []).append(effect.source)


_DROPPED = {
    "OBJECT_TABLE": ObjectKind.RELATION,
    "OBJECT_VIEW": ObjectKind.RELATION,
    "OBJECT_MATVIEW": ObjectKind.RELATION,
    "OBJECT_INDEX": ObjectKind.RELATION,
    "OBJECT_SEQUENCE": ObjectKind.RELATION,
    "OBJECT_FOREIGN_TABLE": ObjectKind.RELATION,
    "OBJECT_TYPE": ObjectKind.TYPE,
    "OBJECT_DOMAIN": ObjectKind.TYPE,
    "OBJECT_SCHEMA": ObjectKind.SCHEMA,
    "OBJECT_EXTENSION": ObjectKind.EXTENSION,
}

# Not certain to be moved: another one with other arguments may keep the name.
_ROUTINES = frozenset({"OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_ROUTINE", "OBJECT_AGGREGATE"})


def _drop(effect: Effect, scope: Scope) -> None:
    kind = _DROPPED.get(str(effect.node.get("removeType")))
    if kind and effect.certain:
        for item in effect.node.get("objects", []):
            scope.drop(object_name(item), kind)
    for table, policy in dropped_policies(effect):
        scope.relation(list_name(table)).policies.discard(policy)
        scope.relation(list_name(table)).dropped_policies.add(policy)


def _rename(effect: Effect, scope: Scope) -> None:
    node, to = effect.node, Name(None, str(effect.node.get("newname", "")))
    kind = node.get("renameType")
    if kind == "OBJECT_SCHEMA":
        scope.move(Name(None, str(node.get("subname", ""))), to, ObjectKind.SCHEMA, certain=effect.certain)
    elif kind in ("OBJECT_TYPE", "OBJECT_DOMAIN"):
        scope.move(object_name(node.get("object")), to, ObjectKind.TYPE, certain=effect.certain)
    elif kind == "OBJECT_COLUMN" and "relation" in node:
        rename_column(scope, range_name(node["relation"]), str(node.get("subname")), to.name)
    elif kind in _ROUTINES:
        if known := scope.functions.get(object_name(node.get("object")).name):
            scope.functions.setdefault(to.name, []).extend(known)
        scope.move(object_name(node.get("object")), to, ObjectKind.FUNCTION, certain=False)
    elif kind == "OBJECT_POLICY":
        rename_policy(scope, range_name(node["relation"]), str(node.get("subname")), to.name)
    elif kind in _DROPPED and "relation" in node:
        scope.move(range_name(node["relation"]), to, certain=effect.certain)


def _set_schema(effect: Effect, scope: Scope) -> None:
    schema, kind = str(effect.node.get("newschema", "")), effect.node.get("objectType")
    if "relation" in effect.node:
        name = range_name(effect.node["relation"])
        scope.move(name, Name(schema, name.name), certain=effect.certain)
    elif kind in ("OBJECT_TYPE", "OBJECT_DOMAIN", *_ROUTINES):
        name, found = object_name(effect.node.get("object")), _DROPPED.get(kind, ObjectKind.FUNCTION)
        scope.move(name, Name(schema, name.name), found, certain=effect.certain and kind not in _ROUTINES)


def _alter_table(effect: Effect, scope: Scope) -> None:
    relation = scope.relation(range_name(effect.node["relation"]))
    invoker = security_invoker_setting(effect)
    if invoker is not None:
        relation.security_invoker = invoker
    for definition, command in alter_commands(effect, "AT_AddColumn"):
        relation.columns[definition["colname"]] = types.type_from_node(definition["typeName"])
        if effect.certain and not command.get("missing_ok"):
            relation.added_columns.add(definition["colname"])
            if not gives_values(definition):
                relation.null_columns.add(definition["colname"])
    _create_sequences(effect, scope, new_columns(effect))
    for definition, command in alter_commands(effect, "AT_AlterColumnType"):
        relation.columns[command["name"]] = types.type_from_node(definition["typeName"])
    for _, command in alter_commands(effect, "AT_DropColumn"):
        relation.columns.pop(command["name"], None)
        relation.added_columns.discard(command["name"])
        relation.null_columns.discard(command["name"])
        relation.proven_not_null.discard(command["name"])
    record_constraints(effect, scope)
    record_row_security(effect, scope)


def _follow_search_path(effect: Effect, scope: Scope) -> None:
    """Follows a search_path that is set inside a DO block or function; the review follows the file's own statements."""
    for one in node_assignments(effect.kind, effect.node):
        if one.name in (SEARCH_PATH, ALL_SETTINGS):
            names = visible_schemas(one.maybe if one.computed else one.values or ())
            scope.set_search_path(names, certain=effect.certain and not one.computed)


def _discard(effect: Effect, scope: Scope) -> None:
    if effect.node.get("target") in ("DISCARD_TEMP", "DISCARD_ALL"):
        scope.discard_temporary()


_SCOPE_UPDATERS: dict[str, Callable[[Effect, Scope], None]] = {
    "CreateStmt": _create_table,
    "CreateForeignTableStmt": _creates_relation("base", "relation"),
    "CreateTableAsStmt": _create_table_as,
    "RefreshMatViewStmt": _refresh,
    "CreatePolicyStmt": record_row_security,
    "SelectStmt": _select,
    "ViewStmt": _create_view,
    "CreateSeqStmt": _creates_relation("sequence"),
    "IndexStmt": _create_index,
    "CreateSchemaStmt": _create_schema,
    "CreateExtensionStmt": _create_extension,
    "CreateEnumStmt": _create_type,
    "CompositeTypeStmt": _create_type,
    "CreateDomainStmt": _create_type,
    "AlterDomainStmt": _alter_domain,
    "CreateRangeStmt": _create_type,
    "DefineStmt": _create_type,
    "CreateFunctionStmt": _create_function,
    "DiscardStmt": _discard,
    "DropStmt": _drop,
    "RenameStmt": _rename,
    "AlterObjectSchemaStmt": _set_schema,
    "AlterTableStmt": _alter_table,
    "VariableSetStmt": _follow_search_path,
}
