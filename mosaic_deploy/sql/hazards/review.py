"""The review: every statement of the migrations, in execution order, checked by every rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mosaic_deploy.errors import Location
from mosaic_deploy.model.hazard import Hazard, HazardSeverity
from mosaic_deploy.model.manifest import PolicySpec
from mosaic_deploy.sql.execution.split import ExecutionMode
from mosaic_deploy.sql.hazards.declared_updates import DeclaredUpdate
from mosaic_deploy.sql.hazards.effects.destroyed import DestroyedObjects
from mosaic_deploy.sql.hazards.effects.expected import ExpectedWrites
from mosaic_deploy.sql.hazards.effects.scope import Scope, visible_schemas
from mosaic_deploy.sql.hazards.effects.scope_updates import update_scope
from mosaic_deploy.sql.hazards.effects.statement_effects import file_offset, statement_effects
from mosaic_deploy.sql.hazards.effects.touched_tables import known_empty
from mosaic_deploy.sql.hazards.effects.unknown_names import NameCheck, UnknownName
from mosaic_deploy.sql.hazards.ignore import IgnoreComment, IgnoreComments, ignore_reason
from mosaic_deploy.sql.hazards.live_objects import Facts
from mosaic_deploy.sql.hazards.rules.registry import RULES_BY_CODE, RULES_BY_KIND
from mosaic_deploy.sql.hazards.rules.rule import Finding, Rule
from mosaic_deploy.sql.hazards.script import Review, Script
from mosaic_deploy.sql.hazards.syntax.trees import Effect
from mosaic_deploy.sql.locate import identifiers
from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.session.state import SEARCH_PATH, TransactionState
from mosaic_deploy.sql.session.temporary import created_temporary


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
    reviews: list[_ScriptReview] = []
    destroyed = DestroyedObjects()
    names = NameCheck(certain=all_pending and not any(script.done for script in scripts))
    step = 0
    for number, script in enumerate(scripts):
        reviews.append(
            _ScriptReview(
                script, scope, step, destroyed if all_pending else DestroyedObjects(), number, names
            )
        )
        reviews[-1].run()
        step += len(script.steps)
        if not all_pending:
            scope.mark_applied()
    hazards = [hazard for each in reviews for hazard in each.all_hazards(unused=not all_pending)]
    dropped = tuple(destroyed.of_script(number) for number in range(len(scripts)))
    unknown = tuple(one for each in reviews for one in each.unknown)
    writes = tuple(each.expected.by_step for each in reviews)
    return Review(tuple(hazards), frozenset(scope.lookups), dropped, writes, unknown)


class _ScriptReview:
    """The review of one file, the `number`th; `first_step` is the number of its first step among all files."""

    def __init__(
        self,
        script: Script,
        scope: Scope,
        first_step: int,
        destroyed: DestroyedObjects,
        number: int,
        names: NameCheck,
    ) -> None:
        self.script = script
        self.scope = scope
        self.first_step = first_step
        self.destroyed = destroyed
        self.number = number
        self.unknown: list[tuple[UnknownName, Location]] = []
        self.expected = ExpectedWrites(alone=sum(len(step.statements) for step in script.steps) == 1)
        self._dropped: list[tuple[str, _Place]] = []
        self._names = names
        self._ignores = IgnoreComments(script.text)
        self._trailing: list[IgnoreComment] = []
        self._missing: list[tuple[DeclaredUpdate, int]] = []
        self._unknown_updates: dict[int, DeclaredUpdate] = {}
        self._found: dict[tuple[str, str, int], Hazard] = {}
        """By rule, message and offset: a line of a block that does the same twice is one finding."""
        self._at_end: list[tuple[Rule, _Place]] = []

    def run(self) -> None:
        """Reviews the statements in order, and records in the scope what they do."""
        temporary_tables = _temporary_names(self.script)
        for number, step in enumerate(self.script.steps):
            certain = not any(_rolls_back_to_savepoint(statement) for statement in step.statements)
            atomic = step.execution_mode is not ExecutionMode.OUTSIDE_TRANSACTION
            session = TransactionState.begun_in(step.session)
            self.scope.begin_session(temporary_tables)
            self._set_search_path(session)
            if number >= self.script.done:
                self._record_declared(number + 1)
            for statement in step.statements:
                comments = self._ignores.before_statement(statement)
                done = number < self.script.done
                if certain:
                    self._record_unknown_names(statement)
                if number >= self.script.done:
                    self.expected.record_insert(statement, number + 1)
                for effect in statement_effects(statement, self.first_step + number, certain=certain):
                    place = _Place(statement, effect, comments, number + 1, atomic)
                    self._review_effect(place, done=done)
                session = self._follow_session(statement, session)
        self._trailing = self._ignores.after_last_statement()
        self._record_created()

    def all_hazards(self, *, unused: bool) -> Iterator[Hazard]:
        """The findings, once all files are reviewed."""
        for rule, place in self._at_end:
            self._apply(rule, place)
        for text, place in self._dropped:
            self._add_lost_object(text, place)
        yield from sorted(self._found.values(), key=lambda hazard: hazard.step)
        if not any(step.statements for step in self.script.steps):
            finding = _NOTHING_RUN if self.script.steps else _NO_STATEMENTS
            yield self._hazard(RULES_BY_CODE["no_statements"], finding, 0, self._trailing)
        for offset, one in self._unknown_updates.items():
            finding = Finding(f"mosaic-updates names {one.table}, but there is no such table", str(one.table))
            yield self._hazard(RULES_BY_CODE["updates_unknown"], finding, offset, [])
        for code, finding, offset in self._ignores.findings(RULES_BY_CODE, unused=unused):
            yield self._hazard(RULES_BY_CODE[code], finding, offset, [])

    def _record_declared(self, step: int) -> None:
        """Records what comments say that the step updates."""
        for one in self.script.declared:
            self.expected.record_declared(one.table, self.scope, step)
            if self.scope.is_missing(one.table):
                self._missing.append((one, step))

    def _record_created(self) -> None:
        """Records the names that mean something only once the file has run: it may set search_path, or create the table."""
        for one, step in self._missing:
            self.expected.record_declared(one.table, self.scope, step)
            if self._names.is_missing(one.table, self.scope):
                self._unknown_updates[one.offset] = one

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

    def _review_effect(self, place: _Place, *, done: bool) -> None:
        effect = place.effect
        if not done:
            for text, live in self.destroyed.record(effect, self.scope, self.number):
                self.expected.record_drop(live, place.step)
                self._dropped.append((text, place))
            self.expected.record(effect, self.scope, place.step)
        for rule in () if done else RULES_BY_KIND.get(effect.kind, ()):
            if rule.at_end:
                self._at_end.append((rule, place))
            else:
                self._apply(rule, place)
        self._names.observe(effect, self.scope, lambda: self.script.location(place.statement.offset))
        update_scope(effect, self.scope)

    def _add_lost_object(self, text: str, place: _Place) -> None:
        """Dropping a live view, type, function or policy for good is destructive, unless a finding says so already."""
        if not self.destroyed.is_lost(text):
            return
        finding = Finding(f"drops {text.replace(' public.', ' ')}", text)
        offset = _offset(place.statement, place.effect, finding)
        same = [key for key in self._found if key[2] == offset and key[0].startswith("drop_")]
        for key in same:
            self._found[key] = replace(self._found[key], severity=HazardSeverity.DESTRUCTIVE)
        if not same:
            hazard = self._hazard(RULES_BY_CODE["drop_object"], finding, offset, place.comments)
            self._found["drop_object", text, offset] = replace(hazard, step=place.step)

    def _record_unknown_names(self, statement: Statement) -> None:
        for one in self._names.unknown_names(statement, self.scope):
            offset = _offset_of_name(statement, one) if one.byte is None else file_offset(statement, one.byte)
            self.unknown.append((one, self.script.location(offset)))

    def _apply(self, rule: Rule, place: _Place) -> None:
        effect = place.effect
        for finding in rule.check(effect, self.scope):
            offset = _offset(place.statement, effect, finding)
            hazard = replace(self._hazard(rule, finding, offset, place.comments), step=place.step)
            if place.atomic:
                hazard = self._without_rows(hazard, effect.step, finding)
            self._found.setdefault((rule.code, finding.message, offset), hazard)

    def _without_rows(self, hazard: Hazard, step: int, finding: Finding) -> Hazard:
        """A destructive hazard as risky, if the tables that it is about hold no rows and aren't protected.

        The finding's `parents` may hold rows: a partition or child takes none of them along.
        """
        tables = tuple(dict.fromkeys(one for one in (hazard.table, *hazard.cascades_to) if one))
        emptied = tuple(one for one in tables if one not in finding.parents)
        if (
            hazard.severity is not HazardSeverity.DESTRUCTIVE
            or hazard.schema
            or self.scope.is_protected(*tables)
            or not known_empty(self.scope, emptied, step, finding.parents)
        ):
            return hazard
        return replace(hazard, severity=HazardSeverity.RISKY, empty_tables=emptied)

    def _hazard(self, rule: Rule, finding: Finding, offset: int, comments: list[IgnoreComment]) -> Hazard:
        return Hazard(
            code=rule.code,
            severity=finding.severity or rule.severity,
            message=finding.message,
            object=finding.object,
            location=self.script.location(offset),
            table=finding.table,
            cascades_to=finding.cascades_to,
            schema=finding.schema,
            instead=finding.instead or rule.instead,
            ignored=ignore_reason(comments, rule.code),
        )


@dataclass(frozen=True, slots=True)
class _Place:
    """An effect, and where it is: its statement, the comments before that, and the step, which may be a transaction."""

    statement: Statement
    effect: Effect
    comments: list[IgnoreComment]
    step: int
    atomic: bool


def _temporary_names(script: Script) -> frozenset[str]:
    """The names of the temporary objects that the file's statements create."""
    statements = (one for step in script.steps for one in step.statements)
    return frozenset(name for statement in statements for name, _ in created_temporary(statement))


_NO_STATEMENTS = Finding("contains no SQL statement: it will be recorded as applied and do nothing", "")
_NOTHING_RUN = Finding("runs no SQL statement: it will be recorded as applied and do nothing", "")


def _rolls_back_to_savepoint(statement: Statement) -> bool:
    """ROLLBACK TO may undo what the step did before it."""
    return statement.kind == "TransactionStmt" and statement.node.get("kind") == "TRANS_STMT_ROLLBACK_TO"


def _offset(statement: Statement, effect: Effect, finding: Finding) -> int:
    return file_offset(statement, finding.byte_location) if effect.file_offset is None else effect.file_offset


def _offset_of_name(statement: Statement, unknown: UnknownName) -> int:
    """Of a name without a place in the tree, such as an index's column: where the statement has it first."""
    wanted = unknown.column or unknown.table.name
    found = (at for at, name in identifiers(statement.text) if name == wanted)
    return statement.offset + next(found, 0)
