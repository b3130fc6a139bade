"""Suggests a support ticket when the platform failed. Nothing is sent: the suggestion is a command."""

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
"""5xx after all attempts, a lost response, a project that never becomes ready. Not a missing connection."""
_SERVER_SQLSTATES = re.compile(r"(?:58|F0|XX)[0-9A-Z]{3}|53[0-2]00|57P0[1-5]")
"""SQLSTATEs of a failing server (I/O, corruption, out of memory or disk, shutdown), never of a faulty statement."""
_TICKET_DESCRIPTION = "report this to support (shown before it is sent)"
_TICKET_COMMAND = "mosaic-deploy ticket"
_UNSAFE_CHARACTERS = re.compile(r"[^\w.:+/-]")


def offer_ticket(error: MosaicError, attempted_command: str, scope: Scope) -> None:
    """Adds a ticket command to an error that the platform caused, once. `attempted_command` contains no user values."""
    cause = _platform_cause(error)
    offered = any((action.command or "").startswith(_TICKET_COMMAND) for action in error.next_actions)
    if cause is None or offered or attempted_command.startswith(_TICKET_COMMAND):
        return
    message = " ".join(_message_sentences(cause, error, attempted_command))
    command = scope.command("ticket", "--subject", _subject(cause), "--message", message)
    error.next_actions = (*error.next_actions, NextAction(_TICKET_DESCRIPTION, command, needs_person=True))


def attempted_command_line() -> str:
    """This run's command and option names, without values, which may be anything, such as SQL."""
    return attempted_command(sys.argv[1:])


def attempted_command(words: Sequence[str]) -> str:
    """The command and option names in `words`, without values."""
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
    """The platform's failure that is `error` or caused it; None if there is none."""
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
        yield f"Failed files: {len(error.problems)}."
    yield f"Changed by this run: {error.mutation_state}."
    yield f"When: {datetime.now(UTC).isoformat(timespec='seconds')}."
    yield f"Versions: mosaic-deploy {__version__}, Python {platform.python_version()}, {platform.system()}."


def _error_text(cause: MosaicError) -> str:
    """The redacted message, empty if it could contain the user's SQL."""
    from mosaic_deploy.live.api.endpoints import RUN_SQL

    if getattr(cause, "sqlstate", None) or getattr(cause, "operation", None) == RUN_SQL.name:
        return ""
    message = cause.message
    if isinstance(cause, ApiError) and cause.operation:
        message = message.removeprefix(f"{cause.operation}: ").removesuffix(f" (HTTP {cause.status})")
    return f": {redact(message).rstrip('.')}"


_MAX_LENGTH = 300
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # The apostrophe of a contraction isn't an opening quote.
    (re.compile(r"(?<=[A-Za-z])n't\b"), "n’t"),
    # SQL, from its start to the end of the text: no rule separates its values from its keywords reliably.
    (
        re.compile(
            r"\b(?:SELECT|INSERT|UPDATE|DELETE|VALUES|WITH|CREATE|ALTER|DROP|COPY|GRANT|MERGE|CALL|DO|SET|DECLARE)\b.*"
            r"|\b(?i:insert\s+into|select\s|delete\s+from|update\s+\S+\s+set|values\s*\(|copy\s+\S+\s+from)"
            r"(?s:.*)|\bKey\s*\(.*|\brow contains\b.*",
            re.DOTALL,
        ),
        "[SQL removed]",
    ),
    # URLs: a database's contains its password, an upload's its signature. Then email addresses.
    (re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S*"), "[URL removed]"),
    (re.compile(r"\S+@\S+"), "[address removed]"),
    # Quoted names and values. An unclosed quote reaches to the end.
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
    # Keys and tokens are long, or have a prefix.
    (re.compile(r"\b[A-Za-z]{2,10}_[A-Za-z0-9_-]{4,}"), "[…]"),
    (re.compile(r"[A-Za-z0-9+/_.=-]{24,}"), "[…]"),
    (re.compile(r"\d[\d .,:-]{4,}\d"), "[…]"),
)


def redact(text: str) -> str:
    """`text` as one short line without quoted values, SQL, addresses, keys, passwords and long numbers."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    line = " ".join(text.split())
    return line if len(line) <= _MAX_LENGTH else f"{line[: _MAX_LENGTH - 1]}…"
