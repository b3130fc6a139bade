"""Matching paths against patterns such as `/v1/project/{project_id}/files/{filename}`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Target = TypeVar("Target")


@dataclass(frozen=True)
class Match(Generic[Target]):
    """A target, what stood in the pattern's braces, decoded, and the pattern itself."""

    target: Target
    params: dict[str, str]
    path: str


class PathTable(Generic[Target]):
    """Earlier patterns win. HEAD is answered where GET is."""

    def __init__(self, entries: Iterable[tuple[str, str, Target]]) -> None:
        by_path: dict[str, dict[str, Target]] = {}
        for method, path, target in entries:
            by_path.setdefault(path, {})[method] = target
        self._patterns = [(_compiled(path), path, methods) for path, methods in by_path.items()]

    def match(self, method: str, path: str) -> Match[Target] | list[str] | None:
        """The match; or, where only the method is wrong, the allowed methods; or None."""
        allowed: set[str] = set()
        for pattern, path_pattern, methods in self._patterns:
            found = pattern.fullmatch(path)
            if found is None:
                continue
            target = methods.get("GET" if method == "HEAD" else method)
            if target is not None:
                return Match(target, found.groupdict(), path_pattern)
            allowed.update(methods)
        if "GET" in allowed:
            allowed.add("HEAD")
        return sorted(allowed) or None


def _compiled(path: str) -> re.Pattern[str]:
    """A filename may have slashes; everything else in braces is one segment."""
    pieces = re.split(r"\{(\w+)\}", path)
    names = pieces[1::2]
    pattern = re.escape(pieces[0])
    for name, literal in zip(names, pieces[2::2], strict=True):
        inside = ".+" if name == "filename" else "[^/]+"
        pattern += f"(?P<{name}>{inside})" + re.escape(literal)
    return re.compile(pattern, re.DOTALL)
