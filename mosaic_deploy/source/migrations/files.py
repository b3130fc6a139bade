"""Parses migration files: their sections, statements and steps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from mosaic_deploy.errors import Location, MigrationInvalid, Problem
from mosaic_deploy.model.quantities import count_text
from mosaic_deploy.model.snapshot import Migration
from mosaic_deploy.source.migrations.begun import steps_as_begun
from mosaic_deploy.source.migrations.layouts.flyway import placeholder_at
from mosaic_deploy.sql.call_stack import body_syntax_error
from mosaic_deploy.sql.dump import read_script
from mosaic_deploy.sql.execution.cut_rows import cut_rows
from mosaic_deploy.sql.execution.split import ExecutionMode, StepSql, TransactionControlError, split_steps
from mosaic_deploy.sql.guard.data_checks import CheckInvalid, DataCheck, data_checks
from mosaic_deploy.sql.hazards import DeclaredUpdate, UpdatesInvalid, declared_updates
from mosaic_deploy.sql.ledger_writes import LEDGER_SCHEMA, first_ledger_write
from mosaic_deploy.sql.parse import SqlSyntaxError, Statement, line_and_column, semantic_checksums
from mosaic_deploy.sql.scripts.copy_batches import without_rows
from mosaic_deploy.sql.scripts.mistakes import Mistake, ScriptInvalid
from mosaic_deploy.sql.scripts.outside_rows import OutsideRows, outside_line, whole_text
from mosaic_deploy.sql.scripts.scan import scan
from mosaic_deploy.sql.scripts.sections import up_section
from mosaic_deploy.sql.uncarried import refuse_uncarried

SEED_VERSION = "seed:"
"""What the version of a seed begins with, and that of no migration."""
REPEATABLE_VERSION = f"{SEED_VERSION}repeatable-"
"""What the version of a repeatable file begins with, which runs like a seed."""
_DIRECTIVE = re.compile(r"^[ \t]*(--)[ \t]*mosaic:[ \t]*(.*)", re.MULTILINE)
_LEDGER_WRITE = (
    f"changes schema {LEDGER_SCHEMA}, which holds mosaic-deploy's tracking tables; only deploys and "
    "`mosaic-deploy migrate repair` may change it"
)
_NO_PLACE_FOR_CHECKS = (
    "a check runs in the transaction of the file's first step, and that runs outside a transaction; put the check into a "
    "migration of its own before this one"
)
_KNOWN_DIRECTIVE = re.compile(r"transaction\s*[=:]\s*(true|false)\s*", re.IGNORECASE)
_NO_TRANSACTION = re.compile(r"\btransaction\s*[:=]\s*false\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MigrationFile:
    """A file with its text, whose lines end in LF. `relative_path` is relative to the project folder.

    `outside` are the COPY rows of a large file, which aren't in its text; see script_text.py.
    """

    migration: Migration
    relative_path: str
    text: str
    outside: Mapping[int, OutsideRows] = field(default_factory=dict, repr=False)

    @property
    def size(self) -> int:
        """Bytes of the text with its rows."""
        return len(self.text.encode()) + sum(rows.size - rows.lines for rows in self.outside.values())

    def whole_text(self) -> str:
        """The text with its rows. Raises SourceChanged."""
        return whole_text(self.text, self.outside)


@dataclass(frozen=True)
class ParsedFile:
    """A file parsed into steps: groups of statements that commit together."""

    file: MigrationFile
    steps: tuple[StepSql, ...]
    checks: tuple[DataCheck, ...] = ()
    """What must be true before its first step."""
    declared: tuple[DeclaredUpdate, ...] = ()

    @cached_property
    def prefix_checksums(self) -> tuple[str, ...]:
        """The semantic checksum of the first one, two, … and all steps."""
        return semantic_checksums([step.statements for step in self.steps])

    @property
    def has_statements(self) -> bool:
        """Whether it runs anything."""
        return any(step.statements for step in self.steps)

    @property
    def semantic(self) -> str:
        return self.prefix_checksums[-1]

    @cached_property
    def recorded_text(self) -> str:
        """The text for the migration history: without the rows of a file with many, which its checksum still covers."""
        statements = [statement for step in self.steps for statement in step.statements]
        return without_rows(self.file.text, statements) or self.file.whole_text()


def parse_migrations(
    files: Sequence[MigrationFile], rows: Iterable[Migration] = ()
) -> tuple[ParsedFile, ...]:
    """Parses files. Raises MigrationInvalid with the problems of all files.

    What the history's `rows` have of a file that isn't applied completely stays in steps of its own.
    """
    begun = {row.version: row for row in rows if row.steps_done and not row.applied}
    parsed, problems, unparsed = list[ParsedFile](), list[Problem](), list[str]()
    for file in files:
        try:
            parsed.append(_parse(file, begun.get(file.migration.version)))
        except ScriptInvalid as invalid:
            problems += [_mistake_problem(file, mistake) for mistake in invalid.mistakes]
        except (SqlSyntaxError, TransactionControlError) as error:
            unparsed += [file.relative_path] if isinstance(error, SqlSyntaxError) else []
            problems.append(_problem(file, error))
    if problems:
        raise MigrationInvalid(_error_summary(files, problems, unparsed), problems=problems)
    return tuple(parsed)


def _error_summary(
    files: Sequence[MigrationFile], problems: Sequence[Problem], unparsed: Sequence[str]
) -> str:
    version = files[0].migration.version
    nouns = {REPEATABLE_VERSION: "repeatable file", SEED_VERSION: "seed"}
    noun = next((noun for start, noun in nouns.items() if version.startswith(start)), "migration")
    others = len({problem.location.file for problem in problems}) - len(unparsed)
    syntax = [f"SQL syntax error in {count_text(len(unparsed), noun)}"] if unparsed else []
    rest = [f"{count_text(others, noun)} can't be applied as written"] if others else []
    return "; ".join((*syntax, *rest))


def statement_location(file: MigrationFile, statement: Statement, offset: int = 0) -> Location:
    """The location of a character in `file`; `offset` counts from the start of the statement's text."""
    return offset_location(file, statement.file_offset(offset))


