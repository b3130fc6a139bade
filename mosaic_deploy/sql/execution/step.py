"""Steps ready to run, the session they run in, and positions in compiled SQL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from mosaic_deploy.sql.execution.split import StepSql
from mosaic_deploy.sql.guard.agreement import NOTHING_AGREED, Agreement, Existing
from mosaic_deploy.sql.guard.rehearsed import NOTHING_READ, NOTHING_TOUCHED, SchemaReader, TouchedNames
from mosaic_deploy.sql.quote import literal
from mosaic_deploy.sql.session.state import SessionState


class Purpose(StrEnum):
    """What a step is for, which decides how the ledger shows that it is done."""

    APPLY = "apply"
    """Applies a migration: done if its row exists."""
    ROLLBACK = "undo"
    """Runs a down migration: done if the row is gone."""
    SEED = "seed"
    """Runs a seed file: done if a row has its content's digest."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a migration, ready to run. `number` counts the file's steps from 1.

    `semantic` is the checksum of the steps up to and including this one, `semantic_before` of those before it.
    `source` is the file's text, or None if the ledger has it from an earlier step.
    """

    version: str
    file: str
    checksum: str
    semantic: str
    semantic_before: str
    source: str | None
    number: int
    steps: int
    sql: StepSql
    purpose: Purpose = Purpose.APPLY
    size: int = 0
    """A seed file's size in bytes."""
    next_session: SessionState | None = None
    """The settings that the file's next step starts with; None for its last step."""
    unmentioned: tuple[str, ...] = ()
    """Temporary objects of its statements that no later step can mean."""
    manifest: str = ""
    """The manifest whose seed it is."""
    repeatable: bool = False
    """Whether a seed is a repeatable file, whose text is recorded."""
    agreed: Agreement = NOTHING_AGREED
    """What it may do to what existed before the run."""
    touches: TouchedNames = NOTHING_TOUCHED
    """What it touched in a rehearsal: compared before it runs."""

    @property
    def facts_sql(self) -> str:
        """Arguments for json_build_object that say which step it is."""
        return f"'version', {literal(self.version)}, 'step', {self.number}"


@dataclass(frozen=True, slots=True)
class StatementPosition:
    """A position in a step: the statement from 1 (0 if unknown), and the character in it from 0."""

    step: Step
    statement: int
    offset: int


class CompiledSql:
    """Several statements as one text, with the origin of each."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._starts: list[tuple[int, StatementPosition]] = []
        self._length = 0

    def add(self, *texts: str, place: StatementPosition | None = None) -> None:
        for text in texts:
            if place:
                self._starts.append((self._length, place))
            self._texts.append(text)
            self._length += len(text) + len(_SEPARATOR)

    @property
    def text(self) -> str:
        return _SEPARATOR.join(self._texts)

    @property
    def positions(self) -> list[StatementPosition]:
        """The start positions of the statements that were added with a place."""
        return [place for _, place in self._starts]

    def position_of(self, position: int | None) -> StatementPosition | None:
        """The position for PostgreSQL's `position` (characters from 1 in the text), if it is in such a statement."""
        for start, place in reversed(self._starts):
            offset = (position or 0) - 1 - start
            if 0 <= offset < len(place.step.sql.statements[place.statement - 1].text):
                return StatementPosition(place.step, place.statement, offset)
        return None


_SEPARATOR = "\n;\n"
"""The semicolon is on its own line because a statement may end in a line comment."""


@dataclass(frozen=True, slots=True)
class SqlSession:
    """What every call needs: the lease's fencing token, the deploy's ID, and timeouts in PostgreSQL's syntax."""

    token: str
    deploy_id: str
    lock_timeout: str | None = None
    statement_timeout: str | None = None
    existing: Existing | None = None
    """What existed before the run, for the guard; None if no step is measured."""
    watched_oid: int | None = None
    """In a rehearsal, the largest OID of what existed before: locks on that are reported. None in an apply."""
    schema: SchemaReader = NOTHING_READ
    """How definitions are read, to compare them with a rehearsal."""

    @property
    def settings(self) -> Iterator[tuple[str, str]]:
        """(setting, value) of the timeouts that are set."""
        if self.lock_timeout:
            yield "lock_timeout", self.lock_timeout
        if self.statement_timeout:
            yield "statement_timeout", self.statement_timeout
