"""Names of storage files chosen by name, folder or glob."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from difflib import get_close_matches

from mosaic_deploy.errors import Location, Problem, StorageFileMissing

_GLOB = re.compile(r"[*?\[]")
_MAX_SUGGESTED = 5
"""Problems with a similar name, which takes long to find among many."""


def is_glob(text: str) -> bool:
    return _GLOB.search(text) is not None


def chosen_names(arguments: Sequence[str], names: Collection[str]) -> dict[str, str]:
    """The chosen `names`, each with its path below the folder that its argument names: `images/*.png` → `a.png`.

    An argument is a name, `folder/` for all below it, or a glob, where `*` and `?` don't match a slash and `**` does. A name
    is always itself, also if it has characters of a glob. Raises StorageFileMissing if an argument chooses nothing.
    """
    known = names if isinstance(names, dict | set | frozenset) else frozenset(names)
    chosen: dict[str, str] = {}
    problems: list[Problem] = []
    for argument in arguments:
        is_name = argument in known
        found = [argument] if is_name else list(filter(_matcher(argument), sorted(known)))
        folder = argument[: argument.rfind("/") + 1] if is_name else _fixed_folder(argument)
        for name in found:
            chosen.setdefault(name, name[len(folder) :])
        if not found:
            problems.append(_missing(argument, known, suggest=len(problems) < _MAX_SUGGESTED))
    if problems:
        raise StorageFileMissing(
            "not all of these are in storage" if len(arguments) > len(problems) else "not in storage",
            problems=problems,
            hint="names are whole, with their folders; `folder/` is all below it, and patterns such as 'images/*.png' are "
            "quoted for the shell",
        )
    return chosen


def listed_names(argument: str, names: Iterable[str]) -> list[str]:
    """The names, in order, that match a glob or begin with the text of `argument`."""
    matches = _matcher(argument) if is_glob(argument) else lambda name: name.startswith(argument)
    return sorted(filter(matches, names))


def _fixed_folder(argument: str) -> str:
    """The folder, with its slash, that everything matched by the argument is in: `images/` of `images/*/a.png`."""
    glob = _GLOB.search(argument)
    before = argument[: glob.start()] if glob else argument
    return before[: before.rfind("/") + 1]


def _matcher(argument: str) -> Callable[[str], bool]:
    if argument.endswith("/") and not is_glob(argument):
        return lambda name: name.startswith(argument)
    if not is_glob(argument):
        return lambda _: False
    try:
        pattern = re.compile(_regex(argument + ("**" if argument.endswith("/") else "")), re.DOTALL)
    except re.error:  # a range such as [z-a]
        return lambda _: False
    return lambda name: pattern.fullmatch(name) is not None


_TOKEN = re.compile(
    r"(?P<folders>(?:(?<=/)|^)\*\*/)|(?P<all>\*\*)|(?P<one>[*?])|\[(?P<not>[!^]?)(?P<set>\]?[^\]/]*)\]"
)


def _regex(glob: str) -> str:
    """The glob as a regular expression for whole names."""
    parts, end = [], 0
    for token in _TOKEN.finditer(glob):
        parts.append(re.escape(glob[end : token.start()]))
        end = token.end()
        if token["folders"]:
            parts.append("(?:.*/)?")
        elif token["all"]:
            parts.append(".*")
        elif token["one"]:
            parts.append("[^/]*" if token["one"] == "*" else "[^/]")
        else:
            # Only ranges mean something in a set.
            inner = re.sub(r"([\\\[\]^&~|])", r"\\\1", token["set"])
            parts.append(f"(?!/)[{'^' if token['not'] else ''}{inner}]" if inner else re.escape(token[0]))
    return "".join([*parts, re.escape(glob[end:])])


def _missing(argument: str, names: Collection[str], *, suggest: bool) -> Problem:
    if is_glob(argument) or argument.endswith("/"):
        return Problem("matches nothing", Location(argument))
    if any(name.startswith(f"{argument}/") for name in names):
        return Problem("is a folder", Location(argument), hint=f"write {argument}/ for all files below it")
    close = get_close_matches(argument, names, 1) if suggest else []
    return Problem("no such file", Location(argument), hint=f"did you mean {close[0]}?" if close else None)
