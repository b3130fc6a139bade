"""Queries of people and agents: only reading where that was promised, and with the place of what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mosaic_deploy.errors import Location, SqlFailed, SqlNotReadOnly
from mosaic_deploy.sql.locate import locate_error
from mosaic_deploy.sql.parse import SqlSyntaxError, line_and_column, parse
from mosaic_deploy.sql.read_only import NotReadOnly, ReadOnlyQuery, read_only_query


def reading(
    query: str, name: str, limit: int, size: int | None = None, *, is_file: bool = False
) -> ReadOnlyQuery:
    """What to ask for the first `limit` rows of `query`, and of `size` bytes; it is called `name` in messages.

    Only where `name` is a file's the error has it as its location, too. Raises SqlNotReadOnly.
    """
    try:
        return read_only_query(query, limit, size)
    except (NotReadOnly, SqlSyntaxError) as error:
        where = None if error.offset is None else Location(name, *line_and_column(query, error.offset))
        message = f"{where}: {error.message}" if where else error.message
        hint = "one SELECT, EXPLAIN or SHOW is taken where nothing may be written"
        raise SqlNotReadOnly(message, location=where if is_file else None, hint=hint) from None


@contextmanager
def locating_errors(query: str, sent: str, name: str, *, is_file: bool = False) -> Iterator[None]:
    """PostgreSQL's refusal of `sent`, which was made of `query`, gets its place in `query`, called `name`: as its
    location where that is a file's, else in its message.
    """
    try:
        yield
    except SqlFailed as error:
        offset = _error_offset(query, sent, error)
        if offset is not None:
            where = Location(name, *line_and_column(query, offset))
            if is_file:
                error.location = where
            else:
                error.message = f"{where}: {error.message}"
        raise


def _error_offset(query: str, sent: str, error: SqlFailed) -> int | None:
    """Where in `query`, in characters from 0; None where it can't be told."""
    try:
        statements = parse(query)
    except SqlSyntaxError as problem:
        return problem.offset
    if error.position is not None:
        if sent == query:
            return min(error.position - 1, len(query))
        inside = error.position - 1 - sent.find(statements[0].text)
        return statements[0].offset + inside if 0 <= inside <= len(statements[0].text) else None
    if len(statements) != 1:
        return None
    return statements[0].offset + locate_error(statements[0].text, error.message)
