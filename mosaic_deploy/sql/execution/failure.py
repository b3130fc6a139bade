"""How our statements say what went wrong, on any platform that passes PostgreSQL's message on.

They raise `mosaic-deploy:{json}`: which unit of which version it was, and which of its statements.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from mosaic_deploy.sql.execution.step import Step
from mosaic_deploy.sql.quote import literal

SKIPPED = "unit_applied"
ATTEMPTED = "unit_attempted"
LEASE_LOST = "lease_lost"
FAILED = "statement_failed"
INVALID = "index_invalid"
MARK = "mosaic-deploy:"
_SPLIT_MARK = "'mosaic-', 'deploy:'"
"""MARK in two parts, so that a platform that echoes the query in its error doesn't seem to raise it."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What a marked error says. `statement` counts the unit's statements from 1; 0 is none of them."""

    code: str
    version: str
    unit: int
    statement: int = 0
    sqlstate: str | None = None
    message: str = ""
    detail: str | None = None
    hint: str | None = None


def raised(code: str, step: Step) -> str:
    """PL/pgSQL that raises `code` for the step."""
    facts = json.dumps({"code": code, "version": step.version, "unit": step.number})
    return raised_with(literal(facts))


def raised_with(facts: str) -> str:
    """PL/pgSQL that raises the JSON text that the expression `facts` makes."""
    return f"RAISE EXCEPTION USING MESSAGE = pg_catalog.concat({_SPLIT_MARK}, {facts});"


def raised_again(which: str) -> str:
    """An exception handler that raises the same error marked. `which` are arguments of json_build_object.

    It declares nothing: `code`, `message`, `detail` and `hint` must be variables of type text. OTHERS alone would
    leave out a statement that was cancelled, by its time limit too, and one that failed an ASSERT.
    """
    return f"""EXCEPTION WHEN OTHERS OR query_canceled OR assert_failure THEN
      GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
      RAISE EXCEPTION USING ERRCODE = code, MESSAGE = pg_catalog.concat({_SPLIT_MARK},
        pg_catalog.json_build_object('code', '{FAILED}', {which},
        'sqlstate', code, 'message', message, 'detail', detail, 'hint', hint)::text);
"""


_FOUND = re.compile(re.escape(MARK) + r"(?=\{)")
_REQUIRED = {"code", "version", "unit"}


def read_failure(message: str) -> Failure | None:
    """The first marked failure in PostgreSQL's `message`, wherever the platform put it; None without one."""
    for found in _FOUND.finditer(message):
        try:
            facts, _ = json.JSONDecoder().raw_decode(message, found.end())
        except ValueError:
            continue
        if _REQUIRED <= facts.keys() <= Failure.__dataclass_fields__.keys():
            return Failure(**facts)
    return None
