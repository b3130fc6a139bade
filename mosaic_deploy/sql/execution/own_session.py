"""PL/pgSQL that keeps a connection's own settings apart from a migration's: many calls may share one connection.

`mosaic_own` is a jsonb variable: the role, the search_path and the session's user that the connection had (a pooler may have
set them). Between the statements of one call it is kept in a setting.
"""

from __future__ import annotations

from mosaic_deploy.sql.quote import literal

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
