"""PL/pgSQL that keeps a connection's own settings apart from a migration's: many calls may share one connection.

`mosaic_own` is a jsonb variable: the role, the search_path and the session's user that the connection had (a pooler may have
set them). Between the statements of one call it is kept in a setting.

At the end of a step, it is checked that the file's next step begins with the settings that this one leaves. What SET and
SELECT set_config set is known from the text; a function, a trigger, a default or a view may set more, which only the session
shows. The same holds for temporary objects, and for settings of the role or the database, which only a new connection has.
"""

from __future__ import annotations

from mosaic_deploy.sql.execution.step import Step
from mosaic_deploy.sql.quote import json_literal, literal
from mosaic_deploy.sql.session.assignments import assignments

_OWN = "mosaic_deploy.own"
_KEPT = f"pg_catalog.current_setting('{_OWN}', true)"

DECLARE_OWN = f"""  mosaic_own pg_catalog.jsonb := CASE WHEN {_KEPT} OPERATOR(pg_catalog.<>) '' THEN {_KEPT}::pg_catalog.jsonb
    ELSE pg_catalog.jsonb_build_object('role', pg_catalog.current_setting('role'),
      'path', pg_catalog.current_setting('search_path'), 'user', session_user::pg_catalog.text) END;
"""
"""Kept settings come first: they mean that an earlier call on this connection ended before it could restore them."""

KEEP_OWN = f"  PERFORM pg_catalog.set_config('{_OWN}', mosaic_own::pg_catalog.text, false);\n"

_FIELD = "mosaic_own OPERATOR(pg_catalog.->>)"
RESTORE_OWN = f"""  RESET ALL;
  IF session_user::pg_catalog.text OPERATOR(pg_catalog.<>) ({_FIELD} 'user') THEN
    PERFORM pg_catalog.set_config('session_authorization', {_FIELD} 'user', false);
  END IF;
  PERFORM pg_catalog.set_config('role', {_FIELD} 'role', false);
  PERFORM pg_catalog.set_config('search_path', {_FIELD} 'path', false);
"""

BEGIN_SESSION = f"{RESTORE_OWN}  DISCARD TEMP;\n"
"""A new session, as far as a migration can tell. Temporary objects are dropped here, not when a step ends: a cursor of
the step may still be open on one."""


def local_settings_sql(settings: list[tuple[str, str]]) -> str:
    """PL/pgSQL that sets (name, value) pairs until the transaction ends."""
    return "".join(
        f"  PERFORM pg_catalog.set_config('{name}', {literal(value)}, true);\n" for name, value in settings
    )


_SETTINGS = (
    "search_path", "role", "session_authorization", "timezone", "datestyle", "intervalstyle", "bytea_output",
    "extra_float_digits", "xmloption", "array_nulls", "transform_null_equals", "default_tablespace",
    "default_table_access_method", "default_toast_compression", "default_text_search_config", "session_replication_role",
    "check_function_bodies", "row_security", "lc_messages", "lc_monetary", "lc_numeric", "lc_time",
)  # fmt: skip
"""Settings that decide what a later statement does."""

CARRIED_VARIABLES = (
    "setting pg_catalog.text; settings_left pg_catalog.jsonb; settings_kept pg_catalog.jsonb; "
)


def compared_settings(step: Step) -> list[str]:
    """The names of the settings to compare. What the step's own statements set for its transaction ends with it."""
    ends = {one.name for statement in step.sql.statements for one in assignments(statement) if one.local}
    return [name for name in _SETTINGS if name not in ends]


