"""Marked errors: our SQL raises `mosaic-deploy:{json}` with the version, step and statement that failed.

They work on any platform that passes PostgreSQL's message on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mosaic_deploy.sql.execution.step import Step
from mosaic_deploy.sql.marker import MARKER, SPLIT_MARKER, STATEMENT_FAILED, raise_with_facts_sql
from mosaic_deploy.sql.quote import literal
from mosaic_deploy.sql.scripts.copy_block import parse_row_error
from mosaic_deploy.sql.session.strings import OFF_IN_DATABASE, STRINGS_ARE_OFF, TURN_ON

STEP_APPLIED = "step_applied"
STEP_ATTEMPTED = "step_attempted"
STEP_NOT_BEGUN = "step_not_begun"
"""The statement of a step outside a transaction arrives when it isn't its turn: too late, or again."""
LEASE_LOST = "lease_expired"
INDEX_INVALID = "index_invalid"
INDEX_MISSING = "index_missing"


@dataclass(frozen=True, slots=True)
class Failure:
    """The content of a marked error. `statement` counts the step's statements from 1; 0 means none of them."""

    code: str
    version: str
    step: int
    statement: int = 0
    sqlstate: str | None = None
    message: str = ""
    detail: str | None = None
    hint: str | None = None
    context: str = ""
    """The calls inside the statement that led to the error, as PostgreSQL describes them."""
    effects: Mapping[str, object] = field(default_factory=dict)
    """What the step did beyond what was agreed to, as the guard reports it."""
    schema: Mapping[str, object] = field(default_factory=dict)
    """What isn't as rehearsed, as `schema_check` reports it."""
    row: int = 0
    """Of COPY rows that are sent as one statement: the refused one, from 1; 0 if that isn't known."""


HANDLER_VARIABLES = "code text; message text; detail text; hint text; context text; "
_MAX_CONTEXT = 10_000
"""Characters of a context, which quotes whole statements."""


def raise_sql(code: str, step: Step) -> str:
    """PL/pgSQL that raises `code` for the step."""
    facts = json.dumps({"code": code, "version": step.version, "step": step.number})
    return raise_with_facts_sql(literal(facts))


def refuse_off_strings_sql(which: str) -> str:
    """PL/pgSQL that raises `statement_failed` if the session reads strings otherwise. `which` as for the handler."""
    facts = (
        f"pg_catalog.json_build_object('code', '{STATEMENT_FAILED}', {which}, 'statement', 0, "
        f"'message', {literal(OFF_IN_DATABASE)}, 'hint', {TURN_ON})::text"
    )
    return f"  IF {STRINGS_ARE_OFF} THEN {raise_with_facts_sql(facts)} END IF;\n"


def reraise_handler_sql(which: str) -> str:
    """An exception handler that raises the same error, marked. `which` are arguments for json_build_object.

    Requires HANDLER_VARIABLES. OTHERS alone doesn't catch cancelled statements (statement_timeout) and failed ASSERTs.
    """
    return f"""EXCEPTION WHEN OTHERS OR query_canceled OR assert_failure THEN
      GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
      RAISE EXCEPTION USING ERRCODE = code, MESSAGE = pg_catalog.concat({SPLIT_MARKER},
        pg_catalog.json_build_object('code', '{STATEMENT_FAILED}', {which},
        'sqlstate', code, 'message', message, 'detail', detail, 'hint', hint,
        'context', pg_catalog.left(context, {_MAX_CONTEXT}))::text);
"""


_MARKER_PATTERN = re.compile(re.escape(MARKER) + r"(?=\{)")
_REQUIRED_KEYS = {"code", "version", "step"}
_TYPES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("code", "version", "message", "context"), str),
    **dict.fromkeys(("step", "statement"), int),
    **dict.fromkeys(("sqlstate", "detail", "hint"), (str, type(None))),
    **dict.fromkeys(("effects", "schema"), dict),
}


def parse_failure(message: str) -> Failure | None:
    """The first marked error anywhere in `message`; None without one."""
    for found in _MARKER_PATTERN.finditer(message):
        try:
            facts, _ = json.JSONDecoder().raw_decode(message, found.end())
        except ValueError:
            continue
        if _is_failure(facts):
            failure = Failure(**facts)
            context = _inner_context(str(facts.get("context") or ""))
            return _about_row(failure) or replace(failure, context=context)
    return None


def _about_row(failure: Failure) -> Failure | None:
    """The failure with what the block of COPY rows says; None if it isn't one."""
    found = parse_row_error(failure.message)
    if found is None:
        return None
    return replace(
        failure,
        message=found.message,
        detail=found.detail,
        hint=found.hint,
        context=_inner_context(found.context),
        row=found.row,
    )


def _is_failure(facts: dict[str, object]) -> bool:
    """Whether the facts are those of a Failure: another text may begin with the same marker."""
    return _REQUIRED_KEYS <= facts.keys() <= _TYPES.keys() and all(
        isinstance(value, _TYPES[name]) and not isinstance(value, bool) for name, value in facts.items()
    )


def _inner_context(context: str) -> str:
    """The context without its last line, our own block, unless it was cut off before that."""
    return context if len(context) == _MAX_CONTEXT else context.rpartition("\n")[0]
