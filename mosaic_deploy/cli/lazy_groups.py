"""Groups of commands, and groups whose commands are imported only when they are run."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click


class Group(click.Group):
    """As click's; where an option comes before the command, its error says where it belongs."""

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


class LazyGroup(Group):
    """`lazy` maps names, in the order of `--help`, to `module:attribute`."""

    lazy: Mapping[str, str] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.lazy:
            return None
        module, name = self.lazy[cmd_name].split(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's; an unknown command's error names the one that was probably meant."""
        name = args[0]
        if name not in self.lazy and not name.startswith("-") and not ctx.resilient_parsing:
            ctx.fail(f"No such command {name!r}. {_suggestion(name, list(self.lazy))}")
        return super().resolve_command(ctx, args)


def _suggestion(name: str, known: list[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name.lower(), known, 1)
    return f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(known)}."


def lazy_group(commands: Mapping[str, str]) -> type[LazyGroup]:
    """A group class with this table of commands."""
    return type("LazyGroup", (LazyGroup,), {"lazy": commands})
