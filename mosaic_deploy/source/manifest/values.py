"""From a manifest's checked values to the model's dataclasses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from pathlib import Path
from typing import Any

from mosaic_deploy.errors import Problem
from mosaic_deploy.model.manifest import (
    DatabaseSpec,
    HttpCheck,
    MagicLinkSpec,
    Manifest,
    PolicySpec,
    ProjectSpec,
    StaticSpec,
    StorageSpec,
)
from mosaic_deploy.source.manifest.text import SourceText
from mosaic_deploy.source.manifest.yaml_tree import Node

Value = Mapping[str, Any]

_UNITS = (("ms", 0.001), ("min", 60.0), ("h", 3600.0), ("s", 1.0))
_MIN_SECONDS = 0.001
_MAX_SECONDS = 2_147_483  # PostgreSQL keeps milliseconds in 32 bits


def build_manifest(value: Value, file: Path, environment: str | None) -> Manifest:
    """The Manifest of a value that keeps to the schema."""
    link = value.get("auth", {}).get("magic_link")
    return Manifest(
        file=file,
        project=ProjectSpec(**value.get("project", {})),
        database=_database(value["database"]) if "database" in value else None,
        static=StaticSpec(**_lists_to_tuples(value["static"])) if "static" in value else None,
        storage=_storage(value["storage"]) if "storage" in value else None,
        magic_link=MagicLinkSpec(**_lists_to_tuples(link)) if link is not None else None,
        policy=PolicySpec(**_lists_to_tuples(value["policy"])) if "policy" in value else None,
        verify=tuple(HttpCheck(**check) for check in value.get("verify", {}).get("http", ())),
        environment=environment,
    )


def valid_sections(value: Value, problems: Iterable[Problem], environment: str | None) -> Value | None:
    """What a manifest's value says of files and SQL, without what `problems` lie in.

    None where a problem isn't of one field, or is of the environment itself: it may be of any. A mistake in static
    or storage takes the section away: without one of its patterns, other files would be meant.
    """
    wrong: set[str] = set()
    for problem in problems:
        section, *fields = problem.field.split(".")
        if section == "environments" and environment is not None:
            if len(fields) < 2:
                return None
            if fields[0] != environment:
                continue
            section, *fields = fields[1:]
        if not section:
            return None
        named = fields[0].partition("[")[0] if fields else ""
        wrong |= {f"{section}.{named}"} if section == "database" and named else {section}
    good = {name: value[name] for name in ("static", "storage") if name in value and name not in wrong}
    database = value.get("database", {}) if "database" not in wrong else {}
    sql = {
        name: database[name]
        for name in ("migrations", "seeds")
        if name in database and f"database.{name}" not in wrong
    }
    return {**good, "database": sql} if sql else good


def parse_duration(duration: str | float) -> float:
    """`"500ms"`, `"2min"` or a number of seconds, in seconds."""
    if not isinstance(duration, str):
        return float(duration)
    unit, factor = next((unit, factor) for unit, factor in _UNITS if duration.endswith(unit))
    return float(duration.removesuffix(unit)) * factor


def duration_problems(tree: Node, source: SourceText) -> Iterator[Problem]:
    """Timeouts that PostgreSQL can't hold: what the schema can't say about text."""
    database = tree.value.get("database") if isinstance(tree.value, dict) else None
    fields = database.value if database is not None and isinstance(database.value, dict) else {}
    for name in ("lock_timeout", "statement_timeout"):
        node = fields.get(name)
        found = _duration_of(node) if node is not None else None
        if node is not None and found is not None and found and not _MIN_SECONDS <= found <= _MAX_SECONDS:
            where = source.location(node.line, node.column)
            hint = "0 means no limit"
            yield Problem("must be 0, or between 1ms and 596h", where, field=node.field, hint=hint)


def _duration_of(node: Node) -> float | None:
    try:
        return parse_duration(node.value) if isinstance(node.value, (str, int, float)) else None
    except (ValueError, StopIteration):
        return None


def _database(value: Value) -> DatabaseSpec:
    timeouts = {
        name: parse_duration(value[name]) for name in ("lock_timeout", "statement_timeout") if name in value
    }
    return DatabaseSpec(**_lists_to_tuples({**value, **timeouts}))


def _storage(value: Value) -> StorageSpec:
    prefix = value.get("prefix", "")
    return StorageSpec(**_lists_to_tuples({**value, "prefix": f"{prefix.rstrip('/')}/" if prefix else ""}))


def _lists_to_tuples(value: Value) -> dict[str, Any]:
    return {key: tuple(member) if isinstance(member, list) else member for key, member in value.items()}


def merge_overrides(base: Node, override: Node) -> Node:
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
            fields[key] = merge_overrides(fields.get(key, _empty_node(node)), node)
    merged.value = fields
    return merged


def _empty_node(node: Node) -> Node:
    """What a field that the base doesn't have is laid over."""
    return Node(None, node.line, node.column, node.span)
