"""What a rule is: one code, one severity, one small function over the parse tree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mosaic_deploy.model.hazard import Danger
from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.syntax.trees import Act


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule saw. `table` and `reaches` as in Hazard. `at` is a byte location of the parse tree, None for the statement.

    `severity` is set where this finding is not of the rule's own severity.
    """

    message: str
    object: str
    table: str = ""
    at: int | None = None
    severity: Danger | None = None
    reaches: tuple[str, ...] = ()


Check = Callable[[Act, Scope], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Rule:
    """`kinds` are the parse tree's root nodes that `check` wants to see; `instead` is what to write."""

    code: str
    severity: Danger
    kinds: frozenset[str]
    check: Check
    instead: str
