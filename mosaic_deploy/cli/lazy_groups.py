"""Command groups: help in sections, commands that are imported only when they run, and hints for unknown names."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import click


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """One row of a group's table: `target` is `module:attribute`.

    `summary` is the first sentence of the command's docstring, so that `--help` needs no import; a test compares them.
    """

    target: str
    summary: str
    section: str = "Commands"
    hidden: bool = False


class UnknownCommand(click.UsageError):
    """There is no such command; `use` is the command to run instead, None if that isn't known."""

    def __init__(self, message: str, ctx: click.Context, use: str | None) -> None:
        super().__init__(message, ctx)
        self.use = use


class Group(click.Group):
    """A group with whole summaries in `--help`, and errors that name the command or the place of an option."""

    group_class = type
    synonyms: Mapping[str, str] = {}
    """Words from other tools → the command line to use instead, without `mosaic-deploy`."""
    explanations: Mapping[str, str] = {}
    """Words from other tools that no command covers → what to do."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.possibilities:
                raise
            raise click.NoSuchOption(
                error.option_name,
                f"{error.message} Options come after the command.",
                error.possibilities,
                error.ctx,
            ) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name.startswith("-") or ctx.resilient_parsing or self.get_command(ctx, name) is not None:
            return super().resolve_command(ctx, args)
        advice, use = self._advice(ctx, name)
        raise UnknownCommand(f"No such command {name!r}. {advice}", ctx, use)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for section, name, summary in self.summaries(ctx):
            sections.setdefault(section, []).append((name, summary))
        # One column of names for all sections.
        width = max((len(name) for rows in sections.values() for name, _ in rows), default=0)
        for section, rows in sections.items():
            with formatter.section(section):
                formatter.write_dl([(name.ljust(width), summary) for name, summary in rows])

    def summaries(self, ctx: click.Context) -> Iterator[tuple[str, str, str]]:
        """Section, name and summary of each visible command, in the order of `--help`."""
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                yield "Commands", name, command.get_short_help_str(limit=200).removesuffix(".")

    def _advice(self, ctx: click.Context, name: str) -> tuple[str, str | None]:
        """What to do instead of the unknown command `name`, and the command for it if there is one."""
        from difflib import get_close_matches

        word = name.lower()
        if word in self.explanations:
            return self.explanations[word], None
        if word in self.synonyms:
            use = f"mosaic-deploy {self.synonyms[word]}"
            return f"Use: {use}", use
        known = self.list_commands(ctx)
        if close := get_close_matches(word, known, 1):
            return f"Did you mean {close[0]!r}?", f"{ctx.command_path} {close[0]}"
        if len(known) > _MAX_LISTED:
            return f"List the commands with: {ctx.command_path} --help", f"{ctx.command_path} --help"
        return f"Commands: {', '.join(known)}.", None


_MAX_LISTED = 12
"""More names than these aren't listed in an error."""


class LazyGroup(Group):
    """A group whose commands are in `entries`, by name and in the order of `--help`."""

    entries: Mapping[str, CommandEntry] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, entry in self.entries.items() if not entry.hidden]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.entries:
            return None
        module, name = self.entries[cmd_name].target.split(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def summaries(self, ctx: click.Context) -> Iterator[tuple[str, str, str]]:
        for name, entry in self.entries.items():
            if not entry.hidden:
                yield entry.section, name, entry.summary


def lazy_group(
    entries: Mapping[str, CommandEntry],
    *,
    synonyms: Mapping[str, str] | None = None,
    explanations: Mapping[str, str] | None = None,
) -> type[LazyGroup]:
    """A group class with these tables."""
    attributes = {"entries": entries, "synonyms": synonyms or {}, "explanations": explanations or {}}
    return type("LazyGroup", (LazyGroup,), attributes)
