"""PL/pgSQL that measures a step's effects and compares them with the agreement, before the step is recorded and committed.

Per step: `begin_measure_sql`, the statements, `measure_sql`, and a comparison. All of it reads the catalog as this transaction sees it, and
PostgreSQL's own counters of rows, which add up over the transactions of one DO block. So both are compared with what they
were when the step began.

- **Touched**: a transaction holds a lock on each table that it has written to, altered or dropped, until it ends. Only these are
  compared, so a step costs the same however many tables there are.
- **Rows**: `pg_stat_get_xact_tuples_…`. If the table was touched, they count what an aborted subtransaction did there, too.
- **Moved**: see `moved_rows`.
- **Emptied**: a table has another file than before, or its counters went back, which only TRUNCATE does. A statement of
  the file that may rewrite its table (ALTER TABLE, CLUSTER) is meant, so the file that it leaves is expected. A TRUNCATE after
  that could use the same file; so the rows are counted after the rewrite, and again at the end.
- **Rows kept**: a table that has another file for an unknown reason, but more rows than were inserted, was rewritten, not emptied.
  That needs the same consent, as the values may be others, and is only said otherwise.
- **Rows before**: no counter has the rows of a table that is emptied or dropped. If a person agreed to a number of them, they are
  counted when the step begins, under a lock that nobody adds rows to the table with.
- **Cursors** WITH HOLD would run their query at COMMIT, so they are closed first.
- **Dropped**: tables, columns and objects that are gone. Objects are looked for only if the transaction dropped any.
- **Unprotected**: neither a protected table nor a parent of it has a protected name any more. A rename of its schema touches no
  table, so all protected ones are compared.
"""

from __future__ import annotations

from mosaic_deploy.sql.guard.agreement import EXCEEDED, NOT_MEASURED, Existing
from mosaic_deploy.sql.guard.moved_rows import MOVED_VARIABLES, begin_moves_sql, is_move, measure_moves_sql
from mosaic_deploy.sql.guard.objects import OBJECTS_GONE
from mosaic_deploy.sql.marker import SPLIT_MARKER, STATEMENT_FAILED, raise_with_facts_sql
from mosaic_deploy.sql.quote import dollar_quote

EXISTING = "effects.existing"
"""The row of the settings table with what existed when a run began, until its SQL is done."""
UNTIL = "effects.until"
"""The row of the settings table that NOTE_END writes."""
VARIABLES = (
    "tables pg_catalog.jsonb; counted pg_catalog.jsonb; counting pg_catalog.jsonb; touched pg_catalog.jsonb; "
    "tables_now pg_catalog.jsonb; emptied pg_catalog.jsonb; rewritten pg_catalog.jsonb; effects pg_catalog.jsonb; "
    "excess pg_catalog.jsonb; kept pg_catalog.jsonb; target pg_catalog.text; target_rows pg_catalog.int8; drops pg_catalog.int8; "
    f"gone pg_catalog.jsonb; rows_before pg_catalog.jsonb; own_timeout pg_catalog.text; {MOVED_VARIABLES}\n"
)


def existing_variable(existing: Existing) -> str:
    return f"  existing pg_catalog.jsonb := {dollar_quote(existing.as_json(), 'mosaic_existing')};\n"


def _tables_of(oids: str) -> str:
    """An SQL expression: for the jsonb object `oids`, whose keys are OIDs of tables, their files and columns."""
    return f"""(SELECT COALESCE(pg_catalog.jsonb_object_agg(c.oid::pg_catalog.text, pg_catalog.jsonb_build_object(
      'file', c.relfilenode::pg_catalog.text, 'columns', (
        SELECT COALESCE(pg_catalog.jsonb_object_agg(a.attnum::pg_catalog.text, pg_catalog.jsonb_build_array(a.attname,
          pg_catalog.concat(a.atttypid, ' ', a.atttypmod))), '{{}}')
        FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))), '{{}}')
    FROM pg_catalog.pg_class c WHERE c.oid = ANY (ARRAY(SELECT k::pg_catalog.oid FROM pg_catalog.jsonb_object_keys({oids}) k)))"""


def _counters_of(oids: str) -> str:
    """An SQL expression: for the same, the rows inserted, updated and deleted by now."""
    inserted, updated, deleted = (
        f"pg_catalog.pg_stat_get_xact_tuples_{verb}(k::pg_catalog.oid)"
        for verb in ("inserted", "updated", "deleted")
    )
    return f"""(SELECT COALESCE(pg_catalog.jsonb_object_agg(k, pg_catalog.jsonb_build_array({inserted}, {updated}, {deleted})), '{{}}')
    FROM pg_catalog.jsonb_object_keys({oids}) k)"""


