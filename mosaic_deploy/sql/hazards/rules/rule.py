"""The types of a rule and of what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mosaic_deploy.model.hazard import HazardSeverity
from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.syntax.trees import Effect


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found. `table` and `cascades_to` are as in Hazard.

    `byte_location` is a location in the parse tree, None for the whole statement; `severity` and `instead` override
    the rule's.
    """

    message: str
    object: str
    table: str = ""
    byte_location: int | None = None
    severity: HazardSeverity | None = None
    cascades_to: tuple[str, ...] = ()
    parents: frozenset[str] = frozenset()
    """As in TouchedTables."""
    instead: str = ""
    schema: str = ""
    """As in Hazard."""


UNREPORTED_LOCK, UNREPORTED_ROWS = "unreported_lock", "unreported_rows"
FROM_REHEARSALS = frozenset({UNREPORTED_LOCK, UNREPORTED_ROWS})
"""The rules whose findings come from a rehearsal."""
Check = Callable[[Effect, Scope], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Rule:
    """`kinds` are the effect kinds that `check` is called with; `instead` is the safe way, in a few words.

    A rule that is checked `at_end` sees the scope as it is after the last file.
    """

    code: str
    severity: HazardSeverity
    kinds: frozenset[str]
    check: Check
    instead: str
    at_end: bool = False
