"""A manifest's tree as plain values, with locations and texts by dotted path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mosaic_deploy.errors import Location
from mosaic_deploy.model.variable_value import VariableValue
from mosaic_deploy.source.manifest.text import SourceText
from mosaic_deploy.source.manifest.yaml_tree import Node


def plain_value(node: Node) -> Any:
    """The tree as plain lists, dicts and scalars."""
    if isinstance(node.value, dict):
        return {key: plain_value(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain_value(child) for child in node.value]
    return node.value


def hiding_variables(chosen: Node) -> dict[str, Any]:
    """The plain manifest, with a VariableValue for each value in `verify` that came from variables."""
    assert isinstance(chosen.value, dict)
    value: dict[str, Any] = plain_value(chosen)
    if "verify" in value:
        value["verify"] = _hidden_value(chosen.value["verify"])
    return value


def _hidden_value(node: Node) -> Any:
    """Like `plain_value`, with VariableValue for what came from variables."""
    if isinstance(node.value, dict):
        return {key: _hidden_value(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [_hidden_value(child) for child in node.value]
    return VariableValue(node.written, plain_value(node), node.variables) if node.variable else node.value


def written_texts(node: Node, path: str = "") -> Iterator[tuple[str, str]]:
    """Dotted path and text in the file of every value that came from variables."""
    if node.variable:
        yield path, node.written
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            yield from written_texts(child, f"{path}.{key}" if path else key)
    elif isinstance(node.value, list):
        for index, child in enumerate(node.value):
            yield from written_texts(child, f"{path}[{index}]")


def locations_in(node: Node, source: SourceText, path: str = "") -> Iterator[tuple[str, Location]]:
    """Dotted path and location of every value; list items as `name[0]`."""
    yield path, source.location(node.line, node.column)
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            yield from locations_in(child, source, f"{path}.{key}" if path else key)
    elif isinstance(node.value, list):
        for index, child in enumerate(node.value):
            yield from locations_in(child, source, f"{path}[{index}]")
