"""Parses YAML into a tree of values with their locations.

It uses PyYAML's events rather than its constructors, so only text, numbers, booleans, null, lists and maps are created.
Limits apply during parsing; an alias counts as much as the value it refers to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from mosaic_deploy.errors import Problem
from mosaic_deploy.source.manifest.text import SourceText, SourceTextError
from mosaic_deploy.source.manifest.yaml_scalars import AmbiguousScalar, Scalar, scalar_value

if TYPE_CHECKING:
    from yaml.events import CollectionStartEvent, ScalarEvent

MAX_NODES = 10_000
MAX_DEPTH = 32

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_HARMLESS_TAGS = {None, _TAG + "str", _TAG + "seq", _TAG + "map"}


@dataclass(slots=True)
class Node:
    """A value and its location. Lines and columns count from 1; `span` has its start and end offsets."""

    value: Scalar | list[Node] | dict[str, Node]
    line: int
    column: int
    span: tuple[int, int]
    raw: str | None = None
    """The text of a plain scalar; None for quoted scalars, lists and maps."""
    key_at: tuple[int, int] | None = None
    """Line and column of the value's key in a map."""
    size: int = 1
    depth: int = 1
    field: str = ""
    """Dotted path in the file (`environments.production.static.dir`); set by Interpolator."""
    variable: str | None = None
    """The variable that this value contains. Such values are never shown in messages."""
    written: str = ""
    """With `variable`: the text in the file."""
    variables: Mapping[str, str] | None = None
    """The references in it, such as `${NAME}`, whose value isn't their default."""
    is_single_variable: bool = False
    """Whether the value is a single variable and nothing else."""


def node_at(tree: Node, *path: str) -> Node | None:
    """The node at these keys of maps, None if there is none."""
    node: Node | None = tree
    for key in path:
        node = node.value.get(key) if node is not None and isinstance(node.value, dict) else None
    return node


@dataclass(slots=True)
class _OpenCollection:
    """A list or map being read. `items` has its nodes in order; for a map, keys and values alternate."""

    node: Node
    anchor: str | None
    items: list[Node] = field(default_factory=list)


def compose(source: SourceText, problems: list[Problem]) -> Node | None:
    """The tree of the single document in `source`, None if it is empty.

    Adds recoverable mistakes (duplicate keys, tags) to `problems`. Raises SourceTextError for all others.
    """
    try:
        return _Composer(source, problems).tree()
    except yaml.YAMLError as error:
        from mosaic_deploy.source.manifest.yaml_syntax import syntax_problem

        raise SourceTextError(syntax_problem(source, error)) from None


