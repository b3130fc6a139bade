"""A statement sent in place of the one in the file."""

from __future__ import annotations

from mosaic_deploy.sql.parse import Statement


class Substitute(Statement):
    """`text` isn't the file's, so every position in it is that of the file's statement. `tree` is the file's."""

    __slots__ = ()

    def file_offset(self, at: int) -> int:
        del at
        return self.offset


def substitute(statement: Statement, text: str) -> Substitute:
    return Substitute(text, statement.offset, statement.tree, statement.first_byte)
