"""Mistakes found in an SQL file before it is parsed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mistake:
    """`offset` is its position in characters from 0."""

    message: str
    offset: int
    hint: str | None = None


class ScriptInvalid(Exception):
    """A file that can't be applied as written, with all its mistakes."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__(mistakes[0].message)
        self.mistakes = tuple(mistakes)