_PROTECTED = "(existing -> 'protected' ?| ARRAY(SELECT pg_catalog.jsonb_array_elements_text({names})))"
_TOUCHED = f"""(SELECT COALESCE(pg_catalog.jsonb_object_agg(l.oid, existing -> 'tables' -> l.oid), '{{}}')
    FROM (SELECT k.oid FROM pg_catalog.unnest(ARRAY['2613', '2995']) k(oid) UNION
      SELECT h.key FROM pg_catalog.jsonb_each(existing -> 'tables') h WHERE {_PROTECTED.format(names="h.value")} UNION
      SELECT relation::pg_catalog.text FROM pg_catalog.pg_locks WHERE pid = pg_catalog.pg_backend_pid()
      AND locktype = 'relation' AND mode NOT IN ('AccessShareLock', 'RowShareLock')) l(oid) WHERE existing -> 'tables' ? l.oid)"""
_DROPS = " + ".join(
    f"pg_catalog.pg_stat_get_xact_tuples_deleted('pg_catalog.{name}'::pg_catalog.regclass)"
    for name in ("pg_class", "pg_type", "pg_proc", "pg_policy")
)
"""A number that grows whenever the transaction drops an object of these catalogs."""
_OWN_PATH = "    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);\n"
"""The migration's search_path could put other operators first. It is restored when the next session begins."""
_UNCOUNTED = raise_with_facts_sql(
    f"pg_catalog.json_build_object('code', '{NOT_MEASURED}', {{which}}, 'statement', 0)::text"
)


_LOCK_TIMEOUT = "3s"
"""How long each lock is waited for that the rows of a table are counted under."""
COUNTABLE = "(pg_catalog.has_table_privilege({oid}, 'SELECT') AND NOT pg_catalog.row_security_active({oid}))"
"""SQL with a table's `oid`: whether the role sees all its rows."""
_FORGET_GONE = f"""gone := gone || (
      SELECT COALESCE(pg_catalog.jsonb_object_agg(g.key, 1), '{{}}') FROM ({OBJECTS_GONE}) g);"""
"""What an earlier step has dropped, as agreed, isn't told again."""


def _count_rows_before(which: str, agreed: str) -> str:
    """PL/pgSQL that locks the tables of which `agreed` has the number of rows, and counts these as the measurement begins."""
    facts = f"'code', '{STATEMENT_FAILED}', {which}, 'statement', 0, 'sqlstate', SQLSTATE, 'message', SQLERRM"
    return f"""rows_before := '{{}}'; own_timeout := pg_catalog.current_setting('lock_timeout');
    PERFORM pg_catalog.set_config('lock_timeout', '{_LOCK_TIMEOUT}', true);
    FOR target IN SELECT t.key FROM pg_catalog.jsonb_each(existing -> 'tables') t
        JOIN pg_catalog.pg_class c ON c.oid = t.key::pg_catalog.oid AND c.relkind = 'r'
        WHERE {agreed} -> 'exactly' -> (t.value ->> 0) ? 'rows_before' ORDER BY c.oid LOOP
      IF pg_catalog.has_table_privilege(target::pg_catalog.oid, 'UPDATE, DELETE, TRUNCATE') THEN
        BEGIN
          EXECUTE pg_catalog.format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', target::pg_catalog.oid::pg_catalog.regclass);
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
          RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = pg_catalog.concat({SPLIT_MARKER}, pg_catalog.json_build_object({facts})::text);
        END;
      END IF;
      IF {COUNTABLE.format(oid="target::pg_catalog.oid")} THEN
        EXECUTE pg_catalog.format('SELECT count(*) FROM ONLY %s', target::pg_catalog.oid::pg_catalog.regclass) INTO target_rows;
        rows_before := rows_before || pg_catalog.jsonb_build_object(target, target_rows);
      END IF;
    END LOOP;
    PERFORM pg_catalog.set_config('lock_timeout', own_timeout, true);
"""


