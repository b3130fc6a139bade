"""Completes suggested commands, so that they select the same project as this run when pasted."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import click
from click.core import ParameterSource

from mosaic_deploy.cli.program import cli
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.errors import NextAction
from mosaic_deploy.model.command_line import program_words, with_options

PROGRAM = "mosaic-deploy"
_QUOTED_COMMAND = re.compile(rf"`({PROGRAM} [^`]+)`")


@dataclass(frozen=True, slots=True)
class Scope:
    """What selects the project (flags and PATH), and the output format."""

    local: bool = False
    environment: str | None = None
    project_id: str | None = None
    path: str = "."
    output: str = "text"

    def command(self, *words: str) -> str:
        """A command line of this program for this project."""
        return self.add_scope(shlex.join([PROGRAM, *words]))

    def add_scope(self, command: str) -> str:
        """`command` with the options of this scope that it accepts and lacks; other programs' commands are unchanged."""
        context = _parse_command(command)
        return with_options(command, *self._missing_options(context)) if context else command

    def add_scope_to_text(self, text: str | None) -> str | None:
        """`text` with the commands in backticks completed. They are for people, so they get no output format."""
        for_people = replace(self, output="text")
        return text and _QUOTED_COMMAND.sub(lambda found: f"`{for_people.add_scope(found.group(1))}`", text)

    def add_scope_to_actions(self, actions: Iterable[NextAction]) -> tuple[NextAction, ...]:
        """`actions` with their commands completed."""
        return tuple(
            replace(action, command=self._add_consent(self.add_scope(action.command), action))
            if action.command
            else action
            for action in actions
        )

    def _add_consent(self, command: str, action: NextAction) -> str:
        """`command` with `--yes` for a program, which can't be asked, unless a person must decide.

        A command that asks only with `--accept` doesn't get it without.
        """
        context = None if self.output == "text" or action.needs_person else _parse_command(command)
        asks = context and context.params.get("yes") is False and context.params.get("accept") is not False
        return with_options(command, "--yes") if asks else command

    def _missing_options(self, context: click.Context) -> Iterator[str]:
        given = context.params
        if self.local and given.get("local") is False:
            yield "--local"
        if self.environment and "environment" in given and given["environment"] is None:
            yield from ("--env", self.environment)
        if self.project_id and "project_id" in given and given["project_id"] is None:
            yield from ("--project", self.project_id)
        if self.output != "text" and context.get_parameter_source("output") is ParameterSource.DEFAULT:
            yield from ("-o", self.output)
        if self.path != "." and str(given.get("path")) == ".":
            [path] = (each for each in context.command.params if each.name == "path")
            yield from ((path.opts[0],) if isinstance(path, click.Option) else ())
            # A leading dash would make it an option.
            yield f"./{self.path}" if self.path.startswith("-") else self.path


def current_output_format() -> str:
    """The `--output` of the running command; `text` if none runs."""
    context = click.get_current_context(silent=True)
    screen = context.find_object(Screen) if context else None
    return screen.format if screen else "text"


def _parse_command(command: str) -> click.Context | None:
    """A command line of this program as click parses it; None for other programs and incomplete commands."""
    try:
        words = program_words(command)
        if words[:1] != [PROGRAM]:
            return None
        return _parse_words(cli, words[1:])
    except (ValueError, click.ClickException):
        return None


def _parse_words(group: click.Group, words: list[str]) -> click.Context | None:
    settings: Any = {"resilient_parsing": True}
    chosen: click.Command = group
    parent: click.Context | None = None
    while isinstance(chosen, click.Group):
        parent = click.Context(chosen, parent=parent, **settings)
        found = chosen.get_command(parent, words[0]) if words else None
        if found is None:
            return None
        chosen, words = found, words[1:]
    return chosen.make_context(chosen.name, words, parent=parent, **settings)
