"""Builds the model's Manifest from validated values, and merges environments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

from mosaic_deploy.errors import Problem
from mosaic_deploy.model.manifest import (
    BuildSpec,
    DatabaseSpec,
    DevSpec,
    HttpCheck,
    MagicLinkCheck,
    MagicLinkSpec,
    Manifest,
    PolicySpec,
    ProjectSpec,
    RedirectSpec,
    SqlCheck,
    StaticSpec,
    StorageSpec,
    VerifySpec,
)
from mosaic_deploy.source.manifest.text import SourceText
from mosaic_deploy.source.manifest.yaml_tree import Node, node_at

Value = Mapping[str, Any]

_UNITS = (("ms", 0.001), ("min", 60.0), ("h", 3600.0), ("s", 1.0))
_MIN_SECONDS = 0.001
_MAX_SECONDS = 2_147_483  # PostgreSQL stores milliseconds in 32 bits
_DURATIONS = (
    ("database", "lock_timeout", "0 means no limit"),
    ("database", "statement_timeout", "0 means no limit"),
    ("static", "keep", "0 deletes them at once"),
    ("build", "timeout", None),
)
"""(section, field, what 0 means if it is allowed)"""


def build_manifest(value: Value, file: Path, environment: str | None) -> Manifest:
    """The Manifest for a value that conforms to the schema."""
    link = value.get("auth", {}).get("magic_link")
    return Manifest(
        file=file,
        project=ProjectSpec(**value.get("project", {})),
        database=_database(value["database"]) if "database" in value else None,
        static=_static(value["static"]) if "static" in value else None,
        build=_build(value["build"]) if "build" in value else None,
        dev=DevSpec(**_lists_to_tuples(value["dev"])) if "dev" in value else None,
        storage=_storage(value["storage"]) if "storage" in value else None,
        magic_link=MagicLinkSpec(**_lists_to_tuples(link)) if link is not None else None,
        policy=policy_of(value["policy"]) if "policy" in value else None,
        verify=_verify(value.get("verify", {})),
        environment=environment,
    )


def policy_of(value: Value) -> PolicySpec:
    """The policy for a value that conforms to the schema."""
    return PolicySpec(**_lists_to_tuples(value))


def valid_sections(value: Value, problems: Iterable[Problem], environment: str | None) -> Value | None:
    """The sections and fields of a manifest about files and SQL that none of `problems` affects.

    None if a problem isn't about one field, or is about the environment itself, because it may affect any field. A
    mistake in static or storage removes the section: without one of its patterns, it would select other files.
    """
    invalid: set[str] = set()
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
        field = fields[0].partition("[")[0] if fields else ""
        invalid |= {f"{section}.{field}"} if section == "database" and field else {section}
    valid = {
        name: value[name] for name in ("build", "static", "storage") if name in value and name not in invalid
    }
    database = value.get("database", {}) if "database" not in invalid else {}
    sql = {
        name: database[name]
        for name in ("migrations", "layout", "repeatable", "seeds")
        if name in database and f"database.{name}" not in invalid
    }
    return {**valid, "database": sql} if sql else valid


def parse_duration(duration: str | float) -> float:
    """Seconds for `"500ms"`, `"2min"` or a number of seconds."""
    if not isinstance(duration, str):
        return float(duration)
    unit, factor = next((unit, factor) for unit, factor in _UNITS if duration.endswith(unit))
    return float(duration.removesuffix(unit)) * factor


def duration_problems(tree: Node, source: SourceText) -> Iterator[Problem]:
    """Problems for durations outside PostgreSQL's range, which the schema can't check in text."""
    for section, name, zero in _DURATIONS:
        node = node_at(tree, section, name)
        seconds = _duration_of(node) if node is not None else None
        if (
            node is None
            or seconds is None
            or _MIN_SECONDS <= seconds <= _MAX_SECONDS
            or (zero and not seconds)
        ):
            continue
        location = source.location(node.line, node.column)
        allowed = "must be 0 or between 1ms and 596h" if zero else "must be between 1ms and 596h"
        yield Problem(allowed, location, field=node.field, hint=zero)


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


def _static(value: Value) -> StaticSpec:
    redirects = [
        RedirectSpec(each["from"], each["to"], each.get("status", 301)) for each in value.get("redirects", ())
    ]
    keep = {"keep": parse_duration(value["keep"])} if "keep" in value else {}
    links = {"check_links": "off"} if value.get("check_links") is False else {}  # YAML reads `off` as false
    return StaticSpec(**_lists_to_tuples({**value, **keep, **links, "redirects": redirects}))


def _build(value: Value) -> BuildSpec:
    timeout = {"timeout": parse_duration(value["timeout"])} if "timeout" in value else {}
    return BuildSpec(**_lists_to_tuples({**value, **timeout}))


def _storage(value: Value) -> StorageSpec:
    prefix = value.get("prefix", "")
    return StorageSpec(**_lists_to_tuples({**value, "prefix": f"{prefix.rstrip('/')}/" if prefix else ""}))


def _verify(value: Value) -> VerifySpec:
    link = value.get("magic_link")
    return VerifySpec(
        tuple(HttpCheck(**check) for check in value.get("http", ())),
        tuple(SqlCheck(**check, has_value="value" in check) for check in value.get("sql", ())),
        MagicLinkCheck(**link) if link is not None else None,
    )


def _lists_to_tuples(value: Value) -> dict[str, Any]:
    return {key: tuple(member) if isinstance(member, list) else member for key, member in value.items()}


def merge_overrides(base: Node, override: Node) -> Node:
    """`base` merged with `override`: maps field by field, other values replaced, null removes a field.

    Every value keeps its location, so mistakes in an override are reported there.
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


def with_build_defaults(tree: Node) -> Node:
    """`tree`, in which `static.dir` is `build.output` unless it is set; the value keeps the output's location."""
    static, output = node_at(tree, "static"), node_at(tree, "build", "output")
    if static is None or output is None or not isinstance(static.value, dict) or "dir" in static.value:
        return tree
    filled = replace(static, value={**static.value, "dir": output})
    assert isinstance(tree.value, dict)
    return replace(tree, value={**tree.value, "static": filled})


def _empty_node(node: Node) -> Node:
    return Node(None, node.line, node.column, node.span)
