"""What a statement makes of the objects that later statements name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from mosaic_deploy.sql.hazards.effects.acts import rule_acts, trigger_events
from mosaic_deploy.sql.hazards.effects.reach import touched
from mosaic_deploy.sql.hazards.effects.routines import routine
from mosaic_deploy.sql.hazards.effects.scope import Fired, Scope
from mosaic_deploy.sql.hazards.facts import Kind
from mosaic_deploy.sql.hazards.syntax import types
from mosaic_deploy.sql.hazards.syntax.names import Name, of_items, of_object, of_range, shown
from mosaic_deploy.sql.hazards.syntax.trees import (
    Act,
    commands,
    new_columns,
    options,
    truth,
    view_invoker,
    walk,
)
from mosaic_deploy.sql.parse import Tree


def learn(act: Act, scope: Scope) -> None:
    """Moves `scope` on over `act`. What happens only perhaps is learnt as far as it does no harm to believe it."""
    taught = _TEACHERS.get(act.kind)
    if taught:
        taught(act, scope)


def _create(act: Act, scope: Scope, relation: Tree) -> None:
    certain = act.certain and not act.node.get("if_not_exists") and not act.node.get("replace")
    scope.create(of_range(relation), certain=certain, temporary=relation.get("relpersistence") == "t")


def _table(act: Act, scope: Scope) -> None:
    _create(act, scope, act.node["relation"])
    relation = scope.relation(of_range(act.node["relation"]))
    for definition in new_columns(act):
        relation.columns.setdefault(definition["colname"], types.of_type_name(definition["typeName"]))
    for item in act.node.get("inhRelations", []):
        parent = of_range(item["RangeVar"])
        _behind(scope, scope.relation(parent).holds, of_range(act.node["relation"]))
    _references(act, scope)


def _references(act: Act, scope: Scope) -> None:
    """Foreign keys that take rows or values with them when the row is deleted that they refer to."""
    for kind, node in walk([act.node.get("tableElts", []), act.node.get("cmds", [])]):
        if kind == "Constraint" and node.get("fk_del_action") in ("c", "n", "d"):
            _behind(scope, scope.relation(of_range(node["pktable"])).cascades, of_range(act.node["relation"]))


def _foreign_table(act: Act, scope: Scope) -> None:
    _create(act, scope, act.node["base"]["relation"])


def _table_as(act: Act, scope: Scope) -> None:
    _create(act, scope, act.node["into"]["rel"])


def _select(act: Act, scope: Scope) -> None:
    if "intoClause" in act.node:
        _create(act, scope, act.node["intoClause"]["rel"])
    for item in act.node.get("targetList", []):
        call = item.get("ResTarget", {}).get("val", {}).get("FuncCall", {})
        if of_items(call.get("funcname", [])).name == "set_config":
            name, value, *_ = [_text(argument) for argument in call.get("args", [])] + ["", ""]
            if name == "search_path":
                scope.set_path(_schemas(word.strip(' "') for word in value.split(",")), certain=act.certain)


def _view(act: Act, scope: Scope) -> None:
    _create(act, scope, act.node["view"])
    named = options(act.node.get("options", []))
    invoker = "security_invoker" in named and truth(named["security_invoker"])
    view = scope.relation(of_range(act.node["view"]))
    view.invoker = invoker
    for kind, node in walk(act.node["query"]):
        if kind == "RangeVar":
            _behind(scope, view.holds, of_range(node))


def _behind(scope: Scope, behind: dict[Name, tuple[str, ...]], name: Name) -> None:
    """Notes that rows of `name` go where those of another go."""
    key = scope.key(name)
    behind[Name(key.schema, key.name)] = touched(scope, name).all


def _sequence(act: Act, scope: Scope) -> None:
    _create(act, scope, act.node["sequence"])


def _index(act: Act, scope: Scope) -> None:
    if name := act.node.get("idxname"):
        schema = scope.key(of_range(act.node["relation"])).schema
        certain = act.certain and not act.node.get("if_not_exists")
        scope.create(Name(schema, name), certain=certain)


def _schema(act: Act, scope: Scope) -> None:
    certain = act.certain and not act.node.get("if_not_exists")
    scope.create(Name(None, str(act.node.get("schemaname", ""))), Kind.SCHEMA, certain=certain)


def _extension(act: Act, scope: Scope) -> None:
    certain = act.certain and not act.node.get("if_not_exists")
    scope.create(Name(None, str(act.node["extname"])), Kind.EXTENSION, certain=certain)


def _type(act: Act, scope: Scope) -> None:
    name = act.node.get("typeName") or act.node.get("domainname") or act.node.get("defnames", [])
    if "typevar" in act.node:
        scope.create(of_range(act.node["typevar"]), Kind.TYPE, certain=act.certain)
    elif act.kind != "DefineStmt" or act.node.get("kind") == "OBJECT_TYPE":
        scope.create(of_items(name), Kind.TYPE, certain=act.certain)


def _function(act: Act, scope: Scope) -> None:
    volatility = options(act.node.get("options", [])).get("volatility")
    if volatility and volatility.get("String", {}).get("sval") in ("immutable", "stable"):
        scope.steady.add(of_items(act.node["funcname"]).name)
    if act.source:
        scope.define(routine(act.source, act.node, scope.schema))


def _rule(act: Act, scope: Scope) -> None:
    event = str(act.node.get("event", "")).removeprefix("CMD_")
    what = f"rule {shown(str(act.node['rulename']))}"
    scope.relation(of_range(act.node["relation"])).fires.append(
        Fired(what, frozenset({event}), tuple(rule_acts(act)))
    )


def _trigger(act: Act, scope: Scope) -> None:
    what = f"trigger {shown(str(act.node['trigname']))}"
    fired = Fired(what, trigger_events(act), function=of_items(act.node["funcname"]))
    scope.relation(of_range(act.node["relation"])).fires.append(fired)


_DROPPED = {
    "OBJECT_TABLE": Kind.RELATION,
    "OBJECT_VIEW": Kind.RELATION,
    "OBJECT_MATVIEW": Kind.RELATION,
    "OBJECT_INDEX": Kind.RELATION,
    "OBJECT_SEQUENCE": Kind.RELATION,
    "OBJECT_FOREIGN_TABLE": Kind.RELATION,
    "OBJECT_TYPE": Kind.TYPE,
    "OBJECT_DOMAIN": Kind.TYPE,
    "OBJECT_SCHEMA": Kind.SCHEMA,
    "OBJECT_EXTENSION": Kind.EXTENSION,
}

_ROUTINES = frozenset({"OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_ROUTINE"})


def _drop(act: Act, scope: Scope) -> None:
    kind = _DROPPED.get(str(act.node.get("removeType")))
    if kind and act.certain:
        for item in act.node.get("objects", []):
            scope.drop(of_object(item), kind)


def _rename(act: Act, scope: Scope) -> None:
    node, to = act.node, Name(None, str(act.node.get("newname", "")))
    kind = node.get("renameType")
    if kind == "OBJECT_SCHEMA":
        scope.move(Name(None, str(node.get("subname", ""))), to, Kind.SCHEMA, certain=act.certain)
    elif kind in ("OBJECT_TYPE", "OBJECT_DOMAIN"):
        scope.move(of_object(node.get("object")), to, Kind.TYPE, certain=act.certain)
    elif kind == "OBJECT_COLUMN" and "relation" in node:
        _rename_column(scope, of_range(node["relation"]), str(node.get("subname")), to.name)
    elif kind in _ROUTINES:
        scope.rename_routine(of_object(node.get("object")).name, to.name)
    elif kind in _DROPPED and "relation" in node:
        scope.move(of_range(node["relation"]), to, certain=act.certain)


def _rename_column(scope: Scope, table: Name, old: str, new: str) -> None:
    relation = scope.relation(table)
    known = scope.column(table, old) if old in relation.columns else None
    relation.columns.pop(old, None)
    if known:
        relation.columns[new] = known
    for names in (relation.added, relation.proven):
        if old in names:
            names.remove(old)
            names.add(new)


def _set_schema(act: Act, scope: Scope) -> None:
    schema = str(act.node.get("newschema", ""))
    if "relation" in act.node:
        name = of_range(act.node["relation"])
        scope.move(name, Name(schema, name.name), certain=act.certain)
    elif act.node.get("objectType") in ("OBJECT_TYPE", "OBJECT_DOMAIN"):
        name = of_object(act.node.get("object"))
        scope.move(name, Name(schema, name.name), Kind.TYPE, certain=act.certain)


def _alter_table(act: Act, scope: Scope) -> None:
    relation = scope.relation(of_range(act.node["relation"]))
    invoker = view_invoker(act)
    if invoker is not None:
        relation.invoker = invoker
    for definition, command in commands(act, "AT_AddColumn"):
        relation.columns[definition["colname"]] = types.of_type_name(definition["typeName"])
        if act.certain and not command.get("missing_ok"):
            relation.added.add(definition["colname"])
    for definition, command in commands(act, "AT_AlterColumnType"):
        relation.columns[command["name"]] = types.of_type_name(definition["typeName"])
    for _, command in commands(act, "AT_DropColumn"):
        for known in (relation.columns, relation.added, relation.proven):
            if command["name"] in known:
                known.pop(command["name"]) if isinstance(known, dict) else known.discard(command["name"])
    for definition, _ in commands(act, "AT_AttachPartition"):
        _behind(scope, relation.holds, of_range(definition["name"]))
    for definition, _ in commands(act, "AT_AddInherit"):
        _behind(scope, scope.relation(of_range(definition)).holds, of_range(act.node["relation"]))
    _references(act, scope)
    _constraints(act, scope)


def _constraints(act: Act, scope: Scope) -> None:
    table = of_range(act.node["relation"])
    relation = scope.relation(table)
    for constraint, _ in commands(act, "AT_AddConstraint"):
        column = _promised(constraint)
        name = str(constraint.get("conname") or f"{table.name}_{column}_check")
        if constraint.get("skip_validation"):
            relation.unvalidated[name] = act.unit
            if column:
                relation.promises[name] = column
        elif column:
            relation.proven.add(column)
    for _, command in commands(act, "AT_ValidateConstraint"):
        proven = relation.promises.get(str(command.get("name", "")))
        if proven:
            relation.proven.add(proven)


def _promised(constraint: Tree) -> str:
    """The column that the check `column IS NOT NULL` is about, else an empty text."""
    test: Any = (constraint.get("raw_expr") or {}).get("NullTest", {})
    fields = test.get("arg", {}).get("ColumnRef", {}).get("fields", [])
    if constraint.get("contype") != "CONSTR_CHECK" or test.get("nulltesttype") != "IS_NOT_NULL" or not fields:
        return ""
    return str(fields[-1].get("String", {}).get("sval", ""))


def _set(act: Act, scope: Scope) -> None:
    if act.node.get("name") == "search_path":
        scope.set_path(_schemas(_text(item) for item in act.node.get("args", [])), certain=act.certain)


def _text(node: Tree) -> str:
    """The text of a constant, empty for anything else."""
    return str(node.get("A_Const", {}).get("sval", {}).get("sval", ""))


def _schemas(names: Iterable[str]) -> tuple[str, ...]:
    """A search path without what holds no table of ours."""
    return tuple(name for name in names if name and name not in ("$user", "pg_temp", "pg_catalog"))


_TEACHERS: dict[str, Callable[[Act, Scope], None]] = {
    "CreateStmt": _table,
    "CreateForeignTableStmt": _foreign_table,
    "CreateTableAsStmt": _table_as,
    "SelectStmt": _select,
    "ViewStmt": _view,
    "CreateSeqStmt": _sequence,
    "IndexStmt": _index,
    "CreateSchemaStmt": _schema,
    "CreateExtensionStmt": _extension,
    "CreateEnumStmt": _type,
    "CompositeTypeStmt": _type,
    "CreateDomainStmt": _type,
    "CreateRangeStmt": _type,
    "DefineStmt": _type,
    "CreateFunctionStmt": _function,
    "RuleStmt": _rule,
    "CreateTrigStmt": _trigger,
    "DropStmt": _drop,
    "RenameStmt": _rename,
    "AlterObjectSchemaStmt": _set_schema,
    "AlterTableStmt": _alter_table,
    "VariableSetStmt": _set,
}
