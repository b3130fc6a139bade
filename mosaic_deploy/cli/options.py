"""Options shared by several commands, as decorators."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import TargetOptions
from mosaic_deploy.live.api.rate_limit import DEFAULT_PARALLELISM
from mosaic_deploy.model.kind import BY_SELECTOR

if TYPE_CHECKING:
    from mosaic_deploy.diff.selection import Selector

F = TypeVar("F", bound=Callable[..., object])
FORMATS = ("text", "json", "ndjson")


def _set_format(ctx: click.Context, _: click.Parameter, value: str) -> str:
    ctx.ensure_object(Screen).format = value
    return value


def _refuse_empty(_ctx: click.Context, _: click.Parameter, value: str | None) -> str | None:
    if value == "":
        # An unset variable in a script must not select the base manifest, which may be production.
        raise click.BadParameter("is empty; omit the option to use no environment")
    return value


def _set_color(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
    if value:
        ctx.ensure_object(Screen).color = False
    return value


_LARGEST = 2**31 - 1
_DAY = 86_400


class NumberRange(click.ParamType[float]):
    """Checks a number like `number_range`, whose `[default: 16; 1<=x<=64]` in `--help` isn't shown."""

    def __init__(self, number_range: click.IntRange | click.FloatRange) -> None:
        self._number_range = number_range
        self.name = number_range.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | float:
        number = self._number_range.convert(value, param, ctx)
        if not abs(number) <= _LARGEST:  # also NaN, which is in every range
            self.fail(f"{str(value)[:20]!r} isn't a number up to {_LARGEST}", param, ctx)
        return number


def output(command: F) -> F:
    """`--output` and `--no-color`, which set up the screen before the command runs."""
    return _output(
        command, FORMATS, "Output format: text, one JSON document, or one per line (default: text)."
    )


def stream_output(command: F) -> F:
    """As `output`, for a command that reports until it is stopped, so its output is never one document."""
    return _output(
        command, ("text", "ndjson"), "Output format: text, or a JSON document per line (default: text)."
    )


def _output(command: F, formats: Sequence[str], help: str) -> F:
    command = click.option(
        "--no-color",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_set_color,
        help="Disable colors (also: NO_COLOR=1).",
    )(command)
    return click.option(
        "--output",
        "-o",
        type=click.Choice(formats),
        default="text",
        expose_value=False,
        is_eager=True,
        callback=_set_format,
        help=help,
    )(command)


def environment(command: F) -> F:
    """`--env`."""
    return click.option(
        "--env",
        "environment",
        metavar="NAME",
        callback=_refuse_empty,
        help="Environment from the manifest (also: MOSAIC_ENV).",
    )(command)


def manifest(command: F) -> F:
    """`PATH` or `--in`, and `--env`."""
    return path(environment(command))


def path(command: F, path_type: type[str | Path] = str) -> F:
    """`PATH`, which can also be given as `--in`."""
    command = in_option("in_path", expose_value=False, is_eager=True, callback=_keep_in_path)(command)
    chosen_type = click.Path(path_type=path_type)
    return click.argument("path", default=".", type=chosen_type, metavar="[PATH]", callback=_choose_path)(
        command
    )


def in_option(name: str, **settings: Any) -> Callable[[F], F]:
    """`--in`, for every command that reads a project folder."""
    return click.option(
        "--in",
        name,
        type=click.Path(),
        metavar="PATH",
        help="Project folder or manifest (default: .).",
        **settings,
    )


_IN_PATH = "mosaic_deploy.in_path"


def _keep_in_path(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    ctx.meta[_IN_PATH] = value


def _choose_path(ctx: click.Context, param: click.Parameter, value: str | Path) -> str | Path:
    chosen: str | None = ctx.meta.get(_IN_PATH)
    if chosen is None:
        return value
    assert param.name is not None
    if ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE:
        raise click.UsageError(f"PATH is given twice: {value} and --in {chosen}", ctx)
    path: str | Path = param.type(chosen, param, ctx)
    return path


def project(command: F) -> F:
    """`--local`, `--project` and `--timeout`."""
    command = click.option(
        "--timeout",
        type=NumberRange(click.FloatRange(0.1, _DAY)),
        default=30.0,
        metavar="SECONDS",
        help="Request timeout (default: 30). Requests that run SQL get at least 600 s.",
    )(command)
    command = click.option(
        "--project",
        "project_id",
        metavar="ID",
        help="Project ID (also: MOSAIC_PROJECT_ID, project.id in the manifest).",
    )(command)
    return click.option(
        "--local",
        is_flag=True,
        help="Use the embedded platform on this machine (starts it if needed). No account needed.",
    )(command)


def target_options(command: Callable[..., object]) -> Callable[..., object]:
    """`PATH`, `--env`, `--local`, `--project` and `--timeout`, passed to the command as one `target_options`."""
    return manifest(project(collect_target_options(command)))


def collect_target_options(command: Callable[..., object]) -> Callable[..., object]:
    """Passes the five parameters that select a project as one `target_options`."""

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


def out_of_order(command: F) -> F:
    """`--allow-out-of-order`."""
    return click.option(
        "--allow-out-of-order",
        is_flag=True,
        help="Also apply pending migrations that are older than applied ones.",
    )(command)


def rehearse(command: F) -> F:
    """`--rehearse` and `--no-rehearse`."""
    text = "Run pending SQL files on a copy of the live schema first (default with the `local` extra)."
    return click.option("--rehearse/--no-rehearse", default=None, help=text)(command)


def detailed_exitcode(command: F) -> F:
    """`--detailed-exitcode`."""
    return click.option(
        "--detailed-exitcode",
        is_flag=True,
        help="Exit with 0 for no changes, 1 for an error, 2 for changes or checks that haven't passed.",
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
        help="Skip these changes. Takes the same selectors as --only and overrides it.",
    )(command)
    return click.option(
        "--only",
        multiple=True,
        metavar="SELECTOR",
        callback=_parse_selectors,
        help=f"Plan only these changes: a resource ({', '.join(BY_SELECTOR)}) or addresses (static:about/*.html). "
        "Repeatable.",
    )(command)


def compare_bytes(command: F) -> F:
    """`--compare-bytes`."""
    return click.option(
        "--compare-bytes",
        is_flag=True,
        help="Download every live file and compare the bytes; finds edits that kept the size.",
    )(command)


def parallelism(command: F) -> F:
    """`--parallelism`."""
    return click.option(
        "--parallelism",
        type=NumberRange(click.IntRange(1, 64)),
        default=DEFAULT_PARALLELISM,
        metavar="N",
        help=f"Concurrent transfers (default: {DEFAULT_PARALLELISM}, at most 64); fewer when the platform asks to "
        "slow down.",
    )(command)


def poll(command: F) -> F:
    """`--poll`."""
    return click.option(
        "--poll",
        is_flag=True,
        help="Poll for changes three times a second; for network file systems that send no file events.",
    )(command)


def lease(command: F) -> F:
    """`--lock-timeout` and `--force-unlock`."""
    command = click.option(
        "--force-unlock",
        is_flag=True,
        help="Take over the lock of a dead deploy: no heartbeat for 30 s, or its process on this machine has "
        "ended. Never interrupts a live deploy.",
    )(command)
    return click.option(
        "--lock-timeout",
        type=NumberRange(click.FloatRange(0, _DAY)),
        default=60.0,
        metavar="SECONDS",
        help="How long to wait for another deploy of the project (default: 60).",
    )(command)
