"""`mosaic-deploy sql`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from mosaic_deploy.cli import folder_option, options
from mosaic_deploy.cli.render.layout import table
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import TargetOptions
from mosaic_deploy.errors import Location, SourceUnreadable, SqlInvalid
from mosaic_deploy.sql.parse import line_and_column

_DRIFT_NOTE = "note: a change of the schema made here is schema drift: to keep it, put it into a migration"
_MAX_ROWS = 10_000
"""At most this many rows of a --read-only query."""


@click.command(cls=folder_option.FolderCommand)
@click.argument("query", required=False)
@click.option("--file", "-f", type=click.Path(), help="Read the SQL from a file; - for stdin.")
@click.option("--read-only", is_flag=True, help="Accept only a single SELECT, EXPLAIN or SHOW.")
@click.option(
    "--allow",
    multiple=True,
    type=click.Choice(["destructive"]),
    help="Pre-approve SQL that destroys data. Needed in scripts and CI.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print the rows as CSV.")
@folder_option.target_options
@options.output
@click.pass_obj
def sql(
    screen: Screen,
    query: str | None,
    file: str | None,
    read_only: bool,
    allow: tuple[str, ...],
    as_csv: bool,
    target_options: TargetOptions,
) -> None:
    """Run SQL in the project's database. Prints the rows of the last statement.

    The SQL isn't recorded and isn't retried; put schema changes in a migration. Every call is a session of its own:
    settings and temporary tables don't outlast it. NOTICE and WARNING go to stderr.
    What it does to existing rows is measured: more than inserts and plain updates needs approval.

    \b
    Examples:
      mosaic-deploy sql "SELECT * FROM todos LIMIT 10"
      mosaic-deploy sql --read-only --csv --file report.sql
    """
    text, name = _read_query(query, file)
    if not text.strip():
        raise click.UsageError(f"{name} is empty; pass the SQL as an argument, or a file with --file")
    refuse_psql_command(text, name)
    is_file = file not in (None, "-")
    from mosaic_deploy.cli.commands.database.query import (
        check_single_call,
        locating_errors,
        prepare_read_only_query,
    )
    from mosaic_deploy.cli.commands.database.sql_measured import run_reviewed
    from mosaic_deploy.cli.commands.database.sql_review import require_sql_approval, review_sql
    from mosaic_deploy.cli.terminal.consent import SettingsFiles
    from mosaic_deploy.live.api.responses import SqlResult
    from mosaic_deploy.live.database.read_only import run_read_only

    read_query = prepare_read_only_query(text, name, _MAX_ROWS, is_file=is_file) if read_only else None
    lasting = read_only or check_single_call(text, name, is_file=is_file)
    session = target_options.open("project_only")
    settings = SettingsFiles(session.manifest.file, *([Path(str(file))] if is_file else []))
    with session:
        project = folder_option.find_project(session)
        # The database that the app uses: during `dev` that can be a draft's copy.
        api = session.api.for_database("")
        if read_query:
            with locating_errors(text, read_query.text, name, is_file=is_file):
                result = SqlResult(run_read_only(api, project.id, read_query).rows, ())
        else:
            review = review_sql(api, project, session.manifest, text, name, allow, is_file=is_file)
            if require_sql_approval(screen, review, allow):
                settings.refuse_changed()
            with locating_errors(text, text, name, is_file=is_file):
                result = run_reviewed(screen, api, project.id, review, allow, settings.refuse_changed)
            database = session.manifest.database
            if lasting and database and database.migrations and review.writes and review.writes.alters:
                screen.print_notice([_DRIFT_NOTE])
    if not lasting:
        screen.print_notice(["note: this has no lasting effect, because every call is a session of its own"])
    screen.sql_notices(result.notices or ())
    if as_csv:
        screen.exact_text(_csv_text(result.rows))
        return
    notices = [asdict(notice) for notice in result.notices or ()]
    screen.result({"type": "rows", "rows": result.rows, "notices": notices}, _lines(result.rows))


def _read_query(query: str | None, file: str | None) -> tuple[str, str]:
    """The SQL, and its name in messages."""
    if (query is None) == (file is None):
        raise click.UsageError("pass the SQL as an argument, or a file with --file")
    if query is not None:
        return query, "query"
    assert file is not None
    if file == "-":
        return sys.stdin.read(), "stdin"
    try:
        return Path(file).read_text(encoding="utf-8-sig"), file
    except (OSError, ValueError) as error:
        raise SourceUnreadable(f"can't read {file}: {getattr(error, 'strerror', None) or error}") from None


def _lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    if rows and set(rows[0]) == {"result"} and len(rows) == 1:
        # A statement without rows returns only its command tag.
        yield str(rows[0]["result"])
        return
    if rows:
        names = list(rows[0])
        yield from table(names, [[row.get(name) for name in names] for row in rows])
    yield f"({len(rows)} row{'' if len(rows) == 1 else 's'})"


def _csv_text(rows: Sequence[dict[str, Any]]) -> str:
    import csv
    import io
    import json

    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    names = list(rows[0]) if rows else []
    writer.writerow(names)
    for row in rows:
        cells = (row.get(name) for name in names)
        writer.writerow(
            [json.dumps(cell) if isinstance(cell, (list, dict, bool)) else cell for cell in cells]
        )
    return written.getvalue()


_HINT = (
    "write a query, such as SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'NAME'; "
    "or use psql: `mosaic-deploy credentials --reveal` prints the database URL"
)


def refuse_psql_command(query: str, name: str) -> None:
    """Raises SqlInvalid if `query` begins with a psql meta-command. Messages call it `name`."""
    command = query.lstrip()
    if command.startswith("\\"):
        where = Location(name, *line_and_column(query, len(query) - len(command)))
        message = f"{where}: {command.split()[0]} is a psql meta-command, not SQL; nothing was sent"
        raise SqlInvalid(message, location=where, hint=_HINT)
