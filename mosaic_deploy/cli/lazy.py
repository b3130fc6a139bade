"""Groups whose commands are imported only when they are run."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click


class LazyGroup(click.Group):
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


def lazy_group(commands: Mapping[str, str]) -> type[LazyGroup]:
    """A group class with this table of commands."""
    return type("LazyGroup", (LazyGroup,), {"lazy": commands})
