"""An environment's overrides, laid over the rest of the manifest."""

from __future__ import annotations

from copy import copy

from mosaic_deploy.source.yaml_tree import Node


def overridden(base: Node, override: Node) -> Node:
    """`base` with `override` laid over it: maps field by field, everything else replaced, null removes.

    Every value keeps the place where it was written, so a mistake in an override is shown there.
    """
    if not isinstance(override.value, dict):
        return override
    merged = copy(base if isinstance(base.value, dict) else override)
    fields = dict(base.value) if isinstance(base.value, dict) else {}
    for key, node in override.value.items():
        if node.value is None:
            fields.pop(key, None)
        else:
            fields[key] = overridden(fields.get(key, _nothing(node)), node)
    merged.value = fields
    return merged


def _nothing(node: Node) -> Node:
    """What a field that the base doesn't have is laid over."""
    return Node(None, node.line, node.column, node.span)
