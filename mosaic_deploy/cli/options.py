"""Options that several commands share, so that they are spelled and explained once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import click

from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import TargetOptions
from mosaic_deploy.live.api.rate_limit import DEFAULT_PARALLELISM

if TYPE_CHECKING:
    from mosaic_deploy.diff.selection import Selector

F = TypeVar("F", bound=Callable[..., object])
FORMATS = ("text", "json", "ndjson")


def _set_format(ctx: click.Context, _: click.Parameter, value: str) -> str:
    ctx.ensure_object(Screen).format = value
    return value


def _refuse_empty(_ctx: click.Context, _: click.Parameter, value: str | None) -> str | None:
    if value == "":
        # An unset variable in a script must not mean the base manifest, which may be production.
        raise click.BadParameter("is empty; leave the option out for none")
    return value


def _set_color(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
    if value:
        ctx.ensure_object(Screen).color = False
    return value


def output(command: F) -> F:
    """`--output` and `--no-color`: the screen is set up before the command runs."""
    command = click.option(
        "--no-color",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_set_color,
        help="No colours (also: NO_COLOR=1).",
    )(command)
    return click.option(
        "--output",
        "-o",
        type=click.Choice(FORMATS),
        default="text",
        show_default=True,
        expose_value=False,
        is_eager=True,
        callback=_set_format,
        help="For people, or for programs: one JSON document, or one per line.",
    )(command)


def environment(command: F) -> F:
    """`--env`."""
    return click.option(
        "--env",
        "environment",
        metavar="NAME",
        callback=_refuse_empty,
        help="Apply this entry of `environments` (also: MOSAIC_ENV).",
    )(command)


def manifest(command: F) -> F:
    """`PATH` and `--env`."""
    return click.argument("path", default=".", type=click.Path(), metavar="[PATH]")(environment(command))


def target(command: F) -> F:
    """`--local`, `--project` and `--timeout`."""
    command = click.option(
        "--timeout",
        type=click.FloatRange(min=0.1),
        default=30.0,
        show_default=True,
        metavar="SECONDS",
        help="Give up on a request that gets no answer for so long (SQL: at least 600).",
    )(command)
    command = click.option(
        "--project",
        "project_id",
        metavar="ID",
        help="The project's id (also: MOSAIC_PROJECT_ID, project.id in the manifest).",
    )(command)
    return click.option(
        "--local",
        is_flag=True,
        help="Use the embedded platform on this machine, starting it if need be. Needs no account.",
    )(command)


def target_options(command: Callable[..., object]) -> Callable[..., object]:
    """`PATH`, `--env`, `--local`, `--project` and `--timeout`, which the command gets as one: `target_options`."""
    return manifest(target(collect_target_options(command)))


def collect_target_options(command: Callable[..., object]) -> Callable[..., object]:
    """What says which project is meant, put together."""

    @functools.wraps(command)
    def called(
        *arguments: object,
        path: str,
        environment: str | None,
        local: bool,
        project_id: str | None,
        timeout: float,
        **others: object,
    ) -> object:
        return command(
            *arguments, target_options=TargetOptions(path, environment, local, project_id, timeout), **others
        )

    return called


def history(command: F) -> F:
    """`--allow-out-of-order`."""
    return click.option(
        "--allow-out-of-order",
        is_flag=True,
        help="Apply pending migrations also before versions that are applied already.",
    )(command)


def _parse_selectors(
    _ctx: click.Context, _: click.Parameter, values: tuple[str, ...]
) -> tuple[Selector, ...]:
    if not values:
        return ()
    from mosaic_deploy.diff.selection import parse_selector

    try:
        return tuple(parse_selector(value) for value in values)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def selection(command: F) -> F:
    """`--only` and `--except`."""
    command = click.option(
        "--except",
        "excluded",
        multiple=True,
        metavar="SELECTOR",
        callback=_parse_selectors,
        help="Leave these changes out. Written as with --only, and stronger.",
    )(command)
    return click.option(
        "--only",
        multiple=True,
        metavar="SELECTOR",
        callback=_parse_selectors,
        help="Plan these changes alone: a resource (migrations, static, storage, seeds, extensions, auth, project) "
        "or addresses (static:about/*.html). May be repeated.",
    )(command)


def allow(command: F) -> F:
    """`--allow`: consent to one named kind of harm, given beforehand."""
    return click.option(
        "--allow",
        multiple=True,
        type=_AllowType(),
        metavar="HARM",
        help="Agree beforehand to SQL that destroys data (destructive), or to the deletion of exactly N files "
        "under prune: all (prune=N). --yes alone doesn't.",
    )(command)


class _AllowType(click.ParamType[str]):
    """`destructive`, or `prune=` and a number."""

    name = "harm"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        kind, _, count = value.partition("=")
        if value == "destructive" or (kind == "prune" and count.isascii() and count.isdecimal()):
            return value if value == "destructive" else f"prune={int(count)}"
        return self.fail(f"{value!r} is neither destructive nor prune=N, such as prune=37", param, ctx)


def verify(command: F) -> F:
    """`--verify`: compare the live bytes themselves."""
    return click.option(
        "--verify",
        is_flag=True,
        help="Fetch every live file and compare its bytes, which finds edits that kept the size.",
    )(command)


def parallelism(command: F) -> F:
    """`--parallelism`."""
    return click.option(
        "--parallelism",
        type=click.IntRange(1, 64),
        default=DEFAULT_PARALLELISM,
        show_default=True,
        metavar="N",
        help="Send, or fetch, so many files at the same time; fewer where the platform asks to slow down.",
    )(command)


def poll(command: F) -> F:
    """`--poll`."""
    return click.option(
        "--poll",
        is_flag=True,
        help="Compare time stamps three times a second: for network file systems, which tell of no edits.",
    )(command)


def lease(command: F) -> F:
    """`--lock-timeout` and `--force-unlock`."""
    command = click.option(
        "--force-unlock",
        is_flag=True,
        help="Take over the lease of a deploy that is dead: not heard of for 30 seconds, or a process of this "
        "machine that is gone. A deploy that is alive is waited for.",
    )(command)
    return click.option(
        "--lock-timeout",
        type=click.FloatRange(min=0),
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        help="Wait so long for another deploy of the project to end.",
    )(command)
