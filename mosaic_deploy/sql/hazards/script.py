"""The input of a review, and its result."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from mosaic_deploy.errors import Location
from mosaic_deploy.model.hazard import Hazard
from mosaic_deploy.sql.execution.split import StepSql
from mosaic_deploy.sql.hazards.declared_updates import DeclaredUpdate
from mosaic_deploy.sql.hazards.effects.expected import StepWrites
from mosaic_deploy.sql.hazards.effects.unknown_names import UnknownName
from mosaic_deploy.sql.hazards.live_objects import ObjectRef


@dataclass(frozen=True)
class Script:
    """One migration file: its displayed name, its whole text, and its steps.

    The first `done` steps are committed already: they update the scope but yield no findings.
    """

    file: str
    text: str
    steps: tuple[StepSql, ...]
    done: int = 0
    declared: tuple[DeclaredUpdate, ...] = ()

    def location(self, offset: int) -> Location:
        """The location of the character at `offset`."""
        line = bisect_right(self._starts, offset)
        start = self._starts[line - 1]
        end = self.text.find("\n", start)
        text = self.text[start : len(self.text) if end < 0 else end].rstrip("\r")
        return Location(self.file, line, offset - start + 1, text)

    @cached_property
    def _starts(self) -> list[int]:
        """The offset of each line's first character."""
        starts = [0]
        while at := self.text.find("\n", starts[-1]) + 1:
            starts.append(at)
        return starts


@dataclass(frozen=True, slots=True)
class Review:
    """The hazards in the order of the files, and the live objects that the rules asked about."""

    hazards: tuple[Hazard, ...]
    lookups: frozenset[ObjectRef]
    destroyed: tuple[tuple[str, ...], ...] = ()
    """For each script, the live objects that it drops for good: `table old`, `column books.fax`."""
    writes: tuple[Mapping[int, StepWrites], ...] = ()
    """For each script, what its steps are expected to do, by their numbers from 1."""
    unknown: tuple[tuple[UnknownName, Location], ...] = ()
    """Tables and columns that can't exist, and where they are named."""
