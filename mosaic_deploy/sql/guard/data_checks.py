"""Comments `-- mosaic-check: SELECT …; message` in a migration: what must be true of the data before it runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mosaic_deploy.sql.parse import SqlSyntaxError, Statement, parse
from mosaic_deploy.sql.quote import dollar_quote, literal
from mosaic_deploy.sql.scripts.scan import scan
from mosaic_deploy.sql.tree import walk

CHECK_FAILED = "MD002"
"""The SQLSTATE that a check raises."""
_UNDO = "MD003"
_COMMENT = re.compile(
    r"^[ \t]*--[ \t]*mosaic-checks?\b[ \t]*:?[ \t]*(.*?)[ \t\r]*$", re.MULTILINE | re.IGNORECASE
)
_WRITES = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "LockingClause"})
_EXAMPLE = "write -- mosaic-check: SELECT NOT EXISTS (SELECT FROM …); and what to do if it isn't true"


class CheckInvalid(Exception):
    """A check that isn't one query. `offset` is its position in the file in characters."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message, self.offset = f"{message}; {_EXAMPLE}", offset


@dataclass(frozen=True, slots=True)
class DataCheck:
    """One comment at `offset` in the file: a query whose first value must be true, and the message if it isn't."""

    query: str
    message: str
    offset: int

    def as_statement(self) -> Statement:
        """A DO block that raises CHECK_FAILED. What functions of the query write or set is undone: a rehearsal makes no checks,
        so the step must not depend on that."""
        said = self.message or self.query
        body = (
            f"DECLARE holds pg_catalog.bool; BEGIN BEGIN EXECUTE {dollar_quote(self.query, 'mosaic_query')} INTO holds; "
            f"RAISE EXCEPTION SQLSTATE '{_UNDO}'; EXCEPTION WHEN SQLSTATE '{_UNDO}' THEN NULL; END; IF holds IS NOT TRUE THEN RAISE EXCEPTION USING ERRCODE = '{CHECK_FAILED}', "
            f"MESSAGE = {literal(f'check failed: {said}')}; END IF; END"
        )
        return Statement("DO " + dollar_quote(body, "mosaic_check"), self.offset, {"DoStmt": {}})


def data_checks(text: str, statements: Sequence[Statement]) -> tuple[DataCheck, ...]:
    """The checks between a file's statements, in order. Raises CheckInvalid."""
    if "mosaic-check" not in text.lower():
        return ()
    blocks = scan(text).blocks
    return tuple(
        _read_check(found.group(1), found.start(1))
        for start, end in _gaps(text, statements)
        for found in _COMMENT.finditer(text, start, end)
        if not any(block.start < found.start(1) < block.end for block in blocks)
    )


def _gaps(text: str, statements: Sequence[Statement]) -> Iterator[tuple[int, int]]:
    end = 0
    for statement in statements:
        yield end, max(end, statement.offset)
        end = statement.offset + len(statement.text)
    yield end, len(text)


def _read_check(content: str, offset: int) -> DataCheck:
    ends = [at for at, character in enumerate(content) if character == ";"] or [len(content)]
    for end in ends:
        try:
            found = parse(content[:end])
        except SqlSyntaxError:
            continue
        if len(found) != 1 or found[0].kind != "SelectStmt":
            break
        if "intoClause" in found[0].node or any(kind in _WRITES for kind, _ in walk(found[0].tree)):
            raise CheckInvalid("a check only reads", offset)
        return DataCheck(content[:end].strip(), content[end + 1 :].strip(), offset)
    raise CheckInvalid("a check is one SELECT on one line", offset)
