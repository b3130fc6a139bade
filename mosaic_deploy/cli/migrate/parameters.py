"""What is typed after an option: versions and parts of files. Each raises BadParameter."""

from __future__ import annotations

import re

import click

_VERSION = re.compile(r"([0-9]{1,18})(?:[_-].*)?", re.DOTALL)
_PART = re.compile(r"([0-9]{1,18}):([1-9][0-9]{0,8})")


def version(value: str) -> str:
    """A migration's number, with or without leading zeros; also the whole name of its file."""
    found = _VERSION.fullmatch(value)
    if not found:
        raise click.BadParameter(f"{value!r} is no version: it is the number a file's name begins with")
    return str(int(found.group(1)))


def part(value: str) -> tuple[str, int]:
    """`VERSION:PART`, the part counted from 1."""
    found = _PART.fullmatch(value)
    if not found:
        raise click.BadParameter(f"{value!r} is not VERSION:PART, such as 12:1")
    return str(int(found.group(1))), int(found.group(2))
