"""Values of the model in which every text is the same one: what a hostile database or platform might answer."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any


def marked(kind: Any, text: str) -> Any:
    """A value of the type, with `text` for every text in it, and one value of each type of a union in every list."""
    return _Maker(text).make(kind)


class _Maker:
    def __init__(self, text: str) -> None:
        self._text = text

    def make(self, kind: Any) -> Any:
        return self._all(kind)[0]

    def _all(self, kind: Any) -> list[Any]:
        """A value of each type that `kind` is a union of, None last."""
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin in (typing.Union, types.UnionType):
            members = [each for each in arguments if each is not type(None)]
            return [value for each in members for value in self._all(each)]
        if origin is typing.Literal:
            return [arguments[0]]
        if origin is tuple:
            members = arguments[:1] if arguments[-1] is Ellipsis else arguments
            return [tuple(value for each in members for value in self._all(each))]
        if origin is frozenset:
            return [frozenset(self._all(arguments[0]))]
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return [{self.make(arguments[0]): self.make(arguments[1])}]
        if isinstance(origin, type) and issubclass(origin, Collection):
            return [self._all(arguments[0])]
        return [self._plain(kind)]

    def _plain(self, kind: Any) -> Any:
        if dataclasses.is_dataclass(kind):
            hints = typing.get_type_hints(kind)
            return kind(**{f.name: self.make(hints[f.name]) for f in dataclasses.fields(kind) if f.init})
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return next(iter(kind))
        if isinstance(kind, type) and issubclass(kind, BaseException):
            return self.error(kind)
        if kind is Path:
            return Path(self._text)
        plain = {str: self._text, Any: self._text, object: self._text, bool: True, int: 1, float: 1.0}
        return plain[kind]

    def error(self, kind: type[BaseException]) -> BaseException:
        from mosaic_deploy.errors import Location, NextAction, Problem

        place = Location(self._text, 1, 1, self._text)
        return kind(
            self._text,
            location=place,
            hint=self._text,
            problems=[Problem(self._text, place, self._text, self._text, self._text)],
            next_actions=[NextAction(self._text, self._text)],
        )