def begin_measure_sql(which: str, agreed: str) -> str:
    """PL/pgSQL before a step. `which` are arguments for json_build_object: version and step; `agreed` as for `compare_sql`."""
    return f"""{_OWN_PATH}    IF pg_catalog.current_setting('track_counts') <> 'on' AND NOT {_anything(agreed)} THEN
      {_UNCOUNTED.format(which=which)} END IF;
    gone := COALESCE(gone, '{{}}');
    IF tables IS NULL AND existing -> 'objects' <> '{{}}' THEN {_FORGET_GONE} END IF;
    tables := COALESCE(tables, {_tables_of("existing -> 'tables'")});
    counted := COALESCE(counted, {_counters_of("existing -> 'tables'")});
    drops := {_DROPS};
    emptied := '{{}}'; rewritten := '{{}}';
    {begin_moves_sql(agreed)}    {_count_rows_before(which, agreed)}"""


def _anything(agreed: str) -> str:
    return f"COALESCE(({agreed} ->> 'anything')::pg_catalog.bool, false)"


_COLUMNS_BEFORE = "(existing -> 'columns' ->> t.key)::pg_catalog.int4"
"""The number of the last column that the table had before the run. The run's own columns hold nothing from before."""
_LOSES_PROTECTION = f"""(o.value IS NOT NULL AND {_PROTECTED.format(names="t.value")} AND NOT EXISTS (
          WITH RECURSIVE up(oid) AS (SELECT t.key::pg_catalog.oid
            UNION SELECT i.inhparent FROM up JOIN pg_catalog.pg_inherits i ON i.inhrelid = up.oid)
          SELECT FROM up JOIN pg_catalog.pg_class p ON p.oid = up.oid JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace
          WHERE existing -> 'protected' ? pg_catalog.concat(n.nspname, '.', p.relname)))"""
_EFFECTS = f"""(
    SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('oid', key, 'table', names ->> 0,
        'names', names, 'inserted', NULLIF(GREATEST(i, 0), 0), 'updated', NULLIF(GREATEST(u, 0), 0),
        'deleted', NULLIF(GREATEST(d, 0), 0), 'emptied', NULLIF(is_emptied, false),
        'rows_kept', CASE WHEN is_emptied AND NOT is_truncated AND kept ? key THEN true END, 'dropped', NULLIF(now IS NULL, false),
        'rows_before', CASE WHEN is_emptied OR now IS NULL THEN rows_before -> key END,
        'columns_dropped', lost, 'types_changed', retyped, 'unprotected', NULLIF(loses_protection, false),
        'kinds', pg_catalog.concat(CASE WHEN d > 0 THEN 'd' END, CASE WHEN u > 0 THEN 'u' END, CASE WHEN is_emptied THEN 't' END,
          CASE WHEN now IS NULL THEN 'x' END, CASE WHEN lost IS NOT NULL THEN 'c' END,
          CASE WHEN retyped IS NOT NULL THEN 'y' END, CASE WHEN loses_protection THEN 'p' END))) ORDER BY names ->> 0)
    FROM (
      SELECT t.key, t.value AS names, o.value AS now, r.i, r.u, r.d, s.loses_protection,
        w.value ->> 'file' <> (o.value ->> 'file') OR s.is_truncated AS is_emptied, s.is_truncated,
        CASE WHEN o.value IS NOT NULL THEN (SELECT pg_catalog.jsonb_agg(a.value -> 0) FROM pg_catalog.jsonb_each(w.value -> 'columns') a
          WHERE NOT o.value -> 'columns' ? a.key AND a.key::pg_catalog.int4 <= {_COLUMNS_BEFORE}) END AS lost,
        (SELECT pg_catalog.jsonb_agg(a.value -> 0) FROM pg_catalog.jsonb_each(w.value -> 'columns') a
          JOIN pg_catalog.jsonb_each(o.value -> 'columns') b USING (key)
          WHERE a.value -> 1 <> b.value -> 1 AND a.key::pg_catalog.int4 <= {_COLUMNS_BEFORE}) AS retyped
      FROM pg_catalog.jsonb_each(touched) t,
      LATERAL (SELECT tables -> t.key AS value) w, LATERAL (SELECT tables_now -> t.key AS value) o,
      LATERAL (SELECT counting -> t.key AS value) c, LATERAL (SELECT counted -> t.key AS value) b,
      LATERAL (SELECT (c.value ->> 0)::pg_catalog.int8 - (b.value ->> 0)::pg_catalog.int8 AS i,
        (c.value ->> 1)::pg_catalog.int8 - (b.value ->> 1)::pg_catalog.int8 AS u,
        (c.value ->> 2)::pg_catalog.int8 - (b.value ->> 2)::pg_catalog.int8 AS d) r,
      LATERAL (SELECT {_LOSES_PROTECTION} AS loses_protection,
        emptied ? t.key OR r.i < 0 OR r.u < 0 OR r.d < 0 AS is_truncated) s
      WHERE s.loses_protection OR o.value IS NULL OR o.value <> w.value OR emptied ? t.key OR r.i <> 0 OR r.u <> 0 OR r.d <> 0) found)"""


