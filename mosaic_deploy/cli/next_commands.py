"""Commands that are offered: whole, so that pasted as they are they mean the same project as this run."""

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
    """What says which project is meant: flags, and the PATH of its folder or manifest; and how it is to be told."""

    local: bool = False
    environment: str | None = None
    project_id: str | None = None
    path: str = "."
    output: str = "text"

    def command(self, *words: str) -> str:
        """The program with `words`, for this project."""
        return self.add_scope(shlex.join([PROGRAM, *words]))

    def add_scope(self, command: str) -> str:
        """`command` with what it can take of this scope and doesn't say itself; another program's as it is."""
        context = _parse_command(command)
        return with_options(command, *self._missing_options(context)) if context else command

    def add_scope_to_text(self, text: str | None) -> str | None:
        """A sentence with its commands in backticks made whole; they are for people to read, so in no format."""
        said = replace(self, output="text")
        return text and _QUOTED_COMMAND.sub(lambda found: f"`{said.add_scope(found.group(1))}`", text)

    def add_scope_to_actions(self, actions: Iterable[NextAction]) -> tuple[NextAction, ...]:
        """Actions with their commands made whole."""
        return tuple(
            replace(action, command=self.add_scope(action.command)) if action.command else action
            for action in actions
        )

    def _missing_options(self, context: click.Context) -> Iterator[str]:
        said = context.params
        if self.local and said.get("local") is False:
            yield "--local"
        if self.environment and "environment" in said and said["environment"] is None:
            yield from ("--env", self.environment)
        if self.project_id and "project_id" in said and said["project_id"] is None:
            yield from ("--project", self.project_id)
        if self.output != "text" and context.get_parameter_source("output") is ParameterSource.DEFAULT:
            yield from ("-o", self.output)
        if self.path != "." and str(said.get("path")) == ".":
            [path] = (each for each in context.command.params if each.name == "path")
            yield from ((path.opts[0],) if isinstance(path, click.Option) else ())
            # The only word that could be taken for an option.
            yield f"./{self.path}" if self.path.startswith("-") else self.path


def current_output_format() -> str:
    """What `--output` says of the command that runs; for people where none does."""
    context = click.get_current_context(silent=True)
    screen = context.find_object(Screen) if context else None
    return screen.format if screen else "text"


def _parse_command(command: str) -> click.Context | None:
    """What a command of ours says, by its own definition; None for any other, or one that isn't whole."""
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
