"""`mosaic-deploy sql`: one question to the project's database."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from mosaic_deploy.cli import folder_option, options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.render.text.layout import table
from mosaic_deploy.cli.target.target import TargetOptions
from mosaic_deploy.errors import Location, SourceUnreadable, SqlNotReadOnly
from mosaic_deploy.sql.parse import line_and_column

_MAX_ROWS = 10_000
"""Rows of a --read-only query."""


@click.command(cls=folder_option.FolderCommand)
@click.argument("query", required=False)
@click.option("--file", "-f", type=click.Path(), help="Read the SQL from a file; - for standard input.")
@click.option("--read-only", is_flag=True, help="Refuse to write, in a read-only transaction.")
@click.option("--csv", "as_csv", is_flag=True, help="Print rows as CSV.")
@folder_option.target_options
@options.output
@click.pass_obj
def sql(
    screen: Screen,
    query: str | None,
    file: str | None,
    read_only: bool,
    as_csv: bool,
    target_options: TargetOptions,
) -> None:
    """Run SQL in the project's database and print the rows of its last statement.

    It is sent once and recorded nowhere: what should stay belongs in a migration.
    """
    text, name = _read_query(query, file)
    refuse_psql_command(text, name)
    is_file = file not in (None, "-")
    from mosaic_deploy.cli.commands.database.query import locating_errors, reading
    from mosaic_deploy.live.database.read_only import run_read_only

    question = reading(text, name, _MAX_ROWS, is_file=is_file) if read_only else None
    session = target_options.open()
    with session:
        project = folder_option.find_project(session)
        # What apps see: under `dev` that may be a draft's clone.
        api = session.api.for_database("")
        with locating_errors(text, question.text if question else text, name, is_file=is_file):
            rows = (
                run_read_only(api, project.id, question).rows
                if question
                else api.sql(project.id, text, idempotent=False)
            )
    if as_csv:
        screen.text(_csv_text(rows))
        return
    screen.result({"type": "rows", "rows": rows}, _lines(rows))


def _read_query(query: str | None, file: str | None) -> tuple[str, str]:
    """The SQL and what it is called in messages."""
    if (query is None) == (file is None):
        raise click.UsageError("give the SQL as an argument, or with --file")
    if query is not None:
        return query, "query"
    assert file is not None
    if file == "-":
        return sys.stdin.read(), "standard input"
    try:
        return Path(file).read_text(encoding="utf-8-sig"), file
    except (OSError, ValueError) as error:
        raise SourceUnreadable(f"{file} can't be read: {getattr(error, 'strerror', None) or error}") from None


def _lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    if rows and set(rows[0]) == {"result"} and len(rows) == 1:
        # A statement without rows answers its command tag so.
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
    "or use psql itself: `mosaic-deploy credentials --reveal` prints the address for it"
)


def refuse_psql_command(query: str, name: str) -> None:
    """Raises SqlNotReadOnly where `query`, called `name` in messages, begins with one of psql's own commands."""
    command = query.lstrip()
    if command.startswith("\\"):
        where = Location(name, *line_and_column(query, len(query) - len(command)))
        message = f"{where}: {command.split()[0]} is a command of psql's own, not SQL; nothing was sent"
        raise SqlNotReadOnly(message, location=where, hint=_HINT)
