"""Builds and parses shell command lines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)


def with_options(command: str, *options: str) -> str:
    """`command` with `options` appended, or inserted before a bare `--`."""
    if not options:
        return command
    words = shlex.split(command)
    if "--" not in words:
        return f"{command} {shlex.join(options)}"
    index = words.index("--")
    return _join([*words[:index], *options, *words[index:]])


def with_approvals(command: str, approvals: Sequence[str]) -> str:
    """`command` with `--allow` for each of `approvals` (`prune=4`), instead of any with another number (`prune=3`)."""
    kinds = tuple(approval[: approval.index("=") + 1] for approval in approvals if "=" in approval)
    words = shlex.split(command)
    outdated: set[int] = set()
    for number, word in enumerate(words[: words.index("--") if "--" in words else None]):
        if word == "--allow" and "".join(words[number + 1 : number + 2]).startswith(kinds):
            outdated |= {number, number + 1}
        elif word.startswith(tuple(f"--allow={kind}" for kind in kinds)):
            outdated.add(number)
    if outdated:
        command = _join([word for number, word in enumerate(words) if number not in outdated])
    return with_options(command, *(word for approval in approvals for word in ("--allow", approval)))


def program_words(command: str) -> list[str]:
    """The program and its arguments, without variable assignments before it. Raises ValueError for an unclosed quote."""
    words = shlex.split(command)
    return words[_assignment_count(words) :]


def _assignment_count(words: Sequence[str]) -> int:
    """The number of variable assignments before the program."""
    return next((number for number, word in enumerate(words) if not _ASSIGNMENT.fullmatch(word)), len(words))


def _join(words: Sequence[str]) -> str:
    count = _assignment_count(words)
    assignments = (word.partition("=") for word in words[:count])
    return " ".join(
        [*(f"{name}={shlex.quote(value)}" for name, _, value in assignments), shlex.join(words[count:])]
    )
