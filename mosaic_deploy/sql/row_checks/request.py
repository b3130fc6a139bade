"""One read-only request for many checks. Each may fail alone, and all together have a time limit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from mosaic_deploy.sql.quote import dollar_quote, json_literal
from mosaic_deploy.sql.read_only import READ_ONLY_PRELUDE
from mosaic_deploy.sql.row_checks.violations import MAX_KEY_LENGTH

TIME_LIMIT_SECONDS = 5
RESULTS_COLUMN = "mosaic_deploy row checks"
_RESULTS = "mosaic_deploy.row_checks"
# With row_security off, PostgreSQL refuses a query from which policies would hide rows.
_SETTINGS = (
    f"SET LOCAL statement_timeout = '{TIME_LIMIT_SECONDS}s';\nSET LOCAL lock_timeout = '1s';\n"
    "SET LOCAL row_security = off;\nSET LOCAL DateStyle = 'ISO, MDY';\n"
)
_REASONS = {
    "57014": f"the time limit of {TIME_LIMIT_SECONDS} s was reached",
    "55P03": "the table is locked",
    "42501": "row security or missing privileges hide rows from this role",
    "55000": "the materialized view has no rows yet",
    **dict.fromkeys(
        ("42883", "42P01", "42703", "42704", "3F000"),
        "it uses something that isn't found in the live database",
    ),
}


@dataclass(frozen=True, slots=True)
class RowCheckResult:
    """`rows` is None if the check failed, for `reason`. `keys` are those of the first rows, as text."""

    rows: int | None
    keys: tuple[str, ...] = ()
    reason: str = ""


def row_checks_request(queries: Sequence[str]) -> str:
    """Statements that are one transaction. The last has a row with RESULTS_COLUMN.

    Errors are read as SQLSTATEs only: PostgreSQL's messages may quote values of rows.
    """
    body = f"""DECLARE query pg_catalog.text; found pg_catalog.jsonb; results pg_catalog.jsonb := '[]'; late pg_catalog.bool := false;
BEGIN
  PERFORM pg_catalog.set_config('search_path', '', true);
  FOR query IN SELECT value FROM pg_catalog.json_array_elements_text({json_literal(list(queries))}) LOOP
    IF late THEN found := '{{"error": "57014"}}';
    ELSE
      BEGIN
        EXECUTE query INTO found;
      EXCEPTION
        WHEN query_canceled THEN found := '{{"error": "57014"}}'; late := true;
        WHEN OTHERS THEN found := pg_catalog.jsonb_build_object('error', SQLSTATE);
      END;
    END IF;
    results := results || pg_catalog.jsonb_build_array(found);
  END LOOP;
  PERFORM pg_catalog.set_config('{_RESULTS}', results::pg_catalog.text, true);
END"""
    return (
        f"{READ_ONLY_PRELUDE}{_SETTINGS}DO {dollar_quote(body, 'mosaic_rows')};\n"
        f"SELECT pg_catalog.current_setting('{_RESULTS}') AS \"{RESULTS_COLUMN}\""
    )


def parse_results(text: str, number: int) -> tuple[RowCheckResult, ...]:
    """The results of `number` queries, in order. Raises ValueError."""
    try:
        found = tuple(_result(each) for each in json.loads(text))
    except (AttributeError, LookupError, TypeError) as error:
        raise ValueError("results of row checks in an unexpected format") from error
    if len(found) != number:
        raise ValueError(f"{len(found)} results of {number} row checks")
    return found


def _result(found: dict[str, object]) -> RowCheckResult:
    if code := found.get("error"):
        return RowCheckResult(None, reason=_REASONS.get(str(code), f"PostgreSQL reports SQLSTATE {code}"))
    keys = found["keys"]
    return RowCheckResult(
        int(str(found["rows"])), tuple(_key_text(key) for key in keys) if isinstance(keys, list) else ()
    )


def _key_text(key: list[object]) -> str:
    """`4`, `ab…`, `(4, en)`."""
    parts = [_cut(str(part)) for part in key]
    return parts[0] if len(parts) == 1 else f"({', '.join(parts)})"


def _cut(text: str) -> str:
    cut = text if len(text) <= MAX_KEY_LENGTH else f"{text[:MAX_KEY_LENGTH]}…"
    return (
        cut
        if cut and cut.isprintable() and not set(cut) & set(",()' \"")
        else json.dumps(cut, ensure_ascii=False)
    )