def check_carried_sql(names: str, statements: str, unmentioned: str) -> str:
    """PL/pgSQL that raises if a later step, in a session of its own, could do something else than in this one.

    That is so if the settings aren't those that `statements` set in a new session, if they were changed for new
    connections, or if a temporary object hides one that the next session would reach. All are SQL expressions of a JSON
    array: the `compared_settings`, the statements with which the next step's session begins, and the names of temporary
    objects that no later step can mean. Requires CARRIED_VARIABLES and DECLARE_OWN.
    """
    read = (
        "pg_catalog.jsonb_object_agg(name, COALESCE(pg_catalog.current_setting(name, true), '')) INTO {} "
        f"FROM pg_catalog.jsonb_array_elements_text({names}) AS one(name)"
    )
    return f"""{_hidden_objects_sql(unmentioned)}{_changed_defaults_sql(names)}  SELECT {read.format("settings_left")};
{RESTORE_OWN}  FOREACH setting IN ARRAY ARRAY(SELECT pg_catalog.jsonb_array_elements_text({statements})) LOOP
    EXECUTE setting;
  END LOOP;
  SELECT {read.format("settings_kept")};
  IF settings_left OPERATOR(pg_catalog.<>) settings_kept THEN
    SELECT pg_catalog.string_agg(key, ', ' ORDER BY key) INTO setting FROM pg_catalog.jsonb_each_text(settings_left)
      WHERE value OPERATOR(pg_catalog.<>) (settings_kept OPERATOR(pg_catalog.->>) key);
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = pg_catalog.concat('a function, trigger, default or '
      'view changes ', setting, ' in this step; the next one has its own session and would run without that'),
      HINT = 'set it in the file, with SET';
  END IF;
"""


def _hidden_objects_sql(unmentioned: str) -> str:
    """PL/pgSQL that raises if a temporary object has the name of another one."""
    own = "pg_catalog.pg_my_temp_schema()"
    return f"""  IF {own} OPERATOR(pg_catalog.<>) 0 THEN
    SELECT pg_catalog.string_agg(name, ', ' ORDER BY name) INTO setting FROM (
      SELECT relname::pg_catalog.text FROM pg_catalog.pg_class WHERE relkind OPERATOR(pg_catalog.<>) 't' GROUP BY relname
        HAVING pg_catalog.bool_or(relnamespace OPERATOR(pg_catalog.=) {own})
          AND pg_catalog.bool_or(relpersistence OPERATOR(pg_catalog.<>) 't'
            AND relnamespace OPERATOR(pg_catalog.<>) {_INFORMATION_SCHEMA} AND relnamespace OPERATOR(pg_catalog.<>) {own})
      UNION ALL SELECT typname::pg_catalog.text FROM pg_catalog.pg_type WHERE typrelid OPERATOR(pg_catalog.=) 0 GROUP BY typname
        HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 1
          AND pg_catalog.bool_or(typnamespace OPERATOR(pg_catalog.=) {own} AND typelem OPERATOR(pg_catalog.=) 0)
      ) AS hiding(name) WHERE NOT ({unmentioned}) OPERATOR(pg_catalog.?) name;
    IF setting IS NOT NULL THEN
      RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = pg_catalog.concat('temporary ', setting,
        ' of this step has the name of another object; the next step has its own session and would reach that one'),
        HINT = 'drop it at the end of this step, or give it another name';
    END IF;
  END IF;
"""


_INFORMATION_SCHEMA = "'information_schema'::pg_catalog.regnamespace"


def _changed_defaults_sql(names: str) -> str:
    """PL/pgSQL that raises if this transaction changed one of the settings for new connections (ALTER ROLE, DATABASE)."""
    return f"""  SELECT pg_catalog.string_agg(DISTINCT name, ', ') INTO setting FROM pg_catalog.pg_db_role_setting,
    pg_catalog.unnest(setconfig) AS stored(config), pg_catalog.split_part(config, '=', 1) AS name
    WHERE pg_catalog.age(xmin) OPERATOR(pg_catalog.<=) 0 AND ({names}) OPERATOR(pg_catalog.?) pg_catalog.lower(name)
      AND (setrole OPERATOR(pg_catalog.=) 0 OR setrole::pg_catalog.regrole::pg_catalog.text OPERATOR(pg_catalog.=)
        pg_catalog.quote_ident(session_user::pg_catalog.text))
      AND setdatabase OPERATOR(pg_catalog.=) ANY (SELECT oid FROM pg_catalog.pg_database
        WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database() UNION ALL SELECT 0);
  IF setting IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = pg_catalog.concat('this step changes ', setting,
      ' for new connections, and the next step may run in one'), HINT = 'put it at the end of the file, or in one of its own';
  END IF;
"""


def next_session_check_sql(step: Step) -> str:
    """`check_carried_sql` of a step and the file's next one; "" for the last."""
    if step.next_session is None:
        return ""
    return check_carried_sql(
        f"{json_literal(compared_settings(step))}::pg_catalog.jsonb",
        f"{json_literal(list(step.next_session.statements))}::pg_catalog.jsonb",
        f"{json_literal(list(step.unmentioned))}::pg_catalog.jsonb",
    )
