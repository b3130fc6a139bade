"""`${NAME}` and `${NAME:-default}` in a manifest's values.

What a variable brings is text and stays text: it is neither read as YAML nor searched for `${` again. Only
where the schema wants a number or a boolean, and the whole value is one variable, is it converted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import copy
from typing import Any

from mosaic_deploy.errors import Problem
from mosaic_deploy.source.manifest.schema_check import Schema, UnresolvedVariable, resolve_reference
from mosaic_deploy.source.manifest.text import SourceText
from mosaic_deploy.source.manifest.yaml_tree import Node

_REFERENCE = (
    r"\$\$\{"  # an escaped one
    r"|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}"
    r"|\$\{"  # one that is none
)
_BOOLEANS = {"true": True, "false": False}


class Interpolator:
    """Copies a tree so that each value knows its field, with its variables put in.

    `environment` is the chosen one: what the others say stays `UnresolvedVariable`, for their variables are not needed.
    """

    def __init__(
        self, source: SourceText, schema: Schema, variables: Mapping[str, str], environment: str | None
    ) -> None:
        self.source = source
        self.schema = schema
        self.variables = variables
        self.environment = environment
        self.problems: list[Problem] = []

    def interpolate(self, node: Node, path: tuple[str | int, ...] = ()) -> Node:
        """The node and everything below it."""
        placed = copy(node)
        placed.field = dotted_path(path)
        if isinstance(node.value, dict):
            placed.value = {key: self.interpolate(child, (*path, key)) for key, child in node.value.items()}
        elif isinstance(node.value, list):
            placed.value = [self.interpolate(child, (*path, index)) for index, child in enumerate(node.value)]
        elif isinstance(node.value, str) and "${" in node.value:
            self.resolve(placed, node.value, path)
        return placed

    def resolve(self, node: Node, text: str, path: tuple[str | int, ...]) -> None:
        """Puts the variables of one value in."""
        needed = path[:1] != ("environments",) or path[1:2] == (self.environment,)
        parts: list[str] = []
        end_of_last = 0
        for number, found in enumerate(re.finditer(_REFERENCE, text)):
            parts.append(text[end_of_last : found.start()])
            end_of_last = found.end()
            part = self.reference_value(found, node, number, needed)
            if part is None:
                node.value = UnresolvedVariable(text)
                return
            parts.append(part)
            node.variable = node.variable or found["name"]
            node.is_single_variable = found["name"] is not None and found.span() == (0, len(text))
        node.value = "".join([*parts, text[end_of_last:]])
        if node.is_single_variable:
            node.value = _convert(node.value, self.field_schema(path))

    def reference_value(self, found: re.Match[str], node: Node, number: int, needed: bool) -> str | None:
        """What stands for one reference, None where nothing can."""
        name, default = found["name"], found["default"]
        if found[0] == "$${":
            return "${"
        if name is None:
            hint = "write ${NAME} or ${NAME:-default}, and $${ for the characters themselves"
            self.add_problem(node, number, "${ begins a variable, and this is none", hint)
            return None
        if not needed:
            return None
        value = self.variables.get(name)
        if value is None or (not value and default is not None):
            value = default
        if value is None:
            hint = f"set it in the environment or in .env, or write ${{{name}:-default}}"
            self.add_problem(node, number, f"the variable {name} is not set", hint)
        elif any("\ud800" <= letter <= "\udfff" for letter in value):
            self.add_problem(node, number, f"the value of {name} is not UTF-8 text", "set it again")
            return None
        return value

    def add_problem(self, node: Node, number: int, message: str, hint: str) -> None:
        """A problem at the reference itself: its place is that of the same one, counted, in the text."""
        start, end = node.span
        written = [found.start() for found in re.finditer(r"\$\$?\{", self.source.text[start:end])]
        where = self.source.location(node.line, node.column)
        if number < len(written):
            where = self.source.location_of(start + written[number])
        self.problems.append(Problem(message, where, field=node.field, hint=hint))

    def field_schema(self, path: tuple[str | int, ...]) -> Schema:
        """The schema of the field at `path`; that of an environment's field is the field's own."""
        if path[:1] == ("environments",):
            path = path[2:]
        schema: Any = self.schema
        for part in path:
            schema = resolve_reference(schema, self.schema)
            schema = (
                schema.get("items", {})
                if isinstance(part, int)
                else schema.get("properties", {}).get(part, {})
            )
        return resolve_reference(schema, self.schema)


def dotted_path(path: tuple[str | int, ...]) -> str:
    """`verify.http[0].path` for ("verify", "http", 0, "path")."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{_printable_key(part)}"
    return text.removeprefix(".")


def _printable_key(key: str) -> str:
    return key if key.isprintable() and len(key) <= 60 else key.encode("unicode_escape").decode()[:60]


def _convert(text: str, schema: Schema) -> str | int | float | bool:
    """The text as the type that the schema wants, or as it is where it isn't one."""
    wanted = schema.get("type", ())
    if "boolean" in wanted:
        return _BOOLEANS.get(text.lower(), text)
    if wanted == "integer" and re.fullmatch(r"-?[0-9]{1,9}", text):
        return int(text)
    if "number" in wanted and re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,6})?", text):
        return float(text)
    return text
