"""The rule about sequences that are moved back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.live_objects import ObjectFacts
from mosaic_deploy.sql.hazards.rules.rule import Finding
from mosaic_deploy.sql.hazards.syntax.names import Name, list_name, quote_if_needed, range_name, text_name
from mosaic_deploy.sql.hazards.syntax.trees import FUNCTION_CALL, Effect, alter_commands, options_by_name
from mosaic_deploy.sql.parse import Tree
from mosaic_deploy.sql.tree import walk

_FOLLOWS_ROWS = frozenset({"max", "greatest", "nextval"})
"""What a value that only moves a sequence on is made of."""


class _Move(NamedTuple):
    """A sequence is moved: `relation` itself, or that of its `column`. The next value is `to`; None if that isn't known."""

    relation: Name
    column: str = ""
    to: int | None = None
    location: int | None = None

    def __str__(self) -> str:
        if self.column:
            return f"the sequence of {self.relation}.{quote_if_needed(self.column)}"
        return f"sequence {self.relation}"


def sequence_moved_back(effect: Effect, scope: Scope) -> Iterator[Finding]:
    """A value that isn't lower than the last one is no finding, if the database says what that is."""
    for move in _moves(effect):
        if not scope.existed_before(move.relation):
            continue
        known = (scope.facts_of(move.relation) or ObjectFacts()).last_values.get(move.column)
        if known and (known[0] is None or _is_ahead(move.to, known[0], known[1])):
            continue
        to = "" if move.to is None else f" to {move.to}"
        now = f" (its last value is {known[0]})" if known else ""
        what = f"moves {move}{to}{now}: rows may have the next values already"
        name = f"{move.relation}.{quote_if_needed(move.column)}" if move.column else str(move.relation)
        yield Finding(what, name, byte_location=move.location)


def _is_ahead(to: int | None, last: int, increment: int) -> bool:
    return to is not None and (to > last if increment > 0 else to < last)


def _moves(effect: Effect) -> Iterator[_Move]:
    node = effect.node
    if effect.kind == "AlterSeqStmt":
        yield from _restarts(range_name(node["sequence"]), "", node.get("options", []))
    elif effect.kind == FUNCTION_CALL and list_name(node["funcname"]).name == "setval":
        yield from _set_value(node.get("args", []), node.get("location"))
    elif effect.kind == "AlterTableStmt":
        for definition, command in alter_commands(effect, "AT_SetIdentity"):
            yield from _restarts(
                range_name(node["relation"]), str(command["name"]), definition.get("items", [])
            )


def _restarts(relation: Name, column: str, options: list[Tree]) -> Iterator[_Move]:
    named = options_by_name(options)
    if "restart" in named:
        yield _Move(relation, column, _number(named["restart"] or {}))


def _set_value(args: list[Tree], location: int | None) -> Iterator[_Move]:
    """Of setval(sequence, value, is_called). A sequence that is computed isn't known."""
    if len(args) < 2 or (target := _target(args[0])) is None:
        return
    value = args[1].get("A_Const", {})
    number = _number({"Integer": value["ival"]} if "ival" in value else {"Float": value.get("fval", {})})
    if number is not None:
        is_called = len(args) < 3 or bool(args[2].get("A_Const", {}).get("boolval", {}).get("boolval"))
        yield _Move(*target, number + is_called, location)
    elif not _only_moves_on(args[1]):
        yield _Move(*target, None, location)


def _target(node: Tree) -> tuple[Name, str] | None:
    """The relation and the column of the sequence that an argument names."""
    if "TypeCast" in node:
        return _target(node["TypeCast"]["arg"])
    call = node.get("FuncCall", {})
    if call and list_name(call["funcname"]).name == "pg_get_serial_sequence":
        table, column = (_text(one) for one in call.get("args", [{}, {}])[:2])
        return (text_name(table), column) if table and column else None
    return (text_name(text), "") if (text := _text(node)) else None


def _text(node: Tree) -> str:
    return str(node.get("A_Const", {}).get("sval", {}).get("sval", ""))


def _number(node: Tree) -> int | None:
    """The value of an Integer node (without `ival` if it is 0), or of a Float node that is a large integer."""
    if "Integer" in node:
        return int(node["Integer"].get("ival", 0))
    text = str(node.get("Float", {}).get("fval", ""))
    return int(text) if text.lstrip("-").isdigit() else None


def _only_moves_on(value: Tree) -> bool:
    """Whether the value follows the rows: their largest value, and nothing subtracted."""
    nodes = list(walk(value))
    calls = {list_name(node["funcname"]).name for kind, node in nodes if kind == "FuncCall"}
    operators = {
        list_name(node.get("name", [])).name
        for kind, node in nodes
        if kind == "A_Expr" and node.get("kind") == "AEXPR_OP"
    }
    greatest = any(kind == "MinMaxExpr" and node.get("op") == "IS_GREATEST" for kind, node in nodes)
    return bool(greatest or calls & _FOLLOWS_ROWS) and "-" not in operators
