"""Runs one text of SQL by the rules of `sql`: reviewed, measured, and approved by a person where it destroys data."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from mosaic_deploy.cli import folder_option
from mosaic_deploy.cli.commands.database.query import (
    check_single_call,
    locating_errors,
    prepare_read_only_query,
)
from mosaic_deploy.cli.commands.database.served_database import ServedDatabase, find_database
from mosaic_deploy.cli.commands.database.sql_measured import run_reviewed
from mosaic_deploy.cli.commands.database.sql_review import require_sql_approval, review_sql
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.session import Session
from mosaic_deploy.cli.target.target import TargetOptions
from mosaic_deploy.cli.terminal.consent import SettingsFiles
from mosaic_deploy.live.api.responses import Row, SqlResult
from mosaic_deploy.live.database.read_only import run_read_only
from mosaic_deploy.model.event import SqlNotice
from mosaic_deploy.model.snapshot import Project
from mosaic_deploy.sql.parse import SqlSyntaxError, Statement, parse
from mosaic_deploy.sql.queries.as_text import returns_rows, text_rows_query
from mosaic_deploy.sql.queries.record import TextRows, json_rows_as_text, read_text_rows

_DRIFT_NOTE = "note: a change of the schema made here is schema drift: to keep it, put it into a migration"
_SESSION_NOTE = "note: this has no lasting effect, because every call is a session of its own"
MAX_READ_ONLY_ROWS = 10_000
"""At most this many rows of a --read-only query."""
_CUT_NOTE = (
    f"note: these are the first {MAX_READ_ONLY_ROWS:,} rows; without --read-only there is no such limit"
)


@dataclass(frozen=True, slots=True)
class SqlText:
    """SQL, and its name in messages. `is_file`: the name is that of a file."""

    text: str
    name: str
    is_file: bool = False


@dataclass(frozen=True, slots=True)
class RunOptions:
    """`as_text`: ask for PostgreSQL's own text of every value; else for the endpoint's JSON."""

    read_only: bool = False
    allow: tuple[str, ...] = ()
    no_draft: bool = False
    as_text: bool = True


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """What the last statement returned. `tag` is its command tag if it has no rows of its own."""

    rows: list[Row]
    notices: tuple[SqlNotice, ...]
    shown: TextRows
    tag: str | None = None
    is_draft: bool = False


def run_query(
    screen: Screen, target_options: TargetOptions, sql: SqlText, options: RunOptions
) -> QueryAnswer:
    """The answer to `sql`. Notes about what it does and doesn't do go to stderr.

    Raises SqlInvalid, SqlNotReadOnly, PolicyDenied, DestructiveUnconfirmed, Declined, EffectsExceedConsent, SqlFailed, ApiError.
    """
    statements = _statements(sql.text)
    sent = (text_rows_query(sql.text, statements) if options.as_text else None) or sql.text
    if options.read_only:
        # Refused as it was written, not as it is sent.
        prepare_read_only_query(sql.text, sql.name, 1, is_file=sql.is_file)
        lasting = True
    else:
        lasting = check_single_call(sql.text, sql.name, is_file=sql.is_file)
    session = target_options.open("project_only")
    files = SettingsFiles(session.manifest.file, *([Path(sql.name)] if sql.is_file else []))
    with session:
        project = folder_option.find_project(session)
        database = find_database(screen, session, project, no_draft=options.no_draft)
        call = _Call(screen, session, database, project, sql, sent, options)
        result = call.read() if options.read_only else call.run(files, lasting=lasting)
    if not lasting:
        screen.print_notice([_SESSION_NOTE])
    return _answer(screen, result, statements, options, is_draft=database.is_draft)


def _statements(text: str) -> list[Statement]:
    try:
        return parse(text)
    except SqlSyntaxError:
        return []


@dataclass(frozen=True, slots=True)
class _Call:
    """One call: `sql` as it was written, and as it is `sent`."""

    screen: Screen
    session: Session
    database: ServedDatabase
    project: Project
    sql: SqlText
    sent: str
    options: RunOptions

    def read(self) -> SqlResult:
        # One row more shows that there are more, and one has the names.
        query = prepare_read_only_query(
            self.sent, self.sql.name, MAX_READ_ONLY_ROWS + 2, is_file=self.sql.is_file
        )
        with self._locating_errors(query.text):
            return SqlResult(run_read_only(self.database.api, self.project.id, query).rows, ())

    def run(self, files: SettingsFiles, *, lasting: bool) -> SqlResult:
        """Refuses if one of `files` changes while a person is asked."""
        sql, allow, manifest = self.sql, self.options.allow, self.session.manifest
        review = review_sql(
            self.database.api, self.project, manifest, sql.text, sql.name, allow, is_file=sql.is_file
        )

        def refuse_changed() -> None:
            files.refuse_changed()
            self.database.refuse_other(self.project)

        if require_sql_approval(self.screen, review, allow):
            refuse_changed()
        with self._locating_errors(self.sent):
            result = run_reviewed(
                self.screen,
                self.database.api,
                self.project.id,
                replace(review, text=self.sent),
                allow,
                refuse_changed,
            )
        migrations = manifest.database and manifest.database.migrations
        if lasting and migrations and review.writes and review.writes.alters:
            self.screen.print_notice([_DRIFT_NOTE])
        return result

    def _locating_errors(self, sent: str) -> AbstractContextManager[None]:
        return locating_errors(self.sql.text, sent, self.sql.name, is_file=self.sql.is_file)


def _answer(
    screen: Screen, result: SqlResult, statements: list[Statement], options: RunOptions, *, is_draft: bool
) -> QueryAnswer:
    rows = result.rows
    shown = read_text_rows(rows)
    if options.read_only and len(shown.rows if shown else rows) > MAX_READ_ONLY_ROWS:
        screen.print_notice([_CUT_NOTE])
        rows = rows[:MAX_READ_ONLY_ROWS]
        shown = shown and TextRows(shown.names, shown.rows[:MAX_READ_ONLY_ROWS])
    tag = None if shown else _command_tag(rows, statements)
    return QueryAnswer(rows, result.notices or (), shown or json_rows_as_text(rows), tag, is_draft)


def _command_tag(rows: list[Row], statements: list[Statement]) -> str | None:
    """The tag, which an endpoint returns as a row, of a statement that has no rows."""
    if returns_rows(statements) or len(rows) != 1 or rows[0].keys() != {"result"}:
        return None
    return str(rows[0]["result"])
