"""The prompt of `sql` at a terminal: statements are sent one by one, each as `sql "…"` would send it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from prompt_toolkit.output import ColorDepth, create_output
from pygments.lexers.sql import PostgresLexer

from mosaic_deploy.cli import folder_option
from mosaic_deploy.cli.commands.database.prompt_names import (
    NAMES_QUERY,
    columns_query,
    parse_names,
    tables_query,
)
from mosaic_deploy.cli.visible_text import ExactWriter, visible_text
from mosaic_deploy.errors import MosaicError
from mosaic_deploy.sql.queries.typing import Names, is_finished, suggestions

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.screen import Screen
    from mosaic_deploy.cli.target.target import TargetOptions

_HELP = r"""Type SQL and end it with a semicolon. Each statement is sent when it is finished.
  \d          list tables and views
  \d NAME     list the columns of a table or view
  \x          switch between a table and a list of columns per row
  \q, Ctrl-D  leave
  Tab         complete a name; Ctrl-C: drop what is typed, or stop waiting for a statement; Up, Ctrl-R: earlier statements
Every statement is a session of its own. For transactions and psql's other commands: mosaic-deploy psql"""
_LEAVE = frozenset({r"\q", "quit", "exit"})


class RunStatement(Protocol):
    """Runs a statement and prints its answer; `wide` prints each row as a list of its columns."""

    def __call__(self, text: str, name: str, *, wide: bool) -> None: ...


def run_prompt(screen: Screen, target_options: TargetOptions, run: RunStatement, *, no_draft: bool) -> None:
    """Asks for statements until the person leaves. Raises what finding the project raises."""
    session = target_options.open("project_only")
    with session:
        project = folder_option.find_project(session)
    where = "the embedded platform" if session.local else session.api.url
    name = project.name or project.id
    screen.print_notice(
        [f"{name} ({project.id}) on {where}", r"End statements with a semicolon; \? for help, \q to leave."]
    )
    reader = _NamesReader(screen, target_options, no_draft=no_draft)
    _Prompt(screen, visible_text(name), reader, run).ask_until_left()


class _Prompt:
    def __init__(self, screen: Screen, name: str, names: _NamesReader, run: RunStatement) -> None:
        self._screen = screen
        self._names = names
        self._run = run
        self._wide = False
        self._input = _prompt_session(name, names.read, plain=screen.color is False)
        self._prompt = FormattedText([("", f"{name}=> ")])

    def ask_until_left(self) -> None:
        with _cancelling_interrupts():
            self._ask_until_left()

    def _ask_until_left(self) -> None:
        while True:
            try:
                text = self._input.prompt(self._prompt, handle_sigint=False)
            except (_LineDropped, _Cancelled):
                continue
            except EOFError:
                return
            if text.strip().rstrip(";").lower() in _LEAVE:
                return
            if text.strip():
                self._answer(text.strip())

    def _answer(self, text: str) -> None:
        try:
            if text == r"\?" or text.lower() in ("help", "help;"):
                self._screen.print_notice(_HELP.splitlines())
            elif text == r"\x":
                self._wide = not self._wide
                shown = "as a list of its columns" if self._wide else "in a table, if that fits"
                self._screen.print_notice([f"Each row is shown {shown}."])
            else:
                self._run(_described(text), "query", wide=self._wide)
        except MosaicError as error:
            self._screen.error(error)
        except click.Abort:
            self._screen.print_notice(["", "Nothing was changed."])
        except _Cancelled:
            self._screen.print_notice(
                [
                    "",
                    "Stopped waiting. The embedded platform cancels the statement; elsewhere it may still take effect.",
                ]
            )
        finally:
            sys.stdout.flush()
            self._names.forget()


def _described(text: str) -> str:
    r"""The query behind `\d` and `\d NAME`; any other text is returned unchanged."""
    command, _, name = text.rstrip(";").partition(" ")
    if command in (r"\d", r"\dt"):
        return columns_query(name.strip()) if name.strip() else tables_query()
    return text


class _LineDropped(Exception):
    """Ctrl-C at the prompt."""


class _Cancelled(KeyboardInterrupt):
    """Ctrl-C while a statement runs. SIGTERM and a closed terminal end the prompt."""


@contextmanager
def _cancelling_interrupts() -> Iterator[None]:
    def cancel(*_: object) -> None:
        raise _Cancelled

    before = signal.signal(signal.SIGINT, cancel)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _prompt_session(name: str, read_names: Callable[[], Names], *, plain: bool) -> PromptSession[str]:
    keys = KeyBindings()

    @keys.add("c-c")
    def _(event: KeyPressEvent) -> None:
        event.app.exit(exception=_LineDropped(), style="class:aborting")

    session: PromptSession[str] = PromptSession(
        history=_history(),
        completer=_SqlCompleter(read_names),
        complete_in_thread=True,
        complete_while_typing=False,
        enable_history_search=True,
        lexer=None if plain else PygmentsLexer(PostgresLexer),
        multiline=Condition(lambda: not _is_sent(session.default_buffer.text)),
        prompt_continuation=lambda width, *_: f"{name}-> ".rjust(width),
        key_bindings=keys,
        # stdout has only the rows.
        output=create_output(stdout=ExactWriter(sys.stderr)),  # type: ignore[arg-type]
        color_depth=ColorDepth.DEPTH_1_BIT if plain else None,
    )
    return session


def _is_sent(text: str) -> bool:
    """Whether Enter sends the text instead of beginning another line."""
    stripped = text.strip()
    command = stripped.startswith("\\") or stripped.rstrip(";").lower() in (*_LEAVE, "help")
    return not stripped or command or is_finished(text)


class _SqlCompleter(Completer):
    def __init__(self, read_names: Callable[[], Names]) -> None:
        self._read_names = read_names

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        found = suggestions(document.text_before_cursor, document.text, self._read_names())
        return [Completion(text, -found.length) for text in found.texts]


class _NamesReader:
    """The names in the database, read when they are first needed after a statement."""

    def __init__(self, screen: Screen, target_options: TargetOptions, *, no_draft: bool) -> None:
        self._screen = screen
        self._target_options = target_options
        self._no_draft = no_draft
        self._names: Names | None = None

    def forget(self) -> None:
        self._names = None

    def read(self) -> Names:
        """Without a connection there are no names; the next statement says why."""
        if self._names is None:
            try:
                self._names = self._read()
            except MosaicError:
                self._names = Names()
        return self._names

    def _read(self) -> Names:
        with self._target_options.open("project_only") as session:
            project = folder_option.find_project(session)
            api = session.api.for_database("base" if self._no_draft else "")
            return parse_names(api.sql(project.id, NAMES_QUERY))


class _SqlHistory(FileHistory):
    """Statements of earlier runs. One that begins with a space or mentions a password isn't written."""

    def store_string(self, string: str) -> None:
        if string.startswith(" ") or "password" in string.lower():
            return
        super().store_string(string)


def _history() -> History:
    """`sql_history` in `mosaic-deploy` in `XDG_STATE_HOME`; only in memory if that can't be written."""
    base = os.environ.get("XDG_STATE_HOME", "")
    folder = (
        Path(base) if Path(base).is_absolute() else Path("~/.local/state").expanduser()
    ) / "mosaic-deploy"
    file = folder / "sql_history"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.touch(mode=0o600)
        with file.open("ab"):
            return _SqlHistory(str(file))
    except (OSError, RuntimeError):
        return InMemoryHistory()
