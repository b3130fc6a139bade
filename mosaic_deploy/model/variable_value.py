"""A value of the manifest that came from variables (the environment or `.env`), and its removal from texts.

Every field that isn't public by nature holds a VariableValue if a variable is in it. It isn't text: what needs the value
asks for it with `reveal`, and everything that shows it gets what the manifest says, `Bearer ${TOKEN}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote

Scalar = str | int | float | bool | None
_SHORTEST_HIDDEN = 4
"""Shorter values can't be told from other text, and are no secrets."""


class VariableValue:
    """`written` is its text in the manifest. Neither `str`, `repr`, a format nor JSON shows the value.

    `variables` are the variables in it: what the manifest says, such as `${TOKEN}`, and the variable's value.
    """

    __slots__ = ("_value", "_variables", "written")

    def __init__(self, written: str, value: Scalar, variables: Mapping[str, str] | None = None) -> None:
        self.written = written
        self._value = value
        self._variables = dict(variables or {})

    def hidden_texts(self) -> dict[str, str]:
        """Each text that no message may contain, and what is shown instead: the value, and the variables in it."""
        return {
            **{value: written for written, value in self._variables.items()},
            str(self._value): self.written,
        }

    def reveal(self) -> Scalar:
        """The value itself: only for requests and comparisons, never for a text that is shown."""
        return self._value

    def __str__(self) -> str:
        return self.written

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VariableValue) and (self.written, self._value) == (
            other.written,
            other._value,
        )

    def __hash__(self) -> int:
        return hash((self.written, self._value))


Text = str | VariableValue


def revealed_text(value: Text) -> str:
    """The text for a request. Not for messages."""
    return str(value.reveal()) if isinstance(value, VariableValue) else value


def revealed(value: Scalar | VariableValue) -> Scalar:
    """The value for a request or a comparison. Not for messages."""
    return value.reveal() if isinstance(value, VariableValue) else value


def hide_values(text: str, values: Iterable[VariableValue]) -> str:
    """`text` with what the manifest says in place of values from variables, also where they are quoted or cut off.

    For texts of others, such as a response that repeats what was sent.
    """
    hidden: dict[str, str] = {}
    for each in values:
        hidden |= each.hidden_texts()
    for value, written in sorted(hidden.items(), key=lambda each: -len(each[0])):
        for form in _forms(value):
            text = text.replace(form, written)
            text = _without_cut_value(text, form, written)
    return text


def _forms(value: str) -> Iterator[str]:
    """The value as it is, in JSON, in Python's notation, in a URL and on one line, without duplicates."""
    forms = (
        value,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
        quote(value),
        quote(value, safe=""),
        " ".join(value.split()),
    )
    return (form for form in dict.fromkeys(forms) if len(form) >= _SHORTEST_HIDDEN)


def _without_cut_value(text: str, form: str, written: str) -> str:
    """`text` without a beginning of the value before `…`, as in an excerpt."""
    for length in range(len(form) - 1, _SHORTEST_HIDDEN - 1, -1):
        text = text.replace(f"{form[:length]}…", f"{written}…")
    return text


def values_in(value: object) -> Iterator[VariableValue]:
    """The values from variables in a value of a manifest, however deep."""
    if isinstance(value, VariableValue):
        yield value
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from values_in(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from values_in(member)
