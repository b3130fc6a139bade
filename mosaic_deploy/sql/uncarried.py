"""Finds what a migration's later steps need of their session and can't be given.

Each step runs in a session of its own, which begins with the file's settings. Temporary tables, prepared statements,
session-level locks and settings whose value isn't known can't be made again there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mosaic_deploy.sql.execution.outside_transaction import nested_block
from mosaic_deploy.sql.execution.qualified import can_be_qualified, names_to_qualify
from mosaic_deploy.sql.execution.split import ExecutionMode, StepSql, TransactionControlError
from mosaic_deploy.sql.hazards.effects.statement_effects import routine_effects, statement_effects
from mosaic_deploy.sql.hazards.syntax.names import list_name
from mosaic_deploy.sql.hazards.syntax.trees import DYNAMIC_SQL, FUNCTION_CALL, Effect
from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.session.assignments import (
    ALL_SETTINGS,
    ROLE_SETTINGS,
    WHOLE_SESSION,
    Assignment,
    assignments,
    function_settings,
    node_assignments,
    setting_for_new_connections,
)
from mosaic_deploy.sql.session.leftovers import ADVISORY, session_objects, used_object
from mosaic_deploy.sql.session.state import SEARCH_PATH
from mosaic_deploy.sql.session.strings import OTHER_STRINGS
from mosaic_deploy.sql.session.temporary import dropped_temporary, mentions, temporary_names
from mosaic_deploy.sql.text_settings import changes_strings, other_encoding

_WITHOUT_EFFECT = re.compile(
    r".*_timeout|client_(min_messages|encoding)|log_.*|.*work_mem|max_parallel_.*|application_name|jit.*|enable_.*"
    r"|synchronous_commit|check_function_bodies|escape_string_warning|standard_conforming_strings|plpgsql\..*"
)
"""Settings that don't change what a statement does to the database."""
_TRANSACTION_DEFAULTS = {
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
}
_UNKNOWN = "{name} is set to a value that isn't known before it runs, and a later step needs it; write SET {name} = …"
_DEFAULTS = "{name} can't be set for later steps; write the mode at BEGIN"
_LOCAL = "SET LOCAL {name} ends with this step, and a later step would run without it; write SET, or BEGIN … COMMIT"
_SEED = "draws random numbers after {name} of an earlier step, but each step has its own session; set it in this step"
_FOR_NEW = "{name} is set for new connections, and a later step may run in one; put this at the end of the file, or in one of its own"
_TEMPORARY = (
    "uses temporary {name}, which an earlier step creates: each step has its own session, and this one could only reach "
    "another object of that name; create it in this step, or make it an ordinary table and drop it at the end"
)
_OBJECT = "uses {kind} {name} of an earlier step, but each step has its own session; create it in this step"
_LOCK = (
    "takes a lock that lasts as long as the session, but each step has its own session; deploys of a project already run "
    "one at a time, so leave it out"
)
_CURRVAL = "calls {name}() before this step draws a number, but each step has its own session; write RETURNING or a query"
_OTHER_ENCODING = (
    "sets client_encoding to {encoding}, but the file is UTF-8 and is sent as that, so characters after it that aren't ASCII "
    "would be others than psql stores; remove it"
)
_PRINTS_ROWS = "COPY … TO STDOUT prints rows, and a migration has nowhere to print them; leave it out"
_OWNED_KINDS = frozenset({"CreatedbStmt", "CreateTableSpaceStmt", "CreateSubscriptionStmt"})
_TIME_SETTINGS = ("timezone", "datestyle", "intervalstyle")
_ALONE = "{what}: this statement is sent alone, without the file's settings; {instead}"


def refuse_uncarried(steps: Sequence[StepSql]) -> None:
    """Raises TransactionControlError for the first thing that a later step needs and can't have, or can't be checked."""
    for step in steps:
        for statement in step.statements:
            if changes_strings(statement):
                raise TransactionControlError(OTHER_STRINGS, statement.offset)
            if _prints_rows(statement):
                raise TransactionControlError(_PRINTS_ROWS, statement.offset)
        if step.execution_mode is ExecutionMode.OUTSIDE_TRANSACTION and step.session.assigned:
            _refuse_alone(step, step.statements[0])
    if found := other_encoding(step.statements for step in steps):
        offset, encoding = found
        shown = encoding or "a value that isn't known before it runs"
        raise TransactionControlError(_OTHER_ENCODING.format(encoding=shown), offset)
    if len(steps) > 1:
        check = _Check()
        for number, step in enumerate(steps, 1):
            check.add(step, last=number == len(steps))


def _prints_rows(statement: Statement) -> bool:
    """COPY … TO STDOUT."""
    node = statement.node
    return statement.kind == "CopyStmt" and not (node.get("is_from") or node.get("filename"))


