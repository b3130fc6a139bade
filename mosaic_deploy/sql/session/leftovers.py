"""What a step leaves in its session besides settings, and how to undo that: the next migration may share it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.quote import identifier

_HOLD = 32
"""CURSOR_OPT_HOLD of PostgreSQL's parsenodes.h."""
_WORDS = ("prepare", "listen", "declare", "deallocate", "close", "advisory")
ADVISORY = "advisory lock"


@dataclass(frozen=True, slots=True)
class SessionObject:
    """Something in a session. `name` is as in the statement, empty for advisory locks."""

    kind: str
    name: str
    offset: int

    @property
    def undo_sql(self) -> str:
        if self.kind == ADVISORY:
            return "SELECT pg_catalog.pg_advisory_unlock_all()"
        return f"{_UNDO[self.kind]} {identifier(self.name)}"


_UNDO = {"prepared statement": "DEALLOCATE", "cursor": "CLOSE", "LISTEN": "UNLISTEN"}


def session_objects(statements: Sequence[Statement]) -> tuple[SessionObject, ...]:
    """The prepared statements, channels, cursors WITH HOLD and advisory locks that these statements leave behind."""
    found: dict[tuple[str, str], SessionObject] = {}
    for statement in statements:
        for created, one in _changes(statement):
            if created:
                found[one.kind, one.name] = one
            else:
                for key in [k for k in found if k[0] == one.kind and one.name in ("", k[1])]:
                    del found[key]
    return tuple(found.values())


def leftovers(statements: Sequence[Statement]) -> tuple[str, ...]:
    """SQL that removes what the statements leave behind."""
    left = {one.undo_sql for one in session_objects(statements)}
    # An unlock releases one lock, and which is often computed. So once one was taken, all are released.
    locks = (one for statement in statements for taken, one in _changes(statement) if taken)
    left.update(one.undo_sql for one in locks if one.kind == ADVISORY)
    return tuple(sorted(left))


def _changes(statement: Statement) -> Iterator[tuple[bool, SessionObject]]:
    """(whether it is created, object); one without a name stands for all of its kind."""
    lowered = statement.text.lower()
    if not any(word in lowered for word in _WORDS):
        return
    kind, node, at = statement.kind, statement.node, statement.offset
    if kind in ("PrepareStmt", "DeallocateStmt"):
        yield kind == "PrepareStmt", SessionObject("prepared statement", str(node.get("name", "")), at)
    elif kind in ("ListenStmt", "UnlistenStmt"):
        yield kind == "ListenStmt", SessionObject("LISTEN", str(node.get("conditionname", "")), at)
    elif kind == "DeclareCursorStmt" and int(node.get("options", 0)) & _HOLD:
        yield True, SessionObject("cursor", str(node.get("portalname", "")), at)
    elif kind == "ClosePortalStmt":
        yield False, SessionObject("cursor", str(node.get("portalname", "")), at)
    elif kind == "SelectStmt" and "pg_advisory_unlock" in lowered:
        yield False, SessionObject(ADVISORY, "", at)
    elif kind == "SelectStmt" and any(name in lowered for name in _LOCKING):
        yield True, SessionObject(ADVISORY, "", at)


_LOCKING = ("pg_advisory_lock", "pg_try_advisory_lock")
"""Locks that a session keeps until it ends; pg_advisory_xact_lock is the transaction's."""


def used_object(statement: Statement) -> tuple[str, str] | None:
    """(kind, name) of the prepared statement or cursor that the statement uses; None for others."""
    if statement.kind in ("ExecuteStmt", "DeallocateStmt"):
        return "prepared statement", str(statement.node.get("name", ""))
    uses_cursor = statement.kind in ("FetchStmt", "ClosePortalStmt")
    return ("cursor", str(statement.node.get("portalname", ""))) if uses_cursor else None
