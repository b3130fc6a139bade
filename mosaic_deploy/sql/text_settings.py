"""Finds statements that change how PostgreSQL reads the text after them: as other strings, or as other characters.

`standard_conforming_strings` stays on, whether a statement or a body would turn it off. Files are UTF-8 and are sent as that;
another `client_encoding` would make psql read the same bytes as other characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from mosaic_deploy.sql.hazards.effects.statement_effects import routine_effects, statement_effects
from mosaic_deploy.sql.hazards.syntax.trees import DYNAMIC_SQL, FUNCTION_CALL, Effect
from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.session.assignments import (
    ALL_SETTINGS,
    WHOLE_SESSION,
    Assignment,
    assignments,
    node_assignments,
)
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


_ENCODING = "client_encoding"
_SEPARATORS = re.compile(r"[^a-z0-9]")
_SAME_BYTES = frozenset({"utf8", "unicode", "sqlascii"})
"""Encodings in which PostgreSQL takes UTF-8 text as it is, named as PostgreSQL compares names."""


def takes_utf8(encoding: str) -> bool:
    """Whether PostgreSQL reads UTF-8 text as it is if the client's encoding has this name."""
    return _SEPARATORS.sub("", encoding.lower()) in _SAME_BYTES


def other_encoding(steps: Iterable[Sequence[Statement]]) -> tuple[int, str] | None:
    """The first setting of another encoding with characters beyond ASCII after it: (offset of its statement, encoding).

    `steps` are the statements of each transaction of a file. The encoding is empty if it isn't known before it runs.
    """
    lasting: tuple[int, str] | None = None
    for statements in steps:
        here = lasting
        for statement in statements:
            if here and not statement.text.isascii():
                return here
            for one in _assignments(statement):
                encoding = "" if one.computed else (one.values or ("utf8",))[0]
                here = None if takes_utf8(encoding) else (statement.offset, encoding)
                lasting = lasting if one.local else here
    return None


def _assignments(statement: Statement) -> Iterator[Assignment]:
    """What the statement, or a DO block, sets the encoding to."""
    text = statement.text.lower() if statement.kind in _SETTERS else ""
    if not any(word in text for word in (_ENCODING, "names", "reset", "discard")):
        return
    found = list(assignments(statement))
    if statement.kind == "DoStmt":
        found = [one for effect in statement_effects(statement, 0) for one in _of_effect(effect)]
    yield from (one for one in found if one.name in (_ENCODING, ALL_SETTINGS, WHOLE_SESSION))


_SETTERS = frozenset({"VariableSetStmt", "DiscardStmt", "SelectStmt", "DoStmt"})


def _of_effect(effect: Effect) -> tuple[Assignment, ...]:
    if effect.kind == FUNCTION_CALL:
        return node_assignments(
            "SelectStmt", {"targetList": [{"ResTarget": {"val": {"FuncCall": effect.node}}}]}
        )
    return node_assignments(effect.kind, effect.node)