def measure_sql(*, alone: bool) -> str:
    """PL/pgSQL after a step's statements, with the connection's own role. It sets the variable `effects`.

    `alone`: the transaction began with the step. Otherwise TRUNCATE also forgets what was inserted in it before, so all that was
    inserted since the counters were last reset counts against the rows that a rewrite may have kept.
    """
    before = "(counted -> target ->> 0)::pg_catalog.int8" if alone else "0"
    inserted = f"(counting -> target ->> 0)::pg_catalog.int8 - {before}"
    return f"""{_OWN_PATH}    EXECUTE 'CLOSE ALL';
    FOR target, target_rows IN SELECT k, v::pg_catalog.int8 FROM pg_catalog.jsonb_each_text(rewritten) r(k, v) LOOP
      EXECUTE pg_catalog.format('SELECT count(*) - pg_catalog.pg_stat_get_xact_tuples_inserted(%1$s)'
        ' + pg_catalog.pg_stat_get_xact_tuples_deleted(%1$s) - %2$s FROM ONLY %3$s', target, target_rows,
        target::pg_catalog.oid::pg_catalog.regclass) INTO target_rows;
      IF target_rows <> 0 THEN emptied := emptied || pg_catalog.jsonb_build_object(target, 1); END IF;
    END LOOP;
    touched := {_TOUCHED};
    counting := {_counters_of("touched")};
    tables_now := {_tables_of("touched")};
    kept := '{{}}';
    FOR target IN SELECT t.key FROM pg_catalog.jsonb_each(tables_now) t
        WHERE t.value ->> 'file' <> (tables -> t.key ->> 'file') AND pg_catalog.has_table_privilege(t.key::pg_catalog.oid, 'SELECT') LOOP
      EXECUTE pg_catalog.format('SELECT count(*) - (%s) FROM ONLY %s', {inserted}, target::pg_catalog.oid::pg_catalog.regclass) INTO target_rows;
      IF target_rows > 0 THEN kept := kept || pg_catalog.jsonb_build_object(target, 1); END IF;
    END LOOP;
    effects := pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('tables', {_EFFECTS},
      'objects', CASE WHEN drops <> {_DROPS} THEN (
        SELECT pg_catalog.jsonb_agg(g.name ORDER BY g.name) FROM ({OBJECTS_GONE}) g) END));
    IF effects ? 'objects' THEN {_FORGET_GONE} END IF;
    tables := tables || tables_now;
    counted := counted || counting;
"""


def _exceeds(exact: str) -> str:
    """An SQL condition: whether the table's effect `e` is more than the SQL expression `exact`, the effect that was agreed to."""

    def is_set(effect: str, name: str) -> str:
        return f"COALESCE(({effect} ->> '{name}')::pg_catalog.bool, false)"

    def number(effect: str, name: str) -> str:
        return f"COALESCE(({effect} ->> '{name}')::pg_catalog.int8, 0)"

    def names(effect: str, name: str) -> str:
        return f"COALESCE({effect} -> '{name}', '[]')"

    more_rows = (f"{number('e', name)} > {number('m', name)}" for name in ("deleted", "updated"))
    more_kinds = (
        f"{is_set('e', name)} AND NOT {is_set('m', name)}" for name in ("emptied", "dropped", "unprotected")
    )
    more_columns = (
        f"NOT {names('m', name)} @> {names('e', name)}" for name in ("columns_dropped", "types_changed")
    )
    loses_rows = f"{is_set('e', 'emptied')} AND {is_set('m', 'rows_kept')} AND NOT {is_set('e', 'rows_kept')}"
    not_moved = (
        f"{number('e', 'deleted')} > 0 AND {is_set('m', 'rows_moved')} AND NOT {is_set('e', 'rows_moved')}"
    )
    more_before = (
        f"({is_set('e', 'emptied')} OR {is_set('e', 'dropped')}) AND m ? 'rows_before' "
        "AND COALESCE((e ->> 'rows_before')::pg_catalog.int8 > (m ->> 'rows_before')::pg_catalog.int8, true)"
    )
    exceeded = " OR ".join((*more_rows, *more_kinds, *more_columns, loses_rows, not_moved, more_before))
    return f"(SELECT {exceeded} FROM (SELECT {exact} AS m) x)"


