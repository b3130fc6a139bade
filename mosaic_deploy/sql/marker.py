"""The mark of our SQL in PostgreSQL's messages: `mosaic-deploy:{json}`."""

from __future__ import annotations

MARKER = "mosaic-deploy:"
SPLIT_MARKER = "'mosaic-', 'deploy:'"
"""MARKER in two parts, so a platform that echoes the query in its error doesn't seem to raise it."""

STATEMENT_FAILED = "statement_failed"
"""The code of a marked error that repeats an error of PostgreSQL's, with the statement that raised it."""
RESEND = "resend"
"""The code of a marked error: another transaction may have committed meanwhile, which this one can't see. Nothing was run."""


def raise_with_facts_sql(facts: str) -> str:
    """PL/pgSQL that raises the JSON text of the SQL expression `facts`."""
    return f"RAISE EXCEPTION USING MESSAGE = pg_catalog.concat({SPLIT_MARKER}, {facts});"
