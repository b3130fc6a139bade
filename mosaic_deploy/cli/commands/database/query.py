"""Checks queries before they are sent, and puts line and column into their errors. Used by `sql` and the agents' tools."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mosaic_deploy.errors import Location, RequestRefused, SqlFailed, SqlInvalid, SqlNotReadOnly
from mosaic_deploy.sql.call_stack import locate_calls, parse_context
from mosaic_deploy.sql.locate import locate_error
from mosaic_deploy.sql.parse import SqlSyntaxError, Statement, line_and_column, parse
from mosaic_deploy.sql.read_only import NotReadOnly, ReadOnlyQuery, read_only_query
from mosaic_deploy.sql.single_call import has_lasting_effect, unfinished_transaction


def prepare_read_only_query(
    query: str, name: str, limit: int, size: int | None = None, *, is_file: bool = False
) -> ReadOnlyQuery:
    """The query to send for the first `limit` rows of `query`, at most `size` bytes. Messages call it `name`.

    Raises SqlNotReadOnly, SqlInvalid; the error has a location if `name` is a file.
    """
    try:
        return read_only_query(query, limit, size)
    except (NotReadOnly, SqlSyntaxError) as error:
        where = None if error.offset is None else Location(name, *line_and_column(query, error.offset))
        message = f"{where}: {error.message}" if where else error.message
        location = where if is_file else None
        if isinstance(error, SqlSyntaxError):
            raise SqlInvalid(message, location=location, hint="nothing was sent; fix the SQL") from None
        hint = "read-only mode accepts a single SELECT, EXPLAIN or SHOW"
        raise SqlNotReadOnly(message, location=location, hint=hint) from None


def check_single_call(query: str, name: str, *, is_file: bool = False) -> bool:
    """Whether anything of the query outlasts its call. Messages call it `name`.

    Raises SqlInvalid for a transaction that the query begins and doesn't end: PostgreSQL would undo it.
    """
    try:
        statements = parse(query)
    except SqlSyntaxError:
        return True  # PostgreSQL reports it, and a newer one may accept it
    if begin := unfinished_transaction(statements):
        where = Location(name, *line_and_column(query, begin.offset))
        message = "this transaction is never committed, so PostgreSQL would undo it when the call ends"
        raise SqlInvalid(
            message if is_file else f"{where}: {message}",
            location=where if is_file else None,
            hint="end the SQL with COMMIT (or ROLLBACK, to try it without effect); nothing was sent",
        )
    return has_lasting_effect(statements)


_TOO_LARGE_HINT = "or use `mosaic-deploy psql`"


@contextmanager
def locating_errors(query: str, sent: str, name: str, *, is_file: bool = False) -> Iterator[None]:
    """Adds line and column in `query` to PostgreSQL's error about `sent`, which was made from it.

    They become the error's location if `name` is a file, else part of its message. A query or a result that is too
    large for the platform gets a hint.
    """
    try:
        yield
    except RequestRefused as error:
        if error.too_large:
            is_result = "result" in error.message
            error.message = f"{name}: {error.message}"
            error.hint = f"{'select fewer rows' if is_result else 'split the SQL'}, {_TOO_LARGE_HINT}"
        raise
    except SqlFailed as error:
        error.calls = tuple(frame.text for frame in parse_context(error.context))
        offset = _error_offset(query, sent, error)
        if offset is not None:
            where = Location(name, *line_and_column(query, offset))
            if is_file:
                error.location = where
            else:
                error.message = f"{where}: {error.message}"
        raise


def _offset_before_change(query: str, sent: str, offset: int, last: Statement) -> int | None:
    """The offset in `query` of a character of `sent`, in which something is put around the `last` statement."""
    if sent == query:
        return min(offset, len(query))
    before = query[: last.offset]
    begin = len(before) if sent.startswith(before) else 0
    if offset < begin:
        return offset
    inside = offset - sent.find(last.text, begin)
    return last.offset + inside if 0 <= inside <= len(last.text) else None


def _error_offset(query: str, sent: str, error: SqlFailed) -> int | None:
    """The offset in `query` in characters from 0, None if it isn't known."""
    try:
        statements = parse(query)
    except SqlSyntaxError as problem:
        return problem.offset
    if error.position is not None:
        return _offset_before_change(query, sent, error.position - 1, statements[-1])
    if len(statements) != 1:
        return None
    place = locate_calls(statements, 0, parse_context(error.context), error.message).offset
    return (
        place if place is not None else statements[0].offset + locate_error(statements[0].text, error.message)
    )