class _Composer:
    def __init__(self, source: SourceText, problems: list[Problem]) -> None:
        self.source = source
        self.problems = problems
        self.anchors: dict[str, Node | None] = {}
        self.open: list[_OpenCollection] = []
        self.root: Node | None = None
        self.count = 0

    def tree(self) -> Node | None:
        documents = 0
        event: Any  # its fields depend on its class
        for event in yaml.parse(self.source.text, Loader=_LOADER):
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self.add(self.scalar(event), event.anchor)
            elif kind in (yaml.MappingStartEvent, yaml.SequenceStartEvent):
                self.start(event)
            elif kind in (yaml.MappingEndEvent, yaml.SequenceEndEvent):
                self.end(event)
            elif kind is yaml.AliasEvent:
                self.add(self.alias(event), None)
            elif kind is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    raise self.error_at(
                        event, "a second YAML document starts here", "use one file per manifest"
                    )
        return self.root

    def error_at(self, event: Any, message: str, hint: str | None = None) -> SourceTextError:
        mark = event.start_mark
        return SourceTextError(
            Problem(message, self.source.location(mark.line + 1, mark.column + 1), hint=hint)
        )

    def make_node(self, event: Any, value: Any) -> Node:
        start, end = event.start_mark, event.end_mark
        return Node(value, start.line + 1, start.column + 1, (start.index, end.index))

    def scalar(self, event: ScalarEvent) -> Node:
        self.check_tag(event)
        node = self.make_node(event, event.value)
        if event.implicit[0] and event.tag is None:
            node.raw = event.value
            node.value = scalar_value(event.value)
        if any("\ud800" <= letter <= "\udfff" for letter in event.value):
            raise self.error_at(
                event, "surrogate escapes aren't characters in YAML", "write the character itself"
            )
        return node

    def start(self, event: CollectionStartEvent) -> None:
        self.check_tag(event)
        if len(self.open) >= MAX_DEPTH:
            raise self.error_at(event, f"nested deeper than {MAX_DEPTH} levels")
        if event.anchor:
            self.anchors[event.anchor] = None
        value: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        self.open.append(_OpenCollection(self.make_node(event, value), event.anchor))

    def end(self, event: Any) -> None:
        done = self.open.pop()
        done.node.span = (done.node.span[0], event.end_mark.index)
        done.node.size += sum(item.size for item in done.items)
        done.node.depth += max((item.depth for item in done.items), default=0)
        if isinstance(done.node.value, dict):
            self.fill(done.node.value, done.items)
        else:
            done.node.value = list(done.items)
        self.count -= done.node.size - 1  # the items are already counted, and `add` counts the whole
        self.add(done.node, done.anchor)

    def alias(self, event: Any) -> Node:
        target = self.anchors.get(event.anchor, False)
        if target is None:
            raise self.error_at(
                event, f"*{event.anchor} contains itself", "write the value instead of the alias"
            )
        if target is False:
            raise self.error_at(event, f"undefined alias: there is no &{event.anchor} above this line")
        assert isinstance(target, Node)
        if len(self.open) + target.depth > MAX_DEPTH:
            raise self.error_at(
                event, f"nested deeper than {MAX_DEPTH} levels once *{event.anchor} is replaced"
            )
        node = copy(target)
        node.line, node.column = event.start_mark.line + 1, event.start_mark.column + 1
        if self.count + node.size > MAX_NODES:
            raise self.error_at(event, f"more than {MAX_NODES:,} values once *{event.anchor} is replaced")
        return node

    def add(self, node: Node, anchor: str | None) -> None:
        self.count += node.size
        if self.count > MAX_NODES:
            location = self.source.location(node.line, node.column)
            raise SourceTextError(Problem(f"more than {MAX_NODES:,} values", location))
        if anchor:
            self.anchors[anchor] = node
        if self.open:
            self.open[-1].items.append(node)
        else:
            self.root = node

    def fill(self, entries: dict[str, Node], items: list[Node]) -> None:
        """Fills a map from alternating keys and values. Values merged by `<<` don't override the map's own."""
        merged: dict[str, Node] = {}
        for key, value in zip(items[::2], items[1::2], strict=True):
            if key.raw == "<<":
                merged = dict(self.merged_entries(value)) | merged
                continue
            name = self.key(key)
            if name is None:
                continue
            if name in entries:
                first = entries[name].key_at or (key.line, key.column)
                self.add_problem(
                    key, f"duplicate key {quoted(name)}, first set on line {first[0]}", "remove one of them"
                )
                continue
            entry = copy(value)
            entry.key_at = (key.line, key.column)
            entries[name] = entry
        entries |= {name: node for name, node in merged.items() if name not in entries}

    def merged_entries(self, value: Node) -> Iterator[tuple[str, Node]]:
        """Entries merged by `<<`. The first of several maps takes precedence, so it comes last."""
        for each in reversed(value.value) if isinstance(value.value, list) else [value]:
            if isinstance(each.value, dict):
                yield from each.value.items()
            else:
                self.add_problem(each, "<< needs a map or a list of maps", "for example: <<: *defaults")

    def key(self, key: Node) -> str | None:
        """The key as text. None for a key of another type, which is added to `problems`."""
        if isinstance(key.value, str):
            return key.value
        if isinstance(key.value, (list, dict)):
            self.add_problem(key, "a key can't be a list or a map", "write `key: value`")
        elif not key.raw:
            self.add_problem(key, "missing key", "write `key: value`")
        else:
            reading = (
                key.value.reading
                if isinstance(key.value, AmbiguousScalar)
                else yaml_reading(key.raw, key.value)
            )
            self.add_problem(key, f"a key must be text, but {reading}", f'quote it: "{key.raw}"')
        return None

    def check_tag(self, event: ScalarEvent | CollectionStartEvent) -> None:
        if event.tag not in _HARMLESS_TAGS:
            name = str(event.tag).replace(_TAG, "!!")
            self.add_problem_at(event, f"unsupported tag {quoted(name)}", "delete the tag")

    def add_problem(self, node: Node, message: str, hint: str) -> None:
        self.problems.append(Problem(message, self.source.location(node.line, node.column), hint=hint))

    def add_problem_at(self, event: Any, message: str, hint: str) -> None:
        mark = event.start_mark
        self.problems.append(
            Problem(message, self.source.location(mark.line + 1, mark.column + 1), hint=hint)
        )


def describe_value(value: object) -> str:
    """A value in words: `the boolean false`, `the number 5`, `a list`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, list):
        return "a list"
    return "a map" if isinstance(value, dict) else f"the text {quoted(str(value))}"


def yaml_reading(raw: str, value: object) -> str:
    """`YAML reads no as a boolean`, for a plain scalar that isn't text."""
    name = "null" if value is None else "a boolean" if isinstance(value, bool) else "a number"
    return f"YAML reads {raw} as {name}"


def quoted(text: str) -> str:
    """Text in quotes, shortened to 60 characters, with control characters escaped."""
    import json

    short = text if len(text) <= 60 else text[:59] + "…"
    return json.dumps(short, ensure_ascii=not short.isprintable())
