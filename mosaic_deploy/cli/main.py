"""Runs a command line. Every error becomes a message and an exit code here."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from mosaic_deploy.cli.lazy_groups import UnknownCommand
from mosaic_deploy.cli.options import FORMATS
from mosaic_deploy.cli.program import cli
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.terminal import interrupts, streams
from mosaic_deploy.errors import Interrupted, MosaicError, NextAction, UsageInvalid


def run(arguments: Sequence[str]) -> int:
    """Runs one command and returns the exit code."""
    screen = Screen()
    try:
        code = _run(screen, arguments)
    except (BrokenPipeError, streams.StdoutUnwritable) as error:
        return _report_unwritable(error)
    failure = streams.flush_stdout()
    return code if failure is None else _report_unwritable(failure)


def _run(screen: Screen, arguments: Sequence[str]) -> int:
    try:
        result = cli.main(list(arguments), prog_name="mosaic-deploy", standalone_mode=False, obj=screen)
    except click.ClickException as error:
        _show_usage_error(screen, error, arguments)
        # With this option, 2 means that there are changes.
        return 1 if "--detailed-exitcode" in arguments else error.exit_code
    except (click.Abort, KeyboardInterrupt):
        interrupts.end_on_signals()
        screen.error(Interrupted("interrupted"))
        return Interrupted.exit_code
    except MosaicError as error:
        _complete_error(error, arguments, screen.format)
        screen.error(error)
        return error.exit_code
    except (BrokenPipeError, streams.StdoutUnwritable):
        raise
    except Exception as error:
        if os.environ.get("MOSAIC_DEBUG"):
            raise
        screen.error(_internal_error(error))
        return 1
    return result if isinstance(result, int) else 0


def _report_unwritable(error: OSError) -> int:
    """Handles output that can't be written. A reader that exited (`| head`) is not reported."""
    streams.redirect_to_null(1)
    try:
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"error: can't write to stdout: {error.strerror}\n")
        sys.stderr.flush()
    except OSError:
        streams.redirect_to_null(2)
    return 1


def _show_usage_error(screen: Screen, error: click.ClickException, arguments: Sequence[str]) -> None:
    """Shows click's own message to people, and one error document to programs."""
    screen.format = _requested_format(arguments) or screen.format
    if screen.format == "text":
        error.show(sys.stderr)
        return
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = f"{context.command_path} --help" if context else "mosaic-deploy --help"
    use = error.use if isinstance(error, UnknownCommand) else None
    actions = [NextAction("run this instead", use)] if use else []
    screen.error(UsageInvalid(error.format_message(), hint=f"`{hint}` shows the usage", next_actions=actions))


def _complete_error(error: MosaicError, arguments: Sequence[str], output: str) -> None:
    """Completes the errors of commands without a session; a session has completed its own."""
    from mosaic_deploy.cli.next_commands import Scope
    from mosaic_deploy.cli.support_ticket import attempted_command, offer_ticket

    offer_ticket(error, attempted_command(arguments), Scope(local="--local" in arguments))
    error.next_actions = Scope(output=output).add_scope_to_actions(error.next_actions)


def _requested_format(arguments: Sequence[str]) -> str | None:
    """The value of `--output` in a command line that click rejected, perhaps before it read the option."""
    found = None
    for argument, following in zip(arguments, [*arguments, ""][1:], strict=True):
        if argument in ("--output", "-o"):
            found = following
        elif argument.startswith("--output="):
            found = argument.removeprefix("--output=")
        elif argument.startswith("-o"):
            found = argument.removeprefix("-o")
    return found if found in FORMATS else None


def _internal_error(error: Exception) -> MosaicError:
    return MosaicError(
        f"a bug in mosaic-deploy: {type(error).__name__}: {error}",
        hint="please report it, with the output of the same command run with MOSAIC_DEBUG=1",
        mutation_state="unknown",
    )
