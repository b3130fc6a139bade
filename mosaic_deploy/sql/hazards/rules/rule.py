"""What a rule is: one code, one severity, one small function over the parse tree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mosaic_deploy.model.hazard import HazardSeverity
from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.syntax.trees import Effect


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule saw. `table` and `cascades_to` as in Hazard. `byte_location` is a byte location of the parse tree, None for the statement.

    `severity` is set where this finding is not of the rule's own severity.
    """

    message: str
    object: str
    table: str = ""
    byte_location: int | None = None
    severity: HazardSeverity | None = None
    cascades_to: tuple[str, ...] = ()


Check = Callable[[Effect, Scope], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Rule:
    """`kinds` are the parse tree's root nodes that `check` wants to see; `instead` is what to write."""

    code: str
    severity: HazardSeverity
    kinds: frozenset[str]
    check: Check
    instead: str
