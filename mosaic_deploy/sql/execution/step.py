"""One unit of one migration as it is sent, and places in what is sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from mosaic_deploy.sql.execution.units import Unit


class Purpose(StrEnum):
    """What a step is for, and so how the ledger tells that it is done."""

    APPLY = "apply"
    """A migration's way up: its row is there."""
    ROLLBACK = "undo"
    """A migration's way down: its row is gone."""
    SEED = "seed"
    """A seed file: its content's digest is there."""


@dataclass(frozen=True, slots=True)
class Step:
    """One unit of one migration, ready to run. `number` counts the file's units from 1.

    `semantic` is the checksum of the file's units up to this one, `semantic_before` of those before it.
    """

    version: str
    file: str
    checksum: str
    semantic: str
    semantic_before: str
    source: str
    number: int
    units: int
    unit: Unit
    purpose: Purpose = Purpose.APPLY
    size: int = 0
    """A seed's bytes."""


@dataclass(frozen=True, slots=True)
class StatementPosition:
    """A place in a step: its statement, counted from 1 (0 where it isn't known), and a character from 0 in that."""

    step: Step
    statement: int
    offset: int


class CompiledSql:
    """Several statements as one text that still knows where each of them came from."""

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
        """The beginnings of the statements that were added with their place."""
        return [place for _, place in self._starts]

    def position_of(self, position: int | None) -> StatementPosition | None:
        """Where PostgreSQL's `position` (characters from 1 in the text) is, if it gave one in such a statement."""
        for start, place in reversed(self._starts):
            offset = (position or 0) - 1 - start
            if 0 <= offset < len(place.step.unit.statements[place.statement - 1].text):
                return StatementPosition(place.step, place.statement, offset)
        return None


_SEPARATOR = "\n;\n"
"""A statement may end in a line comment, so the semicolon gets a line of its own."""


@dataclass(frozen=True, slots=True)
class SqlSession:
    """What every call carries: the fencing token, the deploy's id, and the timeouts (PostgreSQL's syntax)."""

    token: str
    deploy_id: str
    lock_timeout: str | None = None
    statement_timeout: str | None = None

    @property
    def timeouts(self) -> Iterator[tuple[str, str]]:
        """The timeouts that are set, as PostgreSQL's settings."""
        if self.lock_timeout:
            yield "lock_timeout", self.lock_timeout
        if self.statement_timeout:
            yield "statement_timeout", self.statement_timeout
