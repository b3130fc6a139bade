"""A ticket to the platform's support, offered where the platform failed. It is a command: nothing is sent by offering."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import click

from mosaic_deploy.cli.next_commands import Scope
from mosaic_deploy.cli.program import cli
from mosaic_deploy.errors import (
    ApiError,
    MosaicError,
    NextAction,
    ProjectNotReady,
    ResponseLost,
    ServerFailed,
    TransfersFailed,
)
from mosaic_deploy.version import __version__

_PLATFORM_ERRORS = (ServerFailed, ResponseLost, ProjectNotReady)
"""5xx after all attempts, no answer to what was sent, a project that never runs. Not: no connection at all."""
_SERVER_SQLSTATES = re.compile(r"(?:58|F0|XX)[0-9A-Z]{3}|53[0-2]00|57P0[1-5]")
"""SQLSTATEs of a server in trouble: I/O, corruption, no memory or disk, shut down. None that a statement asks for."""
_TICKET_DESCRIPTION = "tell the platform's support; it is shown before it is sent"
_TICKET_COMMAND = "mosaic-deploy ticket"
_UNSAFE_CHARACTERS = re.compile(r"[^\w.:+/-]")


def offer_ticket(error: MosaicError, attempted_command: str, scope: Scope) -> None:
    """Adds the command for a ticket to an error of the platform's making, once. `attempted_command` holds no value of the user's."""
    cause = _platform_cause(error)
    offered = any((action.command or "").startswith(_TICKET_COMMAND) for action in error.next_actions)
    if cause is None or offered or attempted_command.startswith(_TICKET_COMMAND):
        return
    message = " ".join(_message_sentences(cause, error, attempted_command))
    command = scope.command("ticket", "--subject", _subject(cause), "--message", message)
    error.next_actions = (*error.next_actions, NextAction(_TICKET_DESCRIPTION, command, needs_person=True))


def attempted_command_line() -> str:
    """The command line by its command and its options' names: values may be anything, also SQL."""
    return attempted_command(sys.argv[1:])


def attempted_command(words: Sequence[str]) -> str:
    """`words` without any value: the command, and the names of its options."""
    chosen: click.Command = cli
    context = click.Context(cli, resilient_parsing=True)
    path = ["mosaic-deploy"]
    rest = list(words)
    while isinstance(chosen, click.Group) and rest and (found := chosen.get_command(context, rest[0])):
        path.append(rest.pop(0))
        chosen = found
    known = {name for each in chosen.params for name in (*each.opts, *each.secondary_opts)}
    names = (word.partition("=")[0] for word in rest if word.startswith("-"))
    return " ".join([*path, *(name for name in names if name in known and name.startswith("-"))])


def _platform_cause(error: MosaicError) -> MosaicError | None:
    """The failure of the platform that `error` is or comes from."""
    if isinstance(error, TransfersFailed):
        cause = error.__cause__
        return cause if isinstance(cause, _PLATFORM_ERRORS) else None
    state = getattr(error, "sqlstate", None)
    failed = isinstance(error, _PLATFORM_ERRORS) or bool(state and _SERVER_SQLSTATES.fullmatch(state))
    return error if failed else None


def _subject(cause: MosaicError) -> str:
    operation = getattr(cause, "operation", None)
    status = getattr(cause, "status", None)
    facts = [str(fact) for fact in (operation, status and f"HTTP {status}") if fact]
    return f"{cause.code}: {', '.join(facts)}" if facts else cause.code


def _message_sentences(cause: MosaicError, error: MosaicError, attempted_command: str) -> Iterator[str]:
    yield f"Tried: {attempted_command}."
    yield f"Error: {_subject(cause)}{_error_text(cause)}."
    if state := getattr(cause, "sqlstate", None):
        yield f"SQLSTATE: {state}."
    if request := getattr(cause, "request_id", None):
        yield f"Request: {_UNSAFE_CHARACTERS.sub('', str(request))[:100]}."
    if len(error.problems) > 1:
        yield f"Files that failed: {len(error.problems)}."
    yield f"Changed by this run: {error.mutation_state}."
    yield f"When: {datetime.now(UTC).isoformat(timespec='seconds')}."
    yield f"Versions: mosaic-deploy {__version__}, Python {platform.python_version()}, {platform.system()}."


def _error_text(cause: MosaicError) -> str:
    """What was said, where no statement of the user's can be part of it."""
    from mosaic_deploy.live.api.endpoints import RUN_SQL

    if getattr(cause, "sqlstate", None) or getattr(cause, "operation", None) == RUN_SQL.name:
        return ""
    told = cause.message
    if isinstance(cause, ApiError) and cause.operation:
        told = told.removeprefix(f"{cause.operation}: ").removesuffix(f" (HTTP {cause.status})")
    return f": {redact(told).rstrip('.')}"


_MAX_LENGTH = 300
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # Contractions would open a quote that nothing closes.
    (re.compile(r"(?<=[A-Za-z])n't\b"), "n’t"),
    # SQL, from where it begins to the end: no rule tells its values from its words for sure.
    (
        re.compile(
            r"\b(?:SELECT|INSERT|UPDATE|DELETE|VALUES|WITH|CREATE|ALTER|DROP|COPY|GRANT|MERGE|CALL|DO|SET|DECLARE)\b.*"
            r"|\b(?i:insert\s+into|select\s|delete\s+from|update\s+\S+\s+set|values\s*\(|copy\s+\S+\s+from)"
            r"(?s:.*)|\bKey\s*\(.*|\brow contains\b.*",
            re.DOTALL,
        ),
        "[SQL left out]",
    ),
    # Addresses: a database's has its password in it, an upload's its signature.
    (re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S*"), "[address left out]"),
    (re.compile(r"\S+@\S+"), "[address left out]"),
    # What stands in quotes is a name or a value. One that is never closed reaches to the end.
    (re.compile(r"\$(\w*)\$.*?(?:\$\1\$|$)", re.DOTALL), "'…'"),
    (re.compile(r"'(?:[^'\\]|''|\\.)*(?:'|$)", re.DOTALL), "'…'"),
    (re.compile(r'"(?:[^"\\]|""|\\.)*(?:"|$)', re.DOTALL), '"…"'),
    (re.compile(r"`[^`]*(?:`|$)"), "`…`"),
    (re.compile(r"\((?!HTTP \d{3}\))[^()]*(?:\)|$)"), "(…)"),
    (
        re.compile(
            r"(?i)\b(pass\w*|pwd|secret|token|api.?key|key|authorization|bearer|credentials?)\b\s*[:= ]\s*"
            r"(?:(?:bearer|basic)\s+)?\S+"
        ),
        r"\1 […]",
    ),
    (re.compile(r"\w+=\S+"), "[…]"),
    # Keys and tokens are long, or have a mark at their beginning.
    (re.compile(r"\b[A-Za-z]{2,10}_[A-Za-z0-9_-]{4,}"), "[…]"),
    (re.compile(r"[A-Za-z0-9+/_.=-]{24,}"), "[…]"),
    (re.compile(r"\d[\d .,:-]{4,}\d"), "[…]"),
)


def redact(text: str) -> str:
    """`text` as one short line without quoted values, SQL, addresses, keys, passwords and long numbers."""
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    line = " ".join(text.split())
    return line if len(line) <= _MAX_LENGTH else f"{line[: _MAX_LENGTH - 1]}…"
