"""A query that a person or an agent promises only to read: made so, or refused with its place."""

from __future__ import annotations

from mosaic_deploy.errors import Location, SqlRefused
from mosaic_deploy.sql.parse import SyntaxProblem, line_and_column
from mosaic_deploy.sql.readonly import NotReadOnly, read_only


def reading(query: str, name: str, limit: int) -> str:
    """What to send for the first `limit` rows of `query`, called `name` in messages. Raises SqlRefused."""
    try:
        return read_only(query, limit)
    except (NotReadOnly, SyntaxProblem) as error:
        where = None if error.offset is None else Location(name, *line_and_column(query, error.offset))
        message = f"{where}: {error.message}" if where else error.message
        hint = "one SELECT, EXPLAIN or SHOW is taken where nothing may be written"
        raise SqlRefused(message, location=where, hint=hint) from None
