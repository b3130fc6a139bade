"""PL/pgSQL that inserts the rows of a COPY and, if PostgreSQL refuses one, finds out which.

PostgreSQL doesn't say which row of an INSERT it refuses, and the values in its message may be those of several rows. So the
block inserts the first rows only, half as many each time, and undoes that: the row is the last one of the fewest that fail
with the same error. This takes a few seconds at most. Triggers run again, and sequences advance.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from mosaic_deploy.sql.quote import dollar_quote, identifier, literal
from mosaic_deploy.sql.scripts.copy_options import CopyOptions

ROW_SEPARATOR = ",\n"
"""Between the rows, of which each is on a line."""
COPIED = "mosaic_deploy.copied"
"""The setting that has the number of inserted rows after the block, for which PostgreSQL counts none."""
_MARKER = "mosaic-row:"
_SPLIT_MARKER = "'mosaic-', 'row:'"
"""In two parts, so a platform that echoes the query in its error doesn't seem to raise it."""
_MAX_SECONDS = 3
_MAX_CONTEXT = 10_000
"""Characters of a context, which quotes whole statements."""


@dataclass(frozen=True, slots=True)
class RowError:
    """PostgreSQL's error about a COPY, and the number of the row that it refused, from 1; 0 if that isn't certain."""

    row: int
    message: str
    detail: str | None
    hint: str | None
    context: str


def parse_row_error(message: str) -> RowError | None:
    """The error that the block raised; None for another one."""
    if not message.startswith(_MARKER):
        return None
    try:
        facts = json.loads(message.removeprefix(_MARKER))
    except ValueError:
        return None
    if not isinstance(facts, Mapping) or not isinstance(facts.get("row"), int):
        return None
    detail, hint = (str(facts[name]) if facts.get(name) else None for name in ("detail", "hint"))
    return RowError(
        facts["row"], str(facts.get("message") or ""), detail, hint, str(facts.get("context") or "")
    )


def insert_statement(options: CopyOptions, lines: str) -> str:
    """The rows as an INSERT, if COPY names its columns."""
    return f"{_head(options)}{lines}"


def insert_block(options: CopyOptions, lines: str, width: int) -> str:
    """The DO block that inserts the rows of `width` values. Its error is for `parse_row_error` if it may be about a single row."""
    table = literal(_table(options))
    without = _WITHOUT_COLUMNS if _are_empty(lines) else "  "
    find_columns = "" if options.columns else f"{_FIND_COLUMNS}{without}{_ALL_COLUMNS}"
    body = _BLOCK.format(
        head=literal(_head(options)),
        rows=dollar_quote(lines, "mosaic_rows"),
        find_columns=find_columns.format(table=table, width=width, after=width + 1),
    )
    return f"DO {dollar_quote(body, 'mosaic_copy')}"


def _table(options: CopyOptions) -> str:
    return ".".join(identifier(part) for part in options.table)


def _head(options: CopyOptions) -> str:
    """What comes before the rows; without columns it ends before their names."""
    if not options.columns:
        return f"INSERT INTO {_table(options)} "
    columns = ", ".join(identifier(column) for column in options.columns)
    return f"INSERT INTO {_table(options)} ({columns}) OVERRIDING SYSTEM VALUE VALUES\n"


def _are_empty(lines: str) -> bool:
    return set(lines.split(ROW_SEPARATOR)) == {"('')"}


_FIND_COLUMNS = """  SELECT pg_catalog.string_agg(pg_catalog.quote_ident(attname), ', ' ORDER BY attnum),
    pg_catalog.array_agg(attname::pg_catalog.text ORDER BY attnum) INTO names, fields
    FROM pg_catalog.pg_attribute WHERE attrelid OPERATOR(pg_catalog.=) {table}::pg_catalog.regclass
    AND attnum OPERATOR(pg_catalog.>) 0 AND NOT attisdropped AND attgenerated OPERATOR(pg_catalog.=) '';
"""
_WITHOUT_COLUMNS = """  IF names IS NULL THEN
    head := pg_catalog.concat('INSERT INTO ', {table}, ' SELECT FROM (VALUES ');
    tail := ') r';
  ELS"""
"""The rows of a table without columns, or with generated ones only, are empty lines."""
_ALL_COLUMNS = """IF COALESCE(pg_catalog.cardinality(fields), 0) OPERATOR(pg_catalog.<) {width} THEN
    RAISE EXCEPTION 'extra data after last expected column' USING ERRCODE = '22P04';
  ELSIF pg_catalog.cardinality(fields) OPERATOR(pg_catalog.>) {width} THEN
    RAISE EXCEPTION 'missing data for column "%"', fields[{after}] USING ERRCODE = '22P04';
  ELSE
    head := pg_catalog.concat(head, '(', names, ') OVERRIDING SYSTEM VALUE VALUES ');
  END IF;
"""
"""COPY without columns fills all but the generated ones."""

_BLOCK = f"""DECLARE
  head text := {{head}}; tail text := ''; names text; fields text[]; rows text := {{rows}};
  separator text := pg_catalog.concat(',', pg_catalog.chr(10)); lines text[];
  copied pg_catalog.int8; code text; message text; detail text; hint text; context text;
  low int := 0; high int; middle int; until pg_catalog.timestamptz;
BEGIN
{{find_columns}}  BEGIN
    EXECUTE pg_catalog.concat(head, rows, tail);
    GET DIAGNOSTICS copied = ROW_COUNT;
    PERFORM pg_catalog.set_config('{COPIED}', copied::text, true);
    RETURN;
  EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
      detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
  END;
  lines := pg_catalog.string_to_array(rows, separator);
  middle := pg_catalog.cardinality(lines);
  high := middle OPERATOR(pg_catalog.+) 1;
  until := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => {_MAX_SECONDS});
  LOOP
    BEGIN
      PERFORM pg_catalog.set_config('client_min_messages', 'error', true);
      EXECUTE pg_catalog.concat(head, pg_catalog.array_to_string(lines[1:middle], separator), tail);
      RAISE SQLSTATE 'MSCPY';
    EXCEPTION WHEN OTHERS OR query_canceled OR assert_failure THEN
      IF SQLSTATE OPERATOR(pg_catalog.=) code AND SQLERRM OPERATOR(pg_catalog.=) message THEN
        high := middle;
      ELSIF SQLSTATE OPERATOR(pg_catalog.=) 'MSCPY'
        OR pg_catalog.left(SQLSTATE, 2) OPERATOR(pg_catalog.=) ANY (ARRAY['22', '23']) THEN
        low := middle;
      ELSE
        EXIT;
      END IF;
    END;
    EXIT WHEN high OPERATOR(pg_catalog.-) low OPERATOR(pg_catalog.=) 1
      OR pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>) until;
    middle := (low OPERATOR(pg_catalog.+) high) OPERATOR(pg_catalog./) 2;
  END LOOP;
  IF high OPERATOR(pg_catalog.-) low OPERATOR(pg_catalog.>) 1
    OR high OPERATOR(pg_catalog.>) pg_catalog.cardinality(lines) THEN
    high := 0;
  END IF;
  RAISE EXCEPTION USING ERRCODE = code, MESSAGE = pg_catalog.concat({_SPLIT_MARKER}, pg_catalog.json_build_object(
    'row', high, 'message', message, 'detail', detail, 'hint', hint,
    'context', pg_catalog.left(context, {_MAX_CONTEXT}))::text);
END
"""
