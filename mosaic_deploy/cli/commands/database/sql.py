"""`mosaic-deploy sql`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mosaic_deploy.cli import folder_option, options
from mosaic_deploy.cli.commands.database.served_database import no_draft_option
from mosaic_deploy.cli.render.layout import output_width
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import TargetOptions
from mosaic_deploy.errors import Location, PackageMissing, SourceUnreadable, SqlInvalid
from mosaic_deploy.sql.parse import line_and_column

if TYPE_CHECKING:
    from mosaic_deploy.cli.commands.database.run_query import QueryAnswer


class _SqlCommand(folder_option.FolderCommand):
    """SQL may begin with a comment, which looks like an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(
            ctx, [f" {each}" if each.startswith(("-- ", "--\n")) else each for each in args]
        )


@click.command(cls=_SqlCommand)
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
@click.option(
    "--expanded",
    "-x",
    is_flag=True,
    help="Print each row as a list of its columns, as for rows wider than the terminal.",
)
@no_draft_option
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
    expanded: bool,
    no_draft: bool,
    target_options: TargetOptions,
) -> None:
    """Run SQL in the project's database. Prints the rows of the last statement.

    QUERY is the SQL, or - for stdin. Without it stdin is read if it is a pipe or a file; at a terminal you get a prompt.

    The SQL isn't recorded and isn't retried; put schema changes in a migration. Every call is a session of its own:
    settings and temporary tables don't outlast it. NOTICE and WARNING go to stderr.
    What it does to existing rows is measured: more than inserts and plain updates needs approval.

    \b
    Examples:
      mosaic-deploy sql "SELECT * FROM todos LIMIT 10"
      mosaic-deploy sql --read-only --csv --file report.sql
      echo "SELECT now()" | mosaic-deploy sql
      mosaic-deploy sql
    """
    from mosaic_deploy.cli.commands.database.run_query import RunOptions, SqlText, run_query
    from mosaic_deploy.cli.terminal.consent import is_interactive

    run_options = RunOptions(read_only, allow, no_draft, as_text=screen.format == "text")

    def run(text: str, name: str, *, is_file: bool = False, wide: bool = expanded) -> None:
        refuse_psql_command(text, name)
        answer = run_query(screen, target_options, SqlText(text, name, is_file), run_options)
        _print_answer(screen, answer, as_csv=as_csv, expanded=wide)

    if query is None and file is None and sys.stdin.isatty() and is_interactive() and screen.format == "text":
        _require_prompt()
        from mosaic_deploy.cli.commands.database.sql_prompt import run_prompt

        run_prompt(screen, target_options, run, no_draft=no_draft)
        return
    text, name = _read_query(query, file)
    if not text.strip():
        raise click.UsageError(f"{name} is empty; pass the SQL as an argument, or a file with --file")
    run(text, name, is_file=file not in (None, "-"))


def _require_prompt() -> None:
    """Raises PackageMissing if the packages of the prompt aren't installed."""
    from importlib.util import find_spec

    if not (find_spec("prompt_toolkit") and find_spec("pygments")):
        from mosaic_deploy.installed import install_command

        raise PackageMissing(
            "the prompt needs packages that aren't installed",
            hint=f"{install_command('prompt')}; or pass the SQL as an argument, or use `mosaic-deploy psql`",
        )


def _print_answer(screen: Screen, answer: QueryAnswer, *, as_csv: bool, expanded: bool) -> None:
    screen.sql_notices(answer.notices)
    from mosaic_deploy.cli.render.text.query_rows import csv_text, rows_lines

    if as_csv:
        if answer.tag is None:
            if written := csv_text(answer.shown):
                screen.exact_text(written)
        else:
            screen.print_notice([answer.tag])
        return
    notices = [asdict(notice) for notice in answer.notices]
    document = {"type": "rows", "rows": answer.rows, "notices": notices, "draft": answer.is_draft}
    lines: Iterable[str] = [answer.tag] if answer.tag is not None else ()
    screen.result(document, lines or rows_lines(answer.shown, output_width(sys.stdout), expanded=expanded))


def _read_query(query: str | None, file: str | None) -> tuple[str, str]:
    """The SQL, and its name in messages."""
    if query is not None and file is not None:
        raise click.UsageError("pass the SQL as an argument, or a file with --file")
    if query not in (None, "-"):
        assert query is not None
        return query, "query"
    if file not in (None, "-"):
        assert file is not None
        return _read_file(file), file
    if query is None and file is None and sys.stdin.isatty():
        raise click.UsageError("pass the SQL as an argument, or a file with --file")
    return sys.stdin.read(), "stdin"


def _read_file(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise SourceUnreadable(f"can't read {file}: {getattr(error, 'strerror', None) or error}") from None


_HINT = (
    "write a query, such as SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'NAME'; "
    "or use `mosaic-deploy psql`"
)


def refuse_psql_command(query: str, name: str) -> None:
    """Raises SqlInvalid if `query` begins with a psql meta-command. Messages call it `name`."""
    command = query.lstrip()
    if command.startswith("\\"):
        where = Location(name, *line_and_column(query, len(query) - len(command)))
        message = f"{where}: {command.split()[0]} is a psql meta-command, not SQL; nothing was sent"
        raise SqlInvalid(message, location=where, hint=_HINT)
