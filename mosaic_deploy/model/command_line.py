"""A command line as text that a shell reads."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)


def with_options(command: str, *options: str) -> str:
    """`command` with `options` where they count: before a bare `--`, after which nothing is an option."""
    if not options:
        return command
    words = shlex.split(command)
    if "--" not in words:
        return f"{command} {shlex.join(options)}"
    at = words.index("--")
    return _join([*words[:at], *options, *words[at:]])


def program_words(command: str) -> list[str]:
    """The program and its arguments, without the assignments that may stand before. ValueError for an open quote."""
    words = shlex.split(command)
    return words[_assignment_count(words) :]


def _assignment_count(words: Sequence[str]) -> int:
    """How many words assign a variable before the program."""
    return next((number for number, word in enumerate(words) if not _ASSIGNMENT.fullmatch(word)), len(words))


def _join(words: Sequence[str]) -> str:
    count = _assignment_count(words)
    named = (word.partition("=") for word in words[:count])
    return " ".join(
        [*(f"{name}={shlex.quote(value)}" for name, _, value in named), shlex.join(words[count:])]
    )
