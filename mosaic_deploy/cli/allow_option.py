"""`--allow`: what a person approves in advance."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import click

from mosaic_deploy.cli.options import F


def allow(command: F) -> F:
    """`--allow`: approval of one kind of harm, given in advance."""
    return _allow_option("--yes doesn't cover these. ")(command)


def allow_without_yes(command: F) -> F:
    """`--allow`, for commands without `--yes`."""
    return _allow_option("")(command)


def allow_in_ci(command: F) -> F:
    """`--allow` of `ci apply`."""
    note = "In CI also replacing a newer live commit (older-commit). "
    return _allow_option(note, "older-commit")(command)


def _allow_option(note: str, *more: str) -> Callable[[F], F]:
    return click.option(
        "--allow",
        multiple=True,
        type=_AllowType(more),
        callback=_refuse_contradictions,
        metavar="|".join(("destructive", "prune=N", "overwrite=N", "policy", *more)),
        help="Pre-approve SQL that destroys data (destructive), deleting exactly N files if they are most of the live "
        "ones or not deployed by this manifest (prune=N), overwriting exactly N that this project didn't deploy "
        f"(overwrite=N), or a policy that forbids less than that of the last deploy (policy). {note}Repeatable.",
    )


def _refuse_contradictions(
    _ctx: click.Context, _: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """One exact number of a kind is approved, not any of several."""
    for kind in ("prune", "overwrite"):
        if len(numbers := {value for value in values if value.startswith(f"{kind}=")}) > 1:
            raise click.BadParameter(
                f"{' and '.join(sorted(numbers))} contradict each other; give one number"
            )
    return values


class _AllowType(click.ParamType[str]):
    """`destructive`, `policy`, `prune=N`, `overwrite=N`, or one of `more`."""

    name = "approval"

    def __init__(self, more: Sequence[str]) -> None:
        self._more = tuple(more)

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        kind, _, count = value.partition("=")
        if value in ("destructive", "policy", *self._more):
            return value
        if kind in ("prune", "overwrite") and re.fullmatch("[0-9]{1,9}", count):
            return f"{kind}={int(count)}"
        *words, last = (
            "destructive",
            "prune=N",
            "overwrite=N (such as overwrite=37)",
            "policy",
            *self._more,
        )
        return self.fail(
            f"{value[:40]!r} isn't valid; use {', '.join(words)} or {last}",
            param,
            ctx,
        )


class NumberedType(click.ParamType[str]):
    """`prune=N` or `overwrite=N`, only the one that `kind` says."""

    name = "approval"

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        kind, _, count = value.partition("=")
        if kind == self._kind and re.fullmatch("[0-9]{1,9}", count):
            return f"{kind}={int(count)}"
        return self.fail(
            f"{value[:40]!r} isn't valid; use {self._kind}=N, such as {self._kind}=2", param, ctx
        )
