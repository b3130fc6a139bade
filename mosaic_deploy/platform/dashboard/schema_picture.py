"""A picture of tables and their foreign keys: where each box and each line goes.

Referenced tables are to the left of those that reference them. Within a column, tables are near those that they are
connected with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ROW = 20
HEAD = 28
_CHARACTER = 8
_PADDING = 16
_GAP_X, _GAP_Y = 90, 28
_ROUNDS = 4
_MAX_COLUMNS = 40

TableKey = tuple[str, str]
"""Schema and name."""


@dataclass(frozen=True, slots=True)
class Column:
    """`mark` is `PK`, `FK`, both or empty."""

    name: str
    type: str
    mark: str


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key: the first of its columns, and the first that it refers to."""

    source: TableKey
    column: str
    target: TableKey
    target_column: str


@dataclass(frozen=True, slots=True)
class Box:
    """A table's place in pixels. `more` counts the columns that are left out."""

    key: TableKey
    columns: tuple[Column, ...]
    more: int
    x: int
    y: int
    width: int
    height: int

    def row_y(self, column: str) -> int:
        """The middle of a column's row."""
        names = [one.name for one in self.columns]
        row = names.index(column) if column in names else len(names)
        return self.y + HEAD + row * ROW + ROW // 2


@dataclass(frozen=True, slots=True)
class Picture:
    """`lines` are SVG path data, with the words for each."""

    boxes: tuple[Box, ...]
    lines: tuple[tuple[str, str], ...]
    width: int
    height: int


def draw(tables: Mapping[TableKey, Sequence[Column]], references: Sequence[Reference]) -> Picture:
    known = [one for one in references if one.source in tables and one.target in tables]
    layers = _ordered(_layers(list(tables), known), known)
    boxes: dict[TableKey, Box] = {}
    x = height = 0
    for layer in layers:
        width = max(_width(key, tables[key]) for key in layer)
        y = 0
        for key in layer:
            columns = tuple(tables[key][:_MAX_COLUMNS])
            more = len(tables[key]) - len(columns)
            box = Box(key, columns, more, x, y, width, HEAD + ROW * (len(columns) + bool(more)) + 6)
            boxes[key] = box
            y += box.height + _GAP_Y
        height = max(height, y - _GAP_Y)
        x += width + _GAP_X
    lines = tuple((_line(boxes[one.source], boxes[one.target], one), _words(one)) for one in known)
    return Picture(tuple(boxes.values()), lines, max(0, x - _GAP_X), height)


def _layers(keys: list[TableKey], references: Sequence[Reference]) -> list[list[TableKey]]:
    """Tables by the longest chain of references from them. A cycle is cut where it is met again."""
    targets: dict[TableKey, list[TableKey]] = defaultdict(list)
    for one in references:
        if one.source != one.target:
            targets[one.source].append(one.target)
    depths: dict[TableKey, int] = {}
    for start in keys:
        path = [(start, iter(targets[start]))]
        entered = {start}
        while path and start not in depths:
            key, rest = path[-1]
            following = next((one for one in rest if one not in depths and one not in entered), None)
            if following is not None:
                entered.add(following)
                path.append((following, iter(targets[following])))
                continue
            depths[key] = max((depths[one] + 1 for one in targets[key] if one in depths), default=0)
            path.pop()
    layers: list[list[TableKey]] = [[] for _ in range(max(depths.values(), default=-1) + 1)]
    for key in keys:
        layers[depths[key]].append(key)
    return layers


def _ordered(layers: list[list[TableKey]], references: Sequence[Reference]) -> list[list[TableKey]]:
    """Each layer by the mean place of the tables that its tables are connected with, in a few rounds."""
    connected: dict[TableKey, list[TableKey]] = defaultdict(list)
    for one in references:
        connected[one.source].append(one.target)
        connected[one.target].append(one.source)
    for _ in range(_ROUNDS):
        place = {key: number / max(1, len(layer)) for layer in layers for number, key in enumerate(layer)}
        means = {
            key: sum(place[one] for one in connected[key]) / len(connected[key])
            if connected[key]
            else place[key]
            for key in place
        }
        layers = [sorted(layer, key=lambda key: (means[key], key)) for layer in layers]
    return layers


def _width(key: TableKey, columns: Sequence[Column]) -> int:
    texts = [f"{key[0]}.{key[1]}", *(f"{one.name}  {one.type}  {one.mark}" for one in columns[:_MAX_COLUMNS])]
    return _PADDING + _CHARACTER * max(map(len, texts))


def _line(source: Box, target: Box, one: Reference) -> str:
    y1, y2 = source.row_y(one.column), target.row_y(one.target_column)
    if source.x == target.x:
        # In the same column, also of the table itself: a bow at the right.
        x = source.x + source.width
        return f"M{x} {y1} C{x + 50} {y1} {x + 50} {y2} {x} {y2}"
    x1, x2 = source.x, target.x + target.width
    if source.x < target.x:
        x1, x2 = source.x + source.width, target.x
    middle = (x1 + x2) // 2
    return f"M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}"


def _words(one: Reference) -> str:
    return f"{one.source[1]}.{one.column} refers to {one.target[1]}.{one.target_column}"
