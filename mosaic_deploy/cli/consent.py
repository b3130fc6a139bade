"""Consent: one question, asked in one place. Everything that writes asks here first."""

from __future__ import annotations

import os
import sys

import click

from mosaic_deploy.errors import ConsentMissing, Declined, NextAction


def interactive() -> bool:
    """Whether a person is there to answer: a piped `y` doesn't count."""
    return sys.stdin.isatty() and sys.stderr.isatty() and not os.environ.get("CI")


def ask(question: str, *, yes: bool, command: str) -> None:
    """Returns if `yes` was given or a person agrees (the default is no).

    Raises Declined, and ConsentMissing where nobody is there; `command` is shown as the way on.
    """
    if yes:
        return
    if not interactive():
        raise ConsentMissing(
            "nobody is here to agree, so nothing was changed",
            hint="unattended runs need --yes",
            next_actions=[NextAction("agree beforehand", command)],
        )
    if not click.confirm(question, default=False, err=True):
        raise Declined("nothing was changed")
