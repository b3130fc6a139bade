"""Finds statements that say that they turn `standard_conforming_strings` off, themselves or in a body."""

from __future__ import annotations

from mosaic_deploy.sql.hazards.effects.statement_effects import routine_effects, statement_effects
from mosaic_deploy.sql.hazards.syntax.trees import DYNAMIC_SQL, FUNCTION_CALL, Effect
from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.session.strings import names_strings, node_turns_off, sets_other_strings

_UNREAD = frozenset({DYNAMIC_SQL, "CreateFunctionStmt"})
"""What a body contains that isn't read any further: a text that names the setting may turn it off there."""


def changes_strings(statement: Statement) -> bool:
    """Whether the statement itself, or its text, says that it may turn `standard_conforming_strings` off."""
    if sets_other_strings(statement):
        return True
    if not names_strings(statement.text):
        return False
    if statement.kind == "DoStmt":
        return any(_may_turn_off(effect) for effect in statement_effects(statement, 0))
    if statement.kind == "CreateFunctionStmt":
        return any(_may_turn_off(effect) for effect in routine_effects(statement, statement.node))
    return statement.kind != "VariableSetStmt" and "set_config" in statement.text.lower()


def _may_turn_off(effect: Effect) -> bool:
    return effect.kind in _UNREAD or node_turns_off(
        "FuncCall" if effect.kind == FUNCTION_CALL else effect.kind, effect.node
    )
