"""Marked errors: our SQL raises `mosaic-deploy:{json}` with the version, unit and statement that failed.

They work on any platform that passes PostgreSQL's message on.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from mosaic_deploy.sql.execution.step import Step
from mosaic_deploy.sql.quote import literal

UNIT_APPLIED = "unit_applied"
UNIT_ATTEMPTED = "unit_attempted"
LEASE_LOST = "lease_expired"
RESEND = "resend"
"""Another transaction has committed meanwhile, which this one can't see. Nothing was run."""
STATEMENT_FAILED = "statement_failed"
INDEX_INVALID = "index_invalid"
MARKER = "mosaic-deploy:"
_SPLIT_MARKER = "'mosaic-', 'deploy:'"
"""MARKER in two parts, so a platform that echoes the query in its error doesn't seem to raise it."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The content of a marked error. `statement` counts the unit's statements from 1; 0 means none of them."""

    code: str
    version: str
    unit: int
    statement: int = 0
    sqlstate: str | None = None
    message: str = ""
    detail: str | None = None
    hint: str | None = None


def raise_sql(code: str, step: Step) -> str:
    """PL/pgSQL that raises `code` for the step."""
    facts = json.dumps({"code": code, "version": step.version, "unit": step.number})
    return raise_with_facts_sql(literal(facts))


def raise_with_facts_sql(facts: str) -> str:
    """PL/pgSQL that raises the JSON text of the SQL expression `facts`."""
    return f"RAISE EXCEPTION USING MESSAGE = pg_catalog.concat({_SPLIT_MARKER}, {facts});"


def reraise_handler_sql(which: str) -> str:
    """An exception handler that raises the same error, marked. `which` are arguments for json_build_object.

    Requires text variables `code`, `message`, `detail` and `hint`. OTHERS alone doesn't catch cancelled statements
    (statement_timeout) and failed ASSERTs.
    """
    return f"""EXCEPTION WHEN OTHERS OR query_canceled OR assert_failure THEN
      GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
      RAISE EXCEPTION USING ERRCODE = code, MESSAGE = pg_catalog.concat({_SPLIT_MARKER},
        pg_catalog.json_build_object('code', '{STATEMENT_FAILED}', {which},
        'sqlstate', code, 'message', message, 'detail', detail, 'hint', hint)::text);
"""


_MARKER_PATTERN = re.compile(re.escape(MARKER) + r"(?=\{)")
_REQUIRED_KEYS = {"code", "version", "unit"}


def parse_failure(message: str) -> Failure | None:
    """The first marked error anywhere in `message`; None without one."""
    for found in _MARKER_PATTERN.finditer(message):
        try:
            facts, _ = json.JSONDecoder().raw_decode(message, found.end())
        except ValueError:
            continue
        if _REQUIRED_KEYS <= facts.keys() <= Failure.__dataclass_fields__.keys():
            return Failure(**facts)
    return None
