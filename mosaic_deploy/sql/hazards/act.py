"""One thing that a statement does."""

from __future__ import annotations

from dataclasses import dataclass, field

from mosaic_deploy.sql.parse import Statement, Tree

DYNAMIC = "DynamicSql"
"""The kind of an act whose SQL is made as it runs; its node has `text`, what can be seen of it."""
CALL = "Call"
"""The kind of an act that calls a function; its node is the FuncCall's."""
UNREAD = "UnreadRoutine"
"""The kind of an act that runs a function whose body can't be read."""
WRITES = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that a statement does. `unit` is the number of the transaction it happens in, across all files.

    `certain` is false where it may not happen, or be undone: inside a DO block, before ROLLBACK TO. `at` is a place
    in the file in characters, None where the node's own byte locations are the file's. `via` says what makes it
    happen, to be put before the words of a finding; `later` is true where that is still to come.
    """

    kind: str
    node: Tree
    unit: int
    certain: bool = True
    at: int | None = None
    via: str = ""
    later: bool = False
    source: Statement | None = field(default=None, compare=False, repr=False)
    """The statement that it is, or is a part of."""
