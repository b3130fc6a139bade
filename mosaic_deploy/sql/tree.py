"""Walks libpg_query's parse trees."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from mosaic_deploy.sql.parse import Tree


def walk(root: Any, *, without: Collection[str] = ()) -> Iterator[tuple[str, Tree]]:
    """Every node below `root` with the field or kind that holds it, in source order; nothing below `without`.

    Not recursive, because a chain of a thousand operators is a thousand levels deep.
    """
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            kept = [(kind, value) for kind, value in node.items() if kind not in without]
            yield from ((kind, value) for kind, value in kept if isinstance(value, dict))
            waiting.extend(value for _, value in reversed(kept))
        elif isinstance(node, list):
            waiting.extend(reversed(node))
