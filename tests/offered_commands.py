"""Checks that the program's suggested commands parse, with its own command tree."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import click

from mosaic_deploy.cli.program import cli
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.model.command_line import program_words

_OFFERED = re.compile(r"^ *next: [^\n]*?:  (.+)$", re.MULTILINE)
_QUOTED = re.compile(r"`(mosaic-deploy [^`]+)`")


def parse(arguments: list[str]) -> click.Context | None:
    """Parses a command line like the program, without running it; None for a group alone.

    Raises ClickException for an invalid one, and for an option that is given twice but isn't repeatable.
    """
    command: click.Command = cli
    context: click.Context | None = None
    rest = arguments
    while isinstance(command, click.Group):
        context = click.Context(command, parent=context, info_name=command.name, obj=Screen())
        if not rest:
            return None
        _, chosen, rest = command.resolve_command(context, rest)
        assert chosen is not None
        command = chosen
    _reject_repeated(command, rest)
    return command.make_context(str(command.name), list(rest), parent=context, obj=Screen())


def _reject_repeated(command: click.Command, words: list[str]) -> None:
    """Click itself silently takes the last one."""
    for option in command.params:
        if isinstance(option, click.Option) and not option.multiple:
            given = [
                word for word in words if word.partition("=")[0] in (*option.opts, *option.secondary_opts)
            ]
            if len(given) > 1:
                raise click.UsageError(f"{given[0]} is given {len(given)} times")


def suggested_in(document: Any) -> Iterator[str]:
    """Every command in a document: in next actions, and in backticks in hints."""
    if isinstance(document, dict):
        actions, hint = document.get("next_actions"), document.get("hint")
        if isinstance(actions, list):
            yield from (action["command"] for action in actions if action["command"])
        if isinstance(hint, str):
            yield from _QUOTED.findall(hint)
        for value in document.values():
            yield from suggested_in(value)
    elif isinstance(document, list):
        for value in document:
            yield from suggested_in(value)


def suggested_by(stdout: str, stderr: str) -> Iterator[str]:
    """Every command suggested in a run's output, in any format."""
    yield from _OFFERED.findall(stderr)
    for document in _documents(stdout):
        yield from suggested_in(document)


def check_suggested(commands: Iterator[str]) -> None:
    """Fails for a command that doesn't parse, or has a placeholder."""
    for command in commands:
        program, *arguments = program_words(command)
        if program == "mosaic-deploy" and "--help" not in arguments:
            try:
                parse(arguments)
            except click.ClickException as error:
                raise AssertionError(f"suggested: {command}\n{error.format_message()}") from None
        assert not re.search(r"[<>]", " ".join(arguments)) or "ticket" in arguments, (
            f"placeholder in: {command}"
        )


def _documents(stdout: str) -> Iterator[Any]:
    """The documents of `json` or `ndjson` output; none for text."""
    if not stdout.startswith("{"):
        return
    try:
        yield json.loads(stdout)
    except ValueError:
        for line in stdout.splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                return
