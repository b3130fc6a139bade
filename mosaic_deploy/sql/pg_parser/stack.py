"""Keeps the parser's recursion within the stack: it has no check of its own, and would end the process.

A text's nesting is bounded from its tokens. Deep texts are parsed in a thread with a stack that is large enough.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable
from itertools import accumulate
from typing import TypeVar

ResultT = TypeVar("ResultT")

_SHALLOW = 2_000
"""Levels for which the smallest stack of a thread (512 KiB on macOS) is enough."""
_DEEPEST = 500_000
_STACK_PER_LEVEL = 1024
"""Bytes. libpg_query 6 takes up to 200 on x86-64."""
_BASE_STACK = 16 * 1024 * 1024
_PAGE = 64 * 1024
"""Some systems take only stacks of whole pages, such as macOS; no page is larger."""
_TOKEN = re.compile(
    r"[(\[]|[)\]]|[,;]|[-+*/<>=~!@#%^&|`?:.]+"
    r"|\b(?:and|or|not|is|isnull|notnull|in|between|like|ilike|similar|at|collate|operator|union|except|intersect|join"
    r"|case|when|then|else|end|any|all|some|array|row|exists|as)\b",
    re.IGNORECASE,
)
"""What may begin a level, ends one, or separates expressions of one level."""
_NO_BRACKET = re.compile(r"[^()\[\]]+")
_STEP = {"(": 1, "[": 1, ")": -1, "]": -1}
_SEPARATOR = re.compile("[,;]")
_START = threading.Lock()


class NestedTooDeeply(Exception):
    """The text has more levels than any stack is made for."""


def call_with_stack(function: Callable[[str], ResultT], sql: str) -> ResultT:
    """`function(sql)`, in a thread with a larger stack if the text may need it. Raises NestedTooDeeply."""
    levels = deep_levels(sql)
    if not levels:
        return function(sql)
    if levels > _DEEPEST:
        raise NestedTooDeeply
    results: list[ResultT] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function(sql))
        except BaseException as error:  # raised again by the caller
            errors.append(error)

    thread = threading.Thread(target=run, name="parser")
    with _START:
        before = threading.stack_size(_BASE_STACK + math.ceil(levels * _STACK_PER_LEVEL / _PAGE) * _PAGE)
        try:
            thread.start()
        finally:
            threading.stack_size(before)
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def deep_levels(sql: str) -> int:
    """The text's levels at most; 0 if they fit in any stack."""
    if len(sql) < 2 * _SHALLOW or _is_shallow(sql):
        return 0
    levels = most_levels(sql)
    return levels if levels >= _SHALLOW else 0


def _is_shallow(sql: str) -> bool:
    """A quicker, coarser check: few brackets inside each other, and short pieces between commas, as in rows of values."""
    deepest = max(accumulate(map(_STEP.__getitem__, _NO_BRACKET.sub("", sql))), default=0)
    longest = max(map(len, _SEPARATOR.split(sql)))
    return (deepest + 1) * (longest // 2 + 1) < _SHALLOW


def most_levels(sql: str) -> int:
    """An upper bound of the levels of a text's trees.

    Brackets and operators add a level each; a comma goes back to the level of its bracket. Brackets in strings and
    comments count, too, so the bound may be too high.
    """
    level = most = 0
    outer: list[int] = []
    for token in _TOKEN.finditer(sql):
        sign = token.group()
        if sign in "([":
            outer.append(level)
            level += 1
        elif sign in ")]":
            # What follows the bracket contains it.
            level = (outer.pop() if outer else 0) + 1
        elif sign in ",;":
            level = outer[-1] + 1 if outer else 0
        else:
            level += 1
        most = max(most, level)
    return most
