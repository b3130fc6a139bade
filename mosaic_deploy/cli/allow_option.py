"""`--allow`: what a person approves in advance."""

from __future__ import annotations

from collections.abc import Callable

import click

from mosaic_deploy.cli.options import F


def allow(command: F) -> F:
    """`--allow`: approval of one kind of harm, given in advance."""
    return _allow_option("--yes doesn't cover these. ")(command)


def allow_without_yes(command: F) -> F:
    """`--allow`, for commands without `--yes`."""
    return _allow_option("")(command)


def _allow_option(yes_note: str) -> Callable[[F], F]:
    return click.option(
        "--allow",
        multiple=True,
        type=_AllowType(),
        metavar="destructive|prune=N|overwrite=N|policy",
        help="Pre-approve SQL that destroys data (destructive), deleting exactly N files if they are most of the live "
        "ones or not deployed by this project (prune=N), or overwriting exactly N that this project didn't deploy "
        f"(overwrite=N), or a policy that forbids less than that of the last deploy (policy). {yes_note}Repeatable.",
    )


class _AllowType(click.ParamType[str]):
    """`destructive`, `prune=N`, `overwrite=N`, `policy`, or `older-commit`, which only `ci apply` needs."""

    name = "approval"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        kind, _, count = value.partition("=")
        if value in ("destructive", "policy", "older-commit"):
            return value
        if kind in ("prune", "overwrite") and count.isascii() and count.isdecimal():
            return f"{kind}={int(count)}"
        return self.fail(
            f"{value!r} isn't valid; use destructive, prune=N or overwrite=N (such as prune=37), policy, or older-commit",
            param,
            ctx,
        )
