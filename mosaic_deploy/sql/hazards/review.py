"""Reading migrations for what would hurt: every statement past every rule, in the order they would run."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from mosaic_deploy.errors import Location
from mosaic_deploy.model.hazard import Danger, Hazard
from mosaic_deploy.model.manifest import PolicySpec
from mosaic_deploy.sql.execution.units import Unit
from mosaic_deploy.sql.hazards.effects.acts import acts, place
from mosaic_deploy.sql.hazards.effects.learn import learn
from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.effects.triggered import happening
from mosaic_deploy.sql.hazards.facts import Asked, Facts
from mosaic_deploy.sql.hazards.ignore import Ignore, Ignores, silencing
from mosaic_deploy.sql.hazards.rules.registry import BY_CODE, BY_KIND
from mosaic_deploy.sql.hazards.rules.rule import Finding, Rule
from mosaic_deploy.sql.hazards.syntax.trees import Act
from mosaic_deploy.sql.parse import Statement


@dataclass(frozen=True)
class Script:
    """One migration file: `file` as it is shown, its whole text, and its units.

    `done` units are committed already: they are read for what they made, and nothing is found in them.
    """

    file: str
    text: str
    units: tuple[Unit, ...]
    done: int = 0

    def location(self, offset: int) -> Location:
        """The place of a character."""
        line = bisect_right(self._starts, offset)
        start = self._starts[line - 1]
        end = self.text.find("\n", start)
        text = self.text[start : len(self.text) if end < 0 else end].rstrip("\r")
        return Location(self.file, line, offset - start + 1, text)

    @cached_property
    def _starts(self) -> list[int]:
        """Where each line begins."""
        starts = [0]
        while at := self.text.find("\n", starts[-1]) + 1:
            starts.append(at)
        return starts


@dataclass(frozen=True, slots=True)
class Review:
    """What was found, in the order of the files, and what would be worth knowing of the live database."""

    hazards: tuple[Hazard, ...]
    asked: frozenset[Asked]


def review(
    scripts: Sequence[Script],
    facts: Facts | None = None,
    *,
    together: bool = True,
    policy: PolicySpec | None = None,
) -> Review:
    """Reviews migrations in their order.

    `together`: they are all pending, so what an earlier one makes is nobody's yet. Otherwise each file is
    reviewed as the only pending one, the ones before it as applied, and a `mosaic-ignore` that silences
    nothing is a finding. `facts` are what is live; without them every object that the files haven't made
    counts as there. The `policy` doesn't judge here; it says which tables are watched more closely.
    """
    scope = Scope(facts, policy)
    hazards: list[Hazard] = []
    unit = 0
    for script in scripts:
        hazards += _Reading(script, scope, unit).hazards(unused=not together)
        unit += len(script.units)
        if not together:
            scope.settle()
    return Review(tuple(hazards), frozenset(scope.asked))


class _Reading:
    """One reading of one file; `first` is the number of its first unit among all files."""

    def __init__(self, script: Script, scope: Scope, first: int) -> None:
        self.script = script
        self.scope = scope
        self.first = first

    def hazards(self, *, unused: bool) -> Iterator[Hazard]:
        self.scope.begin_file()
        ignores = Ignores(self.script.text)
        for number, unit in enumerate(self.script.units):
            certain = not any(_goes_back(statement) for statement in unit.statements)
            for statement in unit.statements:
                silent = ignores.before(statement)
                found = list(self._found(statement, self.first + number, silent, certain=certain))
                if number >= self.script.done:
                    yield from found
        behind = ignores.rest()
        if not self.script.units:
            yield self._hazard(BY_CODE["no_statements"], _NOTHING, 0, behind)
        for code, finding, offset in ignores.findings(BY_CODE, unused=unused):
            yield self._hazard(BY_CODE[code], finding, offset, [])

    def _found(
        self, statement: Statement, unit: int, silent: list[Ignore], *, certain: bool
    ) -> Iterator[Hazard]:
        for act in happening(acts(statement, unit, certain=certain), self.scope):
            for rule in BY_KIND.get(act.kind, ()):
                for finding in rule.check(act, self.scope):
                    if told := _in_turn(act, rule, finding):
                        yield self._hazard(rule, told, _offset(statement, act, finding), silent)
            if not act.later:
                learn(act, self.scope)

    def _hazard(self, rule: Rule, finding: Finding, offset: int, silent: list[Ignore]) -> Hazard:
        return Hazard(
            code=rule.code,
            severity=finding.severity or rule.severity,
            message=finding.message,
            object=finding.object,
            location=self.script.location(offset),
            table=finding.table,
            reaches=finding.reaches,
            instead=rule.instead,
            ignored=silencing(silent, rule.code),
        )


_NOTHING = Finding("holds no statement: it is recorded as applied, and does nothing", "")


def _goes_back(statement: Statement) -> bool:
    """ROLLBACK TO: what the unit did before it may be undone."""
    return statement.kind == "TransactionStmt" and statement.node.get("kind") == "TRANS_STMT_ROLLBACK_TO"


def _in_turn(act: Act, rule: Rule, finding: Finding) -> Finding | None:
    """The finding in the words of what set the act off; None where advice is about somebody else's function.

    What is still to come destroys nothing yet: it is only risky.
    """
    if not act.via:
        return finding
    severity = finding.severity or rule.severity
    if act.later and severity is not Danger.DESTRUCTIVE:
        return None
    if severity is Danger.ADVICE and rule.code not in _OF_ROUTINES:
        return None
    told = replace(finding, message=f"{act.via}{finding.message}")
    return replace(told, severity=Danger.RISKY, table="", reaches=()) if act.later else told


_OF_ROUTINES = frozenset({"dynamic_sql", "unread_function"})


def _offset(statement: Statement, act: Act, finding: Finding) -> int:
    """Where in the file the finding is."""
    return place(statement, finding.at) if act.at is None else act.at
