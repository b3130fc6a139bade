"""`--in PATH` without a PATH argument, for commands whose own arguments would be mistaken for one."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import click

from mosaic_deploy.cli import options

if TYPE_CHECKING:
    from mosaic_deploy.cli.target.session import Session
    from mosaic_deploy.model.snapshot import Project

F = TypeVar("F", bound=Callable[..., object])


class FolderCommand(click.Command):
    """A command with `--in`. Its error for an extra argument suggests the option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.allow_extra_args = True
        rest = super().parse_args(ctx, args)
        if rest and not ctx.resilient_parsing:
            ctx.fail(f"Unexpected argument {rest[0]!r}. Did you mean --in {shlex.quote(rest[0])}?")
        return rest


def target_options(command: Callable[..., object]) -> Callable[..., object]:
    """`--in`, `--env`, `--local`, `--project` and `--timeout`, passed to the command as one `target_options`."""
    command = options.project(options.environment(options.collect_target_options(command)))
    return options.in_option("path", default=".")(command)


def local(command: F) -> F:
    """`--local`, for commands without a project."""
    return click.option("--local", is_flag=True, help="Use the embedded platform on this machine.")(command)


def find_project(session: Session) -> Project:
    """The live project that the session selects. Raises ProjectNotFound if it isn't created yet, ProjectAmbiguous."""
    from mosaic_deploy.live.find_project import find_existing_project

    target = session.target
    return find_existing_project(session.api, id=target.id, name=target.name, hint=target.hint)
