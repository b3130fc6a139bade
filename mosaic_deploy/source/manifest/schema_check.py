"""A fast schema check for valid manifests, so that jsonschema is imported only to explain mistakes.

`conforms` implements only the keywords below. True means that jsonschema would accept the value too; False means that
jsonschema must decide. Importing jsonschema takes several times longer than everything else in reading a manifest;
fastjsonschema (+70 ms even with generated code) and jsonschema-rs (+25 ms) were measured and are slower than this (2 ms).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from mosaic_deploy.source.manifest.yaml_scalars import AmbiguousScalar
from mosaic_deploy.source.manifest.yaml_tree import Node

Schema = Mapping[str, Any]


class UnresolvedVariable(str):
    """Text with a variable of an environment that isn't the chosen one, so the variable isn't looked up.

    It conforms to every schema, because its value is unknown.
    """

    __slots__ = ()


ANNOTATIONS = frozenset(
    {"$schema", "$id", "$defs", "title", "description", "examples", "default", "patternErrorMessage"}
)


def conforms(schema: Schema, value: object, root: Schema | None = None) -> bool:
    """Whether `value` certainly conforms to `schema`. References are resolved in `root`, by default `schema`."""
    if isinstance(value, UnresolvedVariable):
        return True
    whole = schema if root is None else root
    return all(keyword in ANNOTATIONS or _check_keyword(keyword, schema, value, whole) for keyword in schema)


def _check_keyword(keyword: str, schema: Schema, value: Any, root: Schema) -> bool:
    check = KEYWORDS.get(keyword)
    return check is not None and check(schema[keyword], value, schema, root)


def resolve_reference(schema: Schema, root: Schema) -> Schema:
    """The target of `$ref`, or the schema itself. Supports only references within the same file."""
    while "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        schema = target
    return schema


def conversions(value: object, text: str | None, schema: Schema, root: Schema) -> Iterator[object]:
    """What an invalid scalar may have been meant as, as far as `schema` accepts it; `text` is how it is written.

    A number or boolean for a text; a list with it as the only item; a map with it as the only required field.
    """
    digits = str(value).removesuffix(".0")
    text = text or (value if isinstance(value, str) else None)
    items = resolve_reference(schema.get("items", {}), root)
    candidates: list[object] = [int(digits)] if isinstance(value, (str, float)) and digits.isdecimal() else []
    if value in ("true", "false"):
        candidates.append(value == "true")
    if text:
        candidates += [_in_map(text, schema), [text], [_in_map(text, items)]]
    for number, candidate in enumerate(candidates):
        if candidate != text and candidate not in candidates[:number] and conforms(schema, candidate, root):
            yield candidate


def _in_map(value: str, schema: Schema) -> object:
    """A map with the value as the only required field of `schema`; the value itself if that has no such field."""
    required = schema.get("required", ())
    return {required[0]: value} if len(required) == 1 else value


_TYPES: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def _type(types: Any, value: Any, *_: Any) -> bool:
    return any(_TYPES[name](value) for name in ([types] if isinstance(types, str) else types))


def _patterns(patterns: Any, value: Any, _: Schema, root: Schema) -> bool:
    return not isinstance(value, dict) or all(
        conforms(schema, member, root)
        for pattern, schema in patterns.items()
        for key, member in value.items()
        if re.search(pattern, key)
    )


def _additional(allowed: Any, value: Any, schema: Schema, _: Schema) -> bool:
    if allowed is not False or not isinstance(value, dict):
        return allowed is False
    known, patterns = schema.get("properties", ()), schema.get("patternProperties", ())
    return all(key in known or any(re.search(pattern, key) for pattern in patterns) for key in value)


def _number(value: Any) -> bool:
    return _TYPES["number"](value)


KEYWORDS: dict[str, Callable[[Any, Any, Schema, Schema], bool]] = {
    "$ref": lambda _, value, schema, root: conforms(resolve_reference(schema, root), value, root),
    "type": _type,
    "const": lambda expected, value, *_: type(expected) is type(value) and expected == value,
    "enum": lambda allowed, value, *_: any(type(one) is type(value) and one == value for one in allowed),
    "anyOf": lambda options, value, _, root: any(conforms(option, value, root) for option in options),
    "properties": lambda known, value, _, root: (
        not isinstance(value, dict)
        or all(conforms(known[key], value[key], root) for key in value if key in known)
    ),
    "patternProperties": _patterns,
    "additionalProperties": _additional,
    "required": lambda names, value, *_: not isinstance(value, dict) or all(name in value for name in names),
    "items": lambda schema, value, _, root: (
        not isinstance(value, list) or all(conforms(schema, item, root) for item in value)
    ),
    "uniqueItems": lambda _, value, *__: (
        not isinstance(value, list)
        or (all(isinstance(item, str) for item in value) and len(set(value)) == len(value))
    ),
    "minLength": lambda least, value, *_: not isinstance(value, str) or len(value) >= least,
    "maxLength": lambda most, value, *_: not isinstance(value, str) or len(value) <= most,
    "pattern": lambda pattern, value, *_: not isinstance(value, str) or re.search(pattern, value) is not None,
    "minimum": lambda least, value, *_: not _number(value) or value >= least,
    "maximum": lambda most, value, *_: not _number(value) or value <= most,
}
"""Keyword -> whether it certainly holds, given (its value, the instance, its schema, the root schema)."""


def settle_words(node: Node, schema: Schema, root: Schema) -> Node:
    """`node`, with words such as `off` as text where `schema` allows the text and the boolean, so that both readings are valid."""
    if isinstance(node.value, dict):
        members = {
            key: settle_words(each, _member_schema(key, schema, root), root)
            for key, each in node.value.items()
        }
        return replace(node, value=members)
    allowed = schema.get("enum", ())
    if isinstance(node.value, AmbiguousScalar) and node.value.text in allowed and False in allowed:
        return replace(node, value=node.value.text)
    return node


def _member_schema(name: str, schema: Schema, root: Schema) -> Schema:
    """The schema of a member; of alternatives, the one that isn't null."""
    found = schema.get("properties", {}).get(name)
    if found is None:
        patterns = schema.get("patternProperties", {}).items()
        found = next((each for pattern, each in patterns if re.search(pattern, name)), {})
    found = next((each for each in found.get("anyOf", ()) if "$ref" in each), found)
    return resolve_reference(found, root)
