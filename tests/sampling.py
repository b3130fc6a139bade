"""A sample of many cases of one kind, so that the whole suite takes minutes. `pytest --exhaustive` runs all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest


def sampled(cases: Iterable[Any], every: int, ids: Iterable[str] | None = None) -> Sequence[Any]:
    """The cases for `parametrize`: the first of each `every` is always run. A tuple is several arguments."""
    names = list(ids) if ids is not None else None
    found = []
    for number, case in enumerate(cases):
        arguments = case if isinstance(case, tuple) else (case,)
        marks = [pytest.mark.exhaustive] if number % every else []
        found.append(pytest.param(*arguments, marks=marks, id=names[number] if names else None))
    return found
