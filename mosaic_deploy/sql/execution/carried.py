"""Checks, at the end of a step, that the file's next step begins with the settings that this one leaves.

What SET and SELECT set_config set is known from the text. A function, a trigger, a default or a view may set more, which
only the session shows.
"""

from __future__ import annotations

from mosaic_deploy.sql.execution.own_session import RESTORE_OWN
from mosaic_deploy.sql.execution.step import Step
from mosaic_deploy.sql.session.assignments import assignments

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


def check_carried_sql(names: str, statements: str) -> str:
    """PL/pgSQL that raises if the settings aren't those that `statements` set in a new session.

    Both are SQL expressions of a JSON array: the `compared_settings`, and the statements with which the next step's session
    begins. Requires CARRIED_VARIABLES and DECLARE_OWN.
    """
    read = (
        "pg_catalog.jsonb_object_agg(name, COALESCE(pg_catalog.current_setting(name, true), '')) INTO {} "
        f"FROM pg_catalog.jsonb_array_elements_text({names}) AS one(name)"
    )
    return f"""  SELECT {read.format("settings_left")};
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
