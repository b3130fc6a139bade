"""SQL of a person, measured like a step: in the one transaction that PostgreSQL makes of a request with several statements.

The measurement is a deferred trigger, so it comes after the last statement, whose rows stay the answer.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

from mosaic_deploy.sql.guard.agreement import Agreement, Existing
from mosaic_deploy.sql.guard.measure import (
    STATE,
    VARIABLES,
    begin_measure_sql,
    compare_sql,
    existing_variable,
    measure_sql,
    read_state_sql,
)
from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.quote import dollar_quote, json_literal

_WHICH = "'version', '', 'step', 0"
_OWN_TRANSACTIONS = frozenset({"TransactionStmt", "CallStmt"})
_SETS_CONSTRAINTS = re.compile(r"\bset\s+constraints\b", re.IGNORECASE)

_COME_AGAIN = """    IF NEW.round OPERATOR(pg_catalog.<) 4 THEN
      INSERT INTO pg_temp.mosaic_measured VALUES (NEW.state, NEW.round OPERATOR(pg_catalog.+) 1); RETURN NULL;
    END IF;
"""


def has_own_transactions(statements: Sequence[Statement]) -> bool:
    """Whether a statement may commit, or fire deferred triggers early, so that not all of the request can be measured."""
    return any(
        statement.kind in _OWN_TRANSACTIONS or _SETS_CONSTRAINTS.search(statement.text)
        for statement in statements
    )


def measured_request(query: str, existing: Existing, agreed: Agreement) -> str:
    """The request for `query`, which it contains as it is. It raises `effects_exceed_consent` at its end."""
    declared = f"DECLARE\n{existing_variable(existing)}  {VARIABLES}"
    agreed_sql = f"({json_literal(agreed.as_json())}::pg_catalog.jsonb)"
    # It comes again, so that other deferred triggers, and those that they fire, come first and are measured too.
    measured = f"{_COME_AGAIN}{read_state_sql('NEW.state')}{measure_sql(alone=True)}{compare_sql(agreed_sql, _WHICH)}"
    name = f"mosaic_measure_{secrets.token_hex(8)}"
    body = f"{declared}BEGIN\n{measured}    RETURN NULL;\nEND"
    begin = f"""{declared}  path pg_catalog.text;
BEGIN
    path := pg_catalog.current_setting('search_path');
{begin_measure_sql(_WHICH, agreed_sql)}    CREATE TEMP TABLE mosaic_measured (state pg_catalog.jsonb, round pg_catalog.int4) ON COMMIT DROP;
    FOR target IN SELECT f.oid::pg_catalog.regprocedure::pg_catalog.text FROM pg_catalog.pg_proc f
      WHERE f.pronamespace = pg_catalog.pg_my_temp_schema() AND f.proname ^@ 'mosaic_measure_' LOOP
      EXECUTE 'DROP FUNCTION ' || target;
    END LOOP;
    CREATE FUNCTION pg_temp.{name}() RETURNS trigger LANGUAGE plpgsql AS {dollar_quote(body, "mosaic_body")};
    CREATE CONSTRAINT TRIGGER measured AFTER INSERT ON mosaic_measured DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION pg_temp.{name}();
    INSERT INTO mosaic_measured VALUES ({STATE}, 1);
    PERFORM pg_catalog.set_config('search_path', path, true);
END"""
    return f"DO {dollar_quote(begin, 'mosaic_begin')};\n{query}\n"
