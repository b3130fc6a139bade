"""Commands that are shown as ways on: for the target that the running command was given, and no other."""

from __future__ import annotations

import shlex

import click


def command_for(name: str) -> str:
    """`mosaic-deploy NAME` with the running command's PATH and target."""
    given = click.get_current_context().params
    words = ["mosaic-deploy", *name.split()]
    if given.get("local"):
        words.append("--local")
    for option, key in (("--env", "environment"), ("--project", "project_id")):
        if given.get(key):
            words += [option, str(given[key])]
    if given.get("path", ".") != ".":
        words.append(str(given["path"]))
    return shlex.join(words)
