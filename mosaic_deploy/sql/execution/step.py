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
    UNDO = "undo"
    """A migration's way down: its row is gone."""
    SEED = "seed"
    """A seed file: its content's digest is there."""


@dataclass(frozen=True, slots=True)
class Step:
    """One unit of one migration, ready to run. `number` counts the file's units from 1.

    `semantic` is the checksum of the file's units up to this one, `before` of those before it.
    """

    version: str
    file: str
    checksum: str
    semantic: str
    before: str
    source: str
    number: int
    units: int
    unit: Unit
    purpose: Purpose = Purpose.APPLY
    size: int = 0
    """A seed's bytes."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a step: its statement, counted from 1 (0 where it isn't known), and a character from 0 in that."""

    step: Step
    statement: int
    offset: int


class Compiled:
    """Several statements as one text that still knows where each of them came from."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._starts: list[tuple[int, Place]] = []
        self._length = 0

    def add(self, *texts: str, place: Place | None = None) -> None:
        for text in texts:
            if place:
                self._starts.append((self._length, place))
            self._texts.append(text)
            self._length += len(text) + len(_BETWEEN)

    @property
    def text(self) -> str:
        return _BETWEEN.join(self._texts)

    @property
    def places(self) -> list[Place]:
        """The beginnings of the statements that were added with their place."""
        return [place for _, place in self._starts]

    def place(self, position: int | None) -> Place | None:
        """Where PostgreSQL's `position` (characters from 1 in the text) is, if it gave one in such a statement."""
        for start, place in reversed(self._starts):
            offset = (position or 0) - 1 - start
            if 0 <= offset < len(place.step.unit.statements[place.statement - 1].text):
                return Place(place.step, place.statement, offset)
        return None


_BETWEEN = "\n;\n"
"""A statement may end in a line comment, so the semicolon gets a line of its own."""


@dataclass(frozen=True, slots=True)
class Session:
    """What every call carries: the fencing token, the deploy's id, and the timeouts (PostgreSQL's syntax)."""

    token: str
    deploy_id: str
    lock_timeout: str | None = None
    statement_timeout: str | None = None

    @property
    def limits(self) -> Iterator[tuple[str, str]]:
        """The timeouts that are set, as PostgreSQL's settings."""
        if self.lock_timeout:
            yield "lock_timeout", self.lock_timeout
        if self.statement_timeout:
            yield "statement_timeout", self.statement_timeout
