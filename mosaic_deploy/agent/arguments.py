"""What an agent gave that isn't an argument, or isn't what the argument takes: refused in words it can act on."""

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
"""What the command line, or anybody, calls it → the argument."""


def refuse_unknown(tool: str, given: Iterable[str], schema: Mapping[str, Any]) -> None:
    """Raises UsageInvalid for arguments that the tool doesn't have, each with the one that may be meant."""
    known: Collection[str] = schema.get("properties", {})
    if unknown := [name for name in given if name not in known]:
        raise UsageInvalid(
            f"{tool}: " + "; ".join(_unknown_argument(name, known) for name in unknown),
            hint=f"it takes {', '.join(known)}" if known else "it takes no arguments",
        )


def unknown_tool(name: str, known: Collection[str]) -> UsageInvalid:
    """The refusal of a tool that isn't there."""
    return UsageInvalid(
        _with_suggestion(f"there is no tool {name!r}", name, known), hint=f"tools: {', '.join(known)}"
    )


def invalid_arguments(tool: str, errors: Iterable[Mapping[str, Any]]) -> UsageInvalid:
    """The refusal of values, by what the validation found. The values themselves aren't repeated."""
    return UsageInvalid(
        f"{tool}: " + "; ".join(_validation_messages(errors)),
        hint="the tool's input schema has every argument",
    )


def _unknown_argument(name: str, known: Collection[str]) -> str:
    return _with_suggestion(f"there is no argument {name!r}", name, known)


def _with_suggestion(said: str, name: str, known: Collection[str]) -> str:
    near = (
        [_SYNONYMS.get(name, "")] if _SYNONYMS.get(name) in known else get_close_matches(name, known, 1, 0.6)
    )
    return f"{said}; did you mean {near[0]!r}?" if near else said


def _validation_messages(errors: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for error in errors:
        name = ".".join(str(part) for part in error["loc"])
        if error["type"] == "missing":
            yield f"{name!r} is required"
        else:
            yield f"{name!r}: {str(error['msg'])[:1].lower()}{str(error['msg'])[1:]}"
