"""Maps the failure of a step to file, line and column, with what PostgreSQL said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypedDict

from mosaic_deploy.errors import Location
from mosaic_deploy.live.api.error_mapping import DISK_FULL_HINT, TRANSACTION_TIMEOUT, is_disk_full
from mosaic_deploy.live.database.failed_step import LOCK_NOT_AVAILABLE, StepFailed
from mosaic_deploy.model.plan import Note
from mosaic_deploy.source.migrations.files import ParsedFile, offset_location, statement_location
from mosaic_deploy.source.migrations.listing import NOT_SQL
from mosaic_deploy.sql.call_stack import DO_BLOCK, Frame, locate_calls, locate_in_sql_body, parse_context
from mosaic_deploy.sql.execution.empty_tables import ROWS_APPEARED
from mosaic_deploy.sql.execution.step import Purpose, Step
from mosaic_deploy.sql.guard.data_checks import CHECK_FAILED
from mosaic_deploy.sql.locate import locate_error
from mosaic_deploy.sql.scripts.copy_batches import CopyBatch
from mosaic_deploy.sql.session.strings import OFF_IN_DATABASE, turn_on_hint

_CLASSES_ABOUT_VALUES = ("22", "23")
"""Of SQLSTATEs: invalid data, and violated constraints."""

_NOT_PRIVILEGED = "42501"
_UNDEFINED = frozenset({"42P01", "42703", "42883", "42704", "3F000"})
"""SQLSTATEs: no such table, column, function, other object, schema."""
NEW_ENUM_VALUE = "55P04"
"""SQLSTATE: an enum value is used in the transaction that adds it."""
_HINTS = {
    ROWS_APPEARED: "run the same command again: the new plan asks for confirmation",
    CHECK_FAILED: "correct the data, or the check in the file; then run the same command again",
    LOCK_NOT_AVAILABLE: "run the same command again when the table is less busy, or raise database.lock_timeout",
    TRANSACTION_TIMEOUT: (
        "transaction_timeout of the role or the database ended it; split the migration, or raise that with ALTER DATABASE or "
        "ALTER ROLE, then run the same command again"
    ),
}
"""By SQLSTATE."""


class FailureFacts(TypedDict):
    """What PostgreSQL said about a failed statement."""

    location: Location
    sqlstate: str | None
    detail: str | None
    pg_hint: str | None
    calls: tuple[str, ...]
    notices: tuple[str, ...]


def failure_facts(failure: StepFailed, parsed: ParsedFile) -> FailureFacts:
    """The error's facts. Its location is as exact as PostgreSQL reported it."""
    frames = _frames(failure)
    is_check = failure.sqlstate == CHECK_FAILED
    return {
        "location": _failure_location(failure, parsed, frames),
        "sqlstate": None if is_check else failure.sqlstate,
        "detail": failure.detail,
        "pg_hint": None if failure.message == OFF_IN_DATABASE else failure.hint,
        "calls": () if is_check else tuple(frame.text for frame in frames),
        "notices": tuple(f"{notice.severity}: {notice.message}" for notice in failure.notices),
    }


def _frames(failure: StepFailed) -> list[Frame]:
    """The calls that led to the error, without the block in which we send a statement that isn't one, such as COPY."""
    frames = parse_context(failure.context)
    statements = failure.step.sql.statements
    is_block = bool(failure.statement) and statements[failure.statement - 1].kind == "DoStmt"
    while frames and frames[-1].function == DO_BLOCK and not is_block:
        frames.pop()
    return frames


def _failure_location(failure: StepFailed, parsed: ParsedFile, frames: Sequence[Frame]) -> Location:
    file = parsed.file
    if not failure.statement:
        return Location(file.relative_path)
    statement = failure.step.sql.statements[failure.statement - 1]
    if failure.position:
        return statement_location(file, statement, failure.position - 1)
    if frames:
        statements = [one for step in parsed.steps for one in step.statements]
        index = next((i for i, one in enumerate(statements) if one.offset == statement.offset), None)
        stack = index is not None and locate_calls(statements, index, frames, failure.message)
        if stack and stack.offset is not None:
            return offset_location(file, stack.offset)
    if isinstance(statement, CopyBatch):
        return statement_location(file, statement, _row_offset(failure, statement))
    offset = locate_error(statement.written, failure.message)
    return statement_location(file, statement, offset or locate_in_sql_body(statement, failure.message))


def correction_hint(failure: StepFailed, file: str, *, single_transaction: bool = False) -> str:
    """What to do about a failure that the file, its data or the database's settings cause."""
    if failure.message == OFF_IN_DATABASE:
        return f"{turn_on_hint(failure.hint or '')}; then run the same command again"
    if is_disk_full(failure.sqlstate, failure.message):
        return DISK_FULL_HINT
    if failure.sqlstate == NEW_ENUM_VALUE:
        return f"{new_enum_value_hint(failure.step, file, single_transaction=single_transaction)}; then run the same command again"
    if failure.sqlstate == _NOT_PRIVILEGED and failure.message.endswith("is a system trigger"):
        return (
            "TRIGGER ALL includes those of foreign keys, which only a superuser can disable: write TRIGGER USER in "
            f"{file} and run the same command again"
        )
    return _HINTS.get(str(failure.sqlstate), f"correct {file} and run the same command again")


def missing_programs_hint(failure: StepFailed, notes: Iterable[Note]) -> str:
    """That what doesn't exist may be made by one of the migrations that are programs; empty if that can't be."""
    found = next((note.message for note in notes if note.code == NOT_SQL), "")
    return (
        f"; what doesn't exist may be in one of those that didn't run: {found}"
        if failure.sqlstate in _UNDEFINED and found
        else ""
    )


def new_enum_value_hint(step: Step, file: str, *, single_transaction: bool = False) -> str:
    """How to commit an added enum value before a function or composed SQL uses it. `single_transaction`: of all migrations."""
    if step.purpose is not Purpose.APPLY:
        name = "seed" if step.purpose is Purpose.SEED else "down migration"
        return f"a {name} is one transaction, and PostgreSQL can't use an enum value in the one that adds it: add it in a migration"
    if single_transaction:
        return (
            "PostgreSQL can't use an enum value in the transaction that adds it: deploy the migration that adds it before the "
            f"one that uses it, or remove `transaction: all` from the manifest and write `COMMIT;` before the use in {file}"
        )
    where = (
        "move the ALTER TYPE … ADD VALUE above BEGIN"
        if step.sql.explicit
        else "write `COMMIT;` below the ALTER TYPE … ADD VALUE"
    )
    return f"PostgreSQL can't use an enum value in the transaction that adds it: {where} in {file}"


def _row_offset(failure: StepFailed, batch: CopyBatch) -> int:
    """Where the refused row is in `batch.written`; 0 if that isn't certain, or if the error is about the whole COPY."""
    is_about_values = str(failure.sqlstate)[:2] in _CLASSES_ABOUT_VALUES
    row = failure.row or int(is_about_values and batch.has_one_row)
    return batch.row_offset(row) if row else 0
