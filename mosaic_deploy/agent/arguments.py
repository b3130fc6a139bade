"""Errors for unknown tools, unknown arguments and invalid values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from mosaic_deploy.errors import UsageInvalid

_SYNONYMS = {
    "env": "environment",
    "project": "project_id",
    "manifest": "text",
    "in": "path",
    "folder": "path",
}
"""Names that agents guess, some from the command line → the argument."""


def refuse_unknown(tool: str, given: Iterable[str], schema: Mapping[str, Any]) -> None:
    """Raises UsageInvalid for arguments that the tool doesn't have, with similar ones."""
    known: Collection[str] = schema.get("properties", {})
    if unknown := [name for name in given if name not in known]:
        raise UsageInvalid(
            f"{tool}: " + "; ".join(_unknown_argument(name, known) for name in unknown),
            hint=f"arguments: {', '.join(known)}" if known else "this tool takes no arguments",
        )


def unknown_tool(name: str, known: Collection[str]) -> UsageInvalid:
    return UsageInvalid(
        _with_suggestion(f"unknown tool {name!r}", name, known), hint=f"tools: {', '.join(known)}"
    )


def invalid_arguments(tool: str, errors: Iterable[Mapping[str, Any]]) -> UsageInvalid:
    """The error for invalid values, which it doesn't repeat."""
    return UsageInvalid(
        f"{tool}: " + "; ".join(_validation_messages(errors)),
        hint="see the tool's input schema",
    )


def _unknown_argument(name: str, known: Collection[str]) -> str:
    return _with_suggestion(f"unknown argument {name!r}", name, known)


def _with_suggestion(message: str, name: str, known: Collection[str]) -> str:
    near = (
        [_SYNONYMS.get(name, "")] if _SYNONYMS.get(name) in known else get_close_matches(name, known, 1, 0.6)
    )
    return f"{message}; did you mean {near[0]!r}?" if near else message


def _validation_messages(errors: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for error in errors:
        name = ".".join(str(part) for part in error["loc"])
        if error["type"] == "missing":
            yield f"{name!r} is required"
        else:
            yield f"{name!r}: {str(error['msg'])[:1].lower()}{str(error['msg'])[1:]}"
