"""A file's statements, with COPY rows as INSERTs."""

from __future__ import annotations

from collections.abc import Mapping

from mosaic_deploy.sql.parse import SqlSyntaxError, Statement, parse, shifted
from mosaic_deploy.sql.scripts.copy_batches import CopyBatch, copy_batches
from mosaic_deploy.sql.scripts.copy_options import read_copy_options
from mosaic_deploy.sql.scripts.extensions import adapt_extension
from mosaic_deploy.sql.scripts.mistakes import Mistake, ScriptInvalid
from mosaic_deploy.sql.scripts.outside_rows import OutsideRows, outside_batches
from mosaic_deploy.sql.scripts.psql import PsqlScript, read_psql_script
from mosaic_deploy.sql.scripts.scan import CopyRows


def read_statements(text: str, outside: Mapping[int, OutsideRows]) -> tuple[list[Statement], list[Mistake]]:
    """The statements of a file as psql reads it, and its commands of psql's and COPY rows that can't be sent.

    `outside` are rows that aren't in the text, by the offset at which they would start.
    Raises SqlSyntaxError for a file without such mistakes, ScriptInvalid for one with both.
    """
    script = read_psql_script(text)
    mistakes = list(script.mistakes)
    try:
        return _statements(text, script, mistakes, outside), mistakes
    except SqlSyntaxError:
        if mistakes:
            raise ScriptInvalid(mistakes) from None
        raise


def _statements(
    text: str, script: PsqlScript, mistakes: list[Mistake], outside: Mapping[int, OutsideRows]
) -> list[Statement]:
    statements: list[Statement] = []
    for number, (part, start) in enumerate(script.parts):
        try:
            found = parse(part)
        except SqlSyntaxError as error:
            offset = None if error.offset is None else error.offset + start
            raise SqlSyntaxError(error.message, offset) from None
        statements += [adapt_extension(shifted(one, start) if start else one) for one in found]
        if number < len(script.copies):
            statements.pop()
            try:
                statements += _batches(text, script.copies[number], outside)
            except ScriptInvalid as invalid:
                mistakes += invalid.mistakes
    return statements


def _batches(text: str, copy: CopyRows, outside: Mapping[int, OutsideRows]) -> list[CopyBatch]:
    options = read_copy_options(copy.statement)
    if isinstance(options, Mistake):
        raise ScriptInvalid([options])
    if rows := outside.get(copy.start):
        return list(outside_batches(rows, copy, options))
    return list(copy_batches(text, copy, options))