def compare_sql(agreed: str, which: str) -> str:
    """PL/pgSQL that raises if `effects` are more than the SQL expression `agreed`, an Agreement as jsonb; null is nothing."""
    facts = f"pg_catalog.json_build_object('code', '{EXCEEDED}', {which}, 'statement', 0, 'effects', excess)::text"
    return f"""{measure_moves_sql(agreed)}    SELECT pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
      'tables', (SELECT pg_catalog.jsonb_agg(e) FROM pg_catalog.jsonb_array_elements(effects -> 'tables') e,
        LATERAL (SELECT {_PROTECTED.format(names="e -> 'names'")} AS held) p
        WHERE CASE WHEN {agreed} -> 'exactly' ? (e ->> 'table') THEN {_exceeds(f"{agreed} -> 'exactly' -> (e ->> 'table')")}
        ELSE EXISTS (SELECT FROM pg_catalog.string_to_table(e ->> 'kinds', NULL) k(kind) WHERE NOT EXISTS (
          SELECT FROM pg_catalog.jsonb_each_text({agreed} -> 'tables') a(name, letters)
          WHERE (pg_catalog.strpos(a.letters, k.kind) > 0 OR {is_move("k.kind", "a.letters", "e ->> 'oid'")}) AND e -> 'names' ? a.name)
          AND NOT (NOT p.held AND EXISTS (SELECT FROM pg_catalog.jsonb_array_elements_text(e -> 'names') n
            JOIN pg_catalog.jsonb_array_elements_text({agreed} -> 'schemas') s ON pg_catalog.starts_with(n, pg_catalog.concat(s, '.'))))
          AND NOT ({_anything(agreed)} AND NOT p.held)) END),
      'objects', (SELECT pg_catalog.jsonb_agg(o) FROM pg_catalog.jsonb_array_elements_text(effects -> 'objects') o
        WHERE NOT {_anything(agreed)} AND NOT COALESCE({agreed} -> 'dropped' ? o, false)
        AND NOT COALESCE({agreed} -> 'objects' ? pg_catalog.regexp_replace(
          pg_catalog.replace(pg_catalog.split_part(o, '(', 1), ' public.', ' '), '^(materialized view|[a-z]+) ', ''), false))))
    INTO excess;
    IF excess <> '{{}}' THEN {raise_with_facts_sql(facts)} END IF;
"""


_STATE = "mosaic_deploy.measured"
_FIELDS = ("tables", "counted", "drops", "emptied", "rewritten", "gone", "rows_before", "in_partitions")
STATE = "pg_catalog.jsonb_build_object(" + ", ".join(f"'{name}', {name}" for name in _FIELDS) + ")"
"""The variables as one value."""
KEEP_STATE = f"    PERFORM pg_catalog.set_config('{_STATE}', {STATE}::pg_catalog.text, true);\n"
"""Keeps the variables between the statements of one transaction."""


def load_state_sql(which: str) -> str:
    """PL/pgSQL that reads them again. It raises if the migration has reset them."""
    state = f"pg_catalog.current_setting('{_STATE}', true)"
    missing = f"COALESCE({state}, '') OPERATOR(pg_catalog.=) ''"
    refused = f"    IF {missing} THEN {_UNCOUNTED.format(which=which)} END IF;\n"
    return refused + read_state_sql(f"{state}::pg_catalog.jsonb")


def read_state_sql(state: str) -> str:
    """PL/pgSQL that reads the variables from the SQL expression `state`, a value of STATE."""
    return "".join(
        f"    {name} := {state} OPERATOR(pg_catalog.{'->>' if name == 'drops' else '->'}) '{name}';\n"
        for name in _FIELDS
    )


NOTE_END = f"""    BEGIN
      UPDATE mosaic_deploy.settings SET deploy_id = deploy_id WHERE name OPERATOR(pg_catalog.=) '{UNTIL}';
    EXCEPTION WHEN division_by_zero THEN NULL;
    END;
"""
"""PL/pgSQL that writes a row with a newer transaction ID than all rows of this step, as a subtransaction has. By that a later
run tells the rows of a failed run from rows that somebody else added since."""