def _refuse_alone(step: StepSql, statement: Statement) -> None:
    """Raises TransactionControlError if the statement needs settings that it can't be sent with."""
    state, kind = step.session, statement.kind
    if kind == "DoStmt" and nested_block(statement) is None:
        raise _alone(statement, "this DO block can't be given them", "set them in the block")
    path = state.of(SEARCH_PATH)
    if path and kind == "DoStmt" and (types := _types_without_schema(statement.text)):
        raise _alone(
            statement, f"PostgreSQL looks up {types[0]} before it sets them", "write the schema in the name"
        )
    if path and path.computed and names_to_qualify(step):
        raise _alone(statement, "the computed search_path isn't known", "write the schemas in the names")
    if not can_be_qualified(step):
        raise _alone(statement, "it isn't clear where schemas go in it", "write the schemas in the names")
    if kind in _OWNED_KINDS and (state.of("role") or state.of("session_authorization")):
        raise _alone(statement, "it belongs to the role that runs it", "name the owner in the statement")
    if kind != "IndexStmt":
        return
    tablespace = state.of("default_tablespace")
    if tablespace and tablespace.values != ("",) and "tableSpace" not in statement.node:
        raise _alone(statement, "default_tablespace has no effect", "write TABLESPACE in the statement")
    computes = "whereClause" in statement.node or "'expr'" in str(statement.node.get("indexParams"))
    if computes and (name := next((one for one in _TIME_SETTINGS if state.of(one)), "")):
        raise _alone(
            statement, f"{name} has no effect", "write constants that don't depend on it, and RESET it before"
        )


_DECLARATIONS = re.compile(r"\bdeclare\b(.*?)\bbegin\b", re.IGNORECASE | re.DOTALL)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_VARIABLE = re.compile(
    r"\s*(?:\"[^\"]+\"|\w+)\s+(?:constant\s+)?(?P<type>(?:\"[^\"]+\"|\w+)(?:\s*\.\s*(?:\"[^\"]+\"|\w+))*)"
    r"(?P<of>\s*%\s*(?:row)?type)?",
    re.IGNORECASE,
)
_BUILT_IN = frozenset(
    {"alias", "bigint", "bigserial", "bit", "bool", "boolean", "bpchar", "bytea", "char", "character", "cidr", "cursor",
     "date", "decimal", "double", "float", "float4", "float8", "inet", "int", "int2", "int4", "int8", "integer", "interval",
     "json", "jsonb", "macaddr", "money", "name", "no", "numeric", "oid", "real", "record", "refcursor", "regclass",
     "regproc", "regrole", "regtype", "scroll", "smallint", "text", "time", "timestamp", "timestamptz", "timetz",
     "tsquery", "tsvector", "uuid", "varbit", "varchar", "xml"}
)  # fmt: skip
"""First words of types in pg_catalog, and of declarations that have no type."""


def _types_without_schema(body: str) -> tuple[str, ...]:
    """The types and tables in the block's declarations that are looked up in the search_path."""
    found: list[str] = []
    for declarations in _DECLARATIONS.findall(_COMMENT.sub(" ", body)):
        for variable in declarations.split(";"):
            if match := _VARIABLE.match(variable):
                # schema.table.column%TYPE, schema.table%ROWTYPE, schema.type
                dots = 2 if (match["of"] or "").lower().replace(" ", "") == "%type" else 1
                built_in = not match["of"] and match["type"].lower() in _BUILT_IN
                if not built_in and match["type"].count(".") < dots:
                    found.append(match["type"] + (match["of"] or ""))
    return tuple(found)


def _alone(statement: Statement, what: str, instead: str) -> TransactionControlError:
    return TransactionControlError(_ALONE.format(what=what, instead=instead), statement.offset)


