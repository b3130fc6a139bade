"""The settings of a migration's session: what a step starts with, and how statements change it.

psql runs a file in one session, so a SET lasts to the file's end. We send each step in a session of its own, which
begins with the settings of the steps before it: `SessionState.statements`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby

from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.session.assignments import (
    ALL_SETTINGS,
    ROLE_SETTINGS,
    WHOLE_SESSION,
    Assignment,
    assignments,
)

SEARCH_PATH = "search_path"
TIME_LIMITS = frozenset({"statement_timeout", "transaction_timeout"})
"""Settings that PostgreSQL applies to the statements that the client sends, so not inside a DO block."""


@dataclass(frozen=True, slots=True)
class SessionState:
    """The assignments that lead from a new session to this one, in order."""

    assigned: tuple[Assignment, ...] = ()

    @property
    def statements(self) -> tuple[str, ...]:
        """SQL that sets a new session's settings to these."""
        # A SELECT that sets several settings stands there once for each.
        return tuple(sql for sql, _ in groupby(one.sql for one in self.assigned) if sql)

    def of(self, name: str) -> Assignment | None:
        """The assignment that `name` has its value from; None if it has the connection's own."""
        for one in reversed(self.assigned):
            if one.name == name:
                return one if one.computed or one.values is not None else None
            if one.name == ALL_SETTINGS and name not in ROLE_SETTINGS:
                return None
        return None

    @property
    def search_path(self) -> tuple[str, ...] | None:
        """The search path that the file sets; None if it is the connection's own, or computed."""
        found = self.of(SEARCH_PATH)
        return found.values if found else None

    @property
    def has_time_limit(self) -> bool:
        return any(one.name in TIME_LIMITS for one in self.assigned)

    def after(self, assignment: Assignment) -> SessionState:
        """The state after an assignment to the session."""
        if assignment.name == WHOLE_SESSION:
            return SessionState()
        if any(one.computed or one.name in ROLE_SETTINGS for one in (*self.assigned, assignment)):
            return self._appended(assignment)
        # Only constants: what is set again is forgotten.
        if assignment.name == ALL_SETTINGS:
            return SessionState()
        kept = tuple(one for one in self.assigned if one.name != assignment.name)
        resets = assignment.values is None and not assignment.computed
        return SessionState(kept if resets else (*kept, assignment))

    def _appended(self, assignment: Assignment) -> SessionState:
        """With an order that matters: a computed value depends on earlier ones, and a role on what it may set."""
        kept = self.assigned
        if kept and kept[-1].name == assignment.name and not assignment.computed:
            kept = kept[:-1]
        resets = assignment.values is None and not assignment.computed
        known = any(one.name in (assignment.name, ALL_SETTINGS) for one in kept)
        if resets and not known and assignment.name != ALL_SETTINGS:
            return SessionState(kept)
        return SessionState((*kept, assignment))


NEW_SESSION = SessionState()


@dataclass(frozen=True, slots=True)
class TransactionState:
    """The settings within a transaction: `current` holds now, `kept` after a commit.

    `savepoints` are (name, kept, current), the newest last.
    """

    kept: SessionState
    current: SessionState
    savepoints: tuple[tuple[str, SessionState, SessionState], ...] = ()

    @staticmethod
    def begun_in(state: SessionState) -> TransactionState:
        return TransactionState(state, state)

    def after(self, statement: Statement) -> TransactionState:
        """The state after a statement of the transaction."""
        if statement.kind == "TransactionStmt":
            return self._after_savepoint(statement)
        found = self
        for one in assignments(statement):
            found = replace(
                found,
                kept=found.kept if one.local else found.kept.after(one),
                current=found.current.after(one),
            )
        return found

    def _after_savepoint(self, statement: Statement) -> TransactionState:
        kind, name = statement.node.get("kind"), str(statement.node.get("savepoint_name", ""))
        if kind == "TRANS_STMT_SAVEPOINT":
            return replace(self, savepoints=(*self.savepoints, (name, self.kept, self.current)))
        index = max((i for i, one in enumerate(self.savepoints) if one[0] == name), default=None)
        if index is None:
            return self
        if kind == "TRANS_STMT_RELEASE":
            return replace(self, savepoints=self.savepoints[:index])
        _, kept, current = self.savepoints[index]
        return TransactionState(kept, current, self.savepoints[: index + 1])