def _parse(file: MigrationFile, begun: Migration | None) -> ParsedFile:
    section = up_section(file.text)
    statements = read_script(section.text, file.outside)
    _refuse_body_syntax_errors(statements, section.text)
    _refuse_ledger_writes(statements, section.text)
    directives = [found[0] for each in _directives(section.text) if (found := _NO_TRANSACTION.search(each))]
    each_alone = section.no_transaction or (directives[0] if directives else "")

    def split_after(committed: int) -> list[StepSql]:
        return cut_rows(split_steps(statements, each_alone=each_alone, committed=committed))

    steps = split_after(0)
    if begun:
        steps = steps_as_begun(steps, split_after, begun.steps_done, begun.semantic)
    refuse_uncarried(steps)
    checks = _checks(section.text, statements, steps)
    try:
        return ParsedFile(file, tuple(steps), checks, declared_updates(section.text))
    except UpdatesInvalid as invalid:
        raise TransactionControlError(invalid.message, invalid.offset) from None


def _checks(text: str, statements: Sequence[Statement], steps: Sequence[StepSql]) -> tuple[DataCheck, ...]:
    """The file's checks. Raises TransactionControlError for one that can't run in the transaction of the first step."""
    try:
        checks = data_checks(text, statements)
    except CheckInvalid as invalid:
        raise TransactionControlError(invalid.message, invalid.offset) from None
    if checks and steps and steps[0].execution_mode is ExecutionMode.OUTSIDE_TRANSACTION:
        raise TransactionControlError(_NO_PLACE_FOR_CHECKS, checks[0].offset)
    return checks


def _directives(text: str) -> Iterator[str]:
    """The values of `-- mosaic:` comments. Raises TransactionControlError for unknown ones."""
    matches = list(_DIRECTIVE.finditer(text))
    # Not in strings, bodies or other comments.
    comments = {one.start for one in scan(text).comments} if matches else set()
    for found in (one for one in matches if one.start(1) in comments):
        value = found.group(2).rstrip(" \t")
        if not _KNOWN_DIRECTIVE.fullmatch(value):
            raise TransactionControlError(
                f"unknown directive {value!r}; the only one is transaction=false", found.start(2)
            )
        yield value


def _refuse_body_syntax_errors(statements: Sequence[Statement], text: str) -> None:
    """Raises SqlSyntaxError for a PL/pgSQL body, unless the file turns PostgreSQL's own check off, as pg_dump does."""
    if "check_function_bodies" in text.lower():
        return
    for statement in statements:
        if found := body_syntax_error(statement):
            raise SqlSyntaxError(found[0], statement.file_offset(found[1]))


def _refuse_ledger_writes(statements: Sequence[Statement], text: str) -> None:
    """Raises TransactionControlError for statements that change the tracking tables, except in dynamic SQL."""
    if found := first_ledger_write(statements, text):
        raise TransactionControlError(_LEDGER_WRITE, found[1])


def _problem(file: MigrationFile, error: SqlSyntaxError | TransactionControlError) -> Problem:
    if isinstance(error, TransactionControlError):
        return Problem(error.message, offset_location(file, error.offset))
    if error.offset is None:
        return Problem(error.message, Location(file.relative_path))
    # Imported only to explain an error.
    from mosaic_deploy.sql.dialect import dialect_hint
    from mosaic_deploy.sql.scripts.psql import find_psql_variable

    if mistake := find_psql_variable(file.text, error.offset):
        return _mistake_problem(file, mistake)
    if found := placeholder_at(file.text, error.offset):
        message = f"the placeholder {found} isn't replaced"
        hint = "write its value here: only Flyway itself knows it"
        return Problem(message, offset_location(file, error.offset), hint=hint)
    place = offset_location(file, error.offset)
    return Problem(error.message, place, hint=dialect_hint(file.text, error.offset))


def _mistake_problem(file: MigrationFile, mistake: Mistake) -> Problem:
    return Problem(mistake.message, offset_location(file, mistake.offset), hint=mistake.hint)


def offset_location(file: MigrationFile, offset: int) -> Location:
    """The location of a character, by its position in the file's text."""
    line, column, text = line_and_column(file.text, offset)
    return Location(file.relative_path, line, column, text or outside_line(file.outside, offset))