class _Check:
    """What the steps so far leave in their sessions that can't be made again."""

    def __init__(self) -> None:
        self.unknown: dict[str, tuple[str, int]] = {}
        """Settings that can't be set again: the message, and the offset of the statement that sets them."""
        self.for_new: dict[str, tuple[str, int]] = {}
        """Settings of the role or the database, likewise."""
        self.temporary: set[str] = set()
        self.seeded = ""
        """What set the seed of random numbers in an earlier step."""
        self.left: set[tuple[str, str]] = set()
        """(kind, name) of the prepared statements and cursors of earlier steps."""
        self.begun = False
        self.routines: dict[str, Statement] = {}
        """The functions that the file creates."""

    def add(self, step: StepSql, *, last: bool) -> None:
        for message, offset in (*self.unknown.values(), *self.for_new.values()):
            raise TransactionControlError(message, offset)
        self._refuse_uses(step)
        for statement in step.statements:
            self._record(statement)
            if not last and not step.explicit:
                _refuse_local(statement)
        left = session_objects(step.statements)
        if not last and (lock := next((one for one in left if one.kind == ADVISORY), None)):
            raise TransactionControlError(_LOCK, lock.offset)
        self.temporary |= temporary_names(step.statements)
        self.left |= {(one.kind, one.name) for one in left}
        self.begun = True

    def _refuse_uses(self, step: StepSql) -> None:
        """Raises TransactionControlError if the step uses what only an earlier step's session has."""
        draws, seeded = not self.begun, self.seeded
        for number, statement in enumerate(step.statements):
            called = set(self._calls(statement))
            bodies = [self.routines[name] for name in called if name in self.routines]
            if "setseed" in called or any(one.name == "seed" for one in assignments(statement)):
                seeded = ""
            if seeded and called & _RANDOM:
                raise TransactionControlError(_SEED.format(name=seeded), statement.offset)
            for name in sorted(self.temporary):
                if any(mentions(one, name) for one in (statement, *bodies)):
                    raise TransactionControlError(_TEMPORARY.format(name=name), statement.offset)
            self.temporary -= dropped_temporary(statement)
            used = used_object(statement)
            if used in self.left and not _makes(step.statements[:number], used):
                raise TransactionControlError(_OBJECT.format(kind=used[0], name=used[1]), statement.offset)
            if not draws and (asking := called & {"currval", "lastval"}):
                raise TransactionControlError(_CURRVAL.format(name=min(asking)), statement.offset)
            draws = (
                draws or statement.kind in _DRAWING or bool(called & {"nextval", "setval"}) or bool(bodies)
            )

    def _calls(self, statement: Statement) -> Iterator[str]:
        """The names of the functions that the statement calls, also through functions that the file creates."""
        waiting = [statement]
        seen: set[str] = set()
        while waiting:
            one = waiting.pop()
            for effect in _effects(one, runs=one is not statement):
                name = list_name(effect.node["funcname"]).name if effect.kind == FUNCTION_CALL else ""
                if name and name not in seen:
                    seen.add(name)
                    yield name
                    waiting += [self.routines[name]] if name in self.routines else []

    def _record(self, statement: Statement) -> None:
        if statement.kind == "CreateFunctionStmt":
            self.routines[list_name(statement.node["funcname"]).name] = statement
        for one in assignments(statement):
            self._assign(one, statement)
        name = setting_for_new_connections(statement)
        if name and not _WITHOUT_EFFECT.fullmatch(name):
            self.for_new[name] = (_FOR_NEW.format(name=name), statement.offset)
        if "setseed" in self._calls(statement):
            self.seeded = "setseed()"
        if statement.kind in ("VariableSetStmt", "InsertStmt"):
            return
        bodies = [
            statement,
            *(self.routines[name] for name in self._calls(statement) if name in self.routines),
        ]
        for body in bodies:
            own = function_settings(body)
            for effect in _effects(body, runs=body is not statement):
                if effect.node is statement.node:
                    continue
                if effect.kind == DYNAMIC_SQL and (composed := _COMPOSED_SET.match(effect.node["text"])):
                    name = composed[1].lower()
                    if not _WITHOUT_EFFECT.fullmatch(name):
                        self.unknown[name] = (_UNKNOWN.format(name=name), statement.offset)
                for one in node_assignments(effect.kind, effect.node):
                    if one.name not in own and not one.local and not _WITHOUT_EFFECT.fullmatch(one.name):
                        self.unknown[one.name] = (_UNKNOWN.format(name=one.name), statement.offset)

    def _assign(self, one: Assignment, statement: Statement) -> None:
        if one.name in (ALL_SETTINGS, WHOLE_SESSION):
            self.unknown.clear()
        elif not one.local:
            self.unknown.pop(one.name, None)
            self.for_new.pop(one.name, None)
            if one.name == "seed":
                self.seeded = "SET seed"
            if one.computed and not one.sql and not _WITHOUT_EFFECT.fullmatch(one.name):
                self.unknown[one.name] = (_UNKNOWN.format(name=one.name), statement.offset)
            default = _TRANSACTION_DEFAULTS.get(one.name)
            if default and one.values and one.values[0].lower() not in (default, "false"):
                self.unknown[one.name] = (_DEFAULTS.format(name=one.name), statement.offset)


_COMPOSED_SET = re.compile(
    r"(?:format\s*\(\s*)?'\s*(?:re)?set\s+(?:session\s+)?(?!local\b)([\w.]+)", re.IGNORECASE
)
"""Dynamic SQL that begins with SET: `format('SET search_path = %I', name)`."""
_RANDOM = frozenset({"random", "random_normal"})
_DRAWING = frozenset({"InsertStmt", "MergeStmt", "CopyStmt", "DoStmt", "CallStmt"})
"""Statements that may draw a sequence's next number through a default or a body."""


def _effects(statement: Statement, *, runs: bool) -> Iterator[Effect]:
    """What the statement does; with `runs` what a call of the function does that it creates."""
    if runs and statement.kind == "CreateFunctionStmt":
        return routine_effects(statement, statement.node)
    return statement_effects(statement, 0)


def _makes(statements: Sequence[Statement], used: tuple[str, str]) -> bool:
    return any((one.kind, one.name) == used for one in session_objects(statements))


def _refuse_local(statement: Statement) -> None:
    for one in assignments(statement):
        if one.local and one.name in (SEARCH_PATH, *ROLE_SETTINGS):
            raise TransactionControlError(_LOCAL.format(name=one.name), statement.offset)
