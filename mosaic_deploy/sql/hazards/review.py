"""The review: every statement of the migrations, in execution order, checked by every rule."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from mosaic_deploy.errors import Location
from mosaic_deploy.model.hazard import Hazard, HazardSeverity
from mosaic_deploy.model.manifest import PolicySpec
from mosaic_deploy.sql.execution.units import Unit
from mosaic_deploy.sql.hazards.effects.scope import Scope, visible_schemas
from mosaic_deploy.sql.hazards.effects.scope_updates import update_scope
from mosaic_deploy.sql.hazards.effects.statement_effects import file_offset, statement_effects
from mosaic_deploy.sql.hazards.effects.triggered import follow_effects
from mosaic_deploy.sql.hazards.ignore import IgnoreComment, IgnoreComments, ignore_reason
from mosaic_deploy.sql.hazards.live_objects import Facts, ObjectRef
from mosaic_deploy.sql.hazards.rules.registry import RULES_BY_CODE, RULES_BY_KIND
from mosaic_deploy.sql.hazards.rules.rule import Finding, Rule
from mosaic_deploy.sql.hazards.syntax.trees import Effect
from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.session.state import SEARCH_PATH, TransactionState


@dataclass(frozen=True)
class Script:
    """One migration file: its displayed name, its whole text, and its units.

    The first `done` units are committed already: they update the scope but yield no findings.
    """

    file: str
    text: str
    units: tuple[Unit, ...]
    done: int = 0

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


def review(
    scripts: Sequence[Script],
    facts: Facts | None = None,
    *,
    all_pending: bool = True,
    policy: PolicySpec | None = None,
) -> Review:
    """Reviews migrations in order.

    `all_pending`: all scripts are pending, so nothing uses yet what an earlier one creates. Otherwise each file is
    reviewed as if it alone were pending and those before it were applied, and an unused `mosaic-ignore` is a
    finding. `facts` describe the live database; without them every object that the files don't create counts as
    existing. The `policy` makes some rules stricter; it denies nothing here.
    """
    scope = Scope(facts, policy)
    hazards: list[Hazard] = []
    unit = 0
    for script in scripts:
        hazards += _ScriptReview(script, scope, unit).hazards(unused=not all_pending)
        unit += len(script.units)
        if not all_pending:
            scope.mark_applied()
    return Review(tuple(hazards), frozenset(scope.lookups))


class _ScriptReview:
    """The review of one file; `first_unit` is the number of its first unit among all files."""

    def __init__(self, script: Script, scope: Scope, first_unit: int) -> None:
        self.script = script
        self.scope = scope
        self.first_unit = first_unit

    def hazards(self, *, unused: bool) -> Iterator[Hazard]:
        ignores = IgnoreComments(self.script.text)
        for number, unit in enumerate(self.script.units):
            certain = not any(_rolls_back_to_savepoint(statement) for statement in unit.statements)
            session = TransactionState.begun_in(unit.session)
            self.scope.begin_session()
            self._set_search_path(session)
            for statement in unit.statements:
                comments = ignores.before_statement(statement)
                found = list(
                    self._statement_hazards(statement, self.first_unit + number, comments, certain=certain)
                )
                if number >= self.script.done:
                    yield from found
                session = self._follow_session(statement, session)
        trailing = ignores.after_last_statement()
        if not self.script.units:
            yield self._hazard(RULES_BY_CODE["no_statements"], _NO_STATEMENTS, 0, trailing)
        for code, finding, offset in ignores.findings(RULES_BY_CODE, unused=unused):
            yield self._hazard(RULES_BY_CODE[code], finding, offset, [])

    def _follow_session(self, statement: Statement, session: TransactionState) -> TransactionState:
        """The session after the statement; the scope gets its search_path, as the executor would have it."""
        after = session.after(statement)
        if after != session:
            self._set_search_path(after)
        return after

    def _set_search_path(self, session: TransactionState) -> None:
        found = session.current.of(SEARCH_PATH)
        if found and found.computed:
            self.scope.set_search_path(visible_schemas(found.maybe), certain=False)
        else:
            self.scope.search_path = visible_schemas(found.values or () if found else ())

    def _statement_hazards(
        self, statement: Statement, unit: int, comments: list[IgnoreComment], *, certain: bool
    ) -> Iterator[Hazard]:
        for effect in follow_effects(statement_effects(statement, unit, certain=certain), self.scope):
            for rule in RULES_BY_KIND.get(effect.kind, ()):
                for finding in rule.check(effect, self.scope):
                    if finding_with_cause := _with_cause(effect, rule, finding):
                        yield self._hazard(
                            rule, finding_with_cause, _offset(statement, effect, finding), comments
                        )
            if not effect.deferred:
                update_scope(effect, self.scope)

    def _hazard(self, rule: Rule, finding: Finding, offset: int, comments: list[IgnoreComment]) -> Hazard:
        return Hazard(
            code=rule.code,
            severity=finding.severity or rule.severity,
            message=finding.message,
            object=finding.object,
            location=self.script.location(offset),
            table=finding.table,
            cascades_to=finding.cascades_to,
            instead=rule.instead,
            ignored=ignore_reason(comments, rule.code),
        )


_NO_STATEMENTS = Finding("contains no SQL statement: it will be recorded as applied and do nothing", "")


def _rolls_back_to_savepoint(statement: Statement) -> bool:
    """ROLLBACK TO may undo what the unit did before it."""
    return statement.kind == "TransactionStmt" and statement.node.get("kind") == "TRANS_STMT_ROLLBACK_TO"


def _with_cause(effect: Effect, rule: Rule, finding: Finding) -> Finding | None:
    """The finding with its cause in front of the message; None for advice about a called function's body.

    A deferred effect (of a new trigger) destroys nothing yet, so its finding is only risky.
    """
    if not effect.cause:
        return finding
    severity = finding.severity or rule.severity
    if effect.deferred and severity is not HazardSeverity.DESTRUCTIVE:
        return None
    if severity is HazardSeverity.ADVICE and rule.code not in _ROUTINE_RULES:
        return None
    finding_with_cause = replace(finding, message=f"{effect.cause}{finding.message}")
    return (
        replace(finding_with_cause, severity=HazardSeverity.RISKY, table="", cascades_to=())
        if effect.deferred
        else finding_with_cause
    )


_ROUTINE_RULES = frozenset({"dynamic_sql", "unread_function"})


def _offset(statement: Statement, effect: Effect, finding: Finding) -> int:
    return file_offset(statement, finding.byte_location) if effect.file_offset is None else effect.file_offset
