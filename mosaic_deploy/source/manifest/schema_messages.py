"""jsonschema's verdict on a manifest, in sentences that say what to do. Loaded only when there is a mistake.

jsonschema decides what is a mistake; `MESSAGES` says it, one row per keyword of the schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from mosaic_deploy.errors import Problem
from mosaic_deploy.source.manifest.schema_check import Schema, UnresolvedVariable, resolve_reference
from mosaic_deploy.source.manifest.text import SourceText
from mosaic_deploy.source.manifest.yaml_scalars import AmbiguousScalar
from mosaic_deploy.source.manifest.yaml_tree import Node, describe_value

_extend: Any = extend  # untyped in the stubs

# 1.0 is an integer to JSON Schema; in a manifest it is a mistake (`version: 1.0`).
_Validator: Any = _extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)

# What a keyword needn't say again where another has been violated at the same place.
_MADE_REDUNDANT_BY: dict[str, tuple[str, ...]] = {
    "type": (),
    "enum": ("type",),
    "pattern": ("type", "minLength"),
}

_TYPE_NAMES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a map of fields",
    "null": "null",
}


class SchemaChecker:
    """Asks jsonschema about trees and translates its answers."""

    def __init__(self, schema: Schema, source: SourceText) -> None:
        self.schema = schema
        self.source = source
        self.validator = _Validator(schema)

    def problems(self, root: Node, value: object) -> Iterator[Problem]:
        """Every mistake of `root`, whose plain value is `value`. One that only a variable could decide is none."""
        errors = [cause for error in self.validator.iter_errors(value) for cause in _causes(error)]
        violated = {(tuple(error.absolute_path), str(error.validator)) for error in errors}
        for error in errors:
            path = tuple(error.absolute_path)
            if any(
                (path, first) in violated for first in _MADE_REDUNDANT_BY.get(str(error.validator), ("type",))
            ):
                continue
            node = _node_at(root, path)
            if not isinstance(node.value, UnresolvedVariable):
                yield from MESSAGES[str(error.validator)](self, node, error)

    def problem_at_value(self, node: Node, message: str, hint: str | None = None) -> Problem:
        return Problem(message, self.source.location(node.line, node.column), field=node.field, hint=hint)

    def problem_at_key(self, node: Node, message: str, hint: str | None = None, name: str = "") -> Problem:
        """A problem at the key of `node`, about its field `name`."""
        field = f"{node.field}.{name}".strip(".") if name else node.field
        return Problem(
            message, self.source.location(*(node.key_at or (node.line, node.column))), field=field, hint=hint
        )


def is_required(problem: Problem) -> bool:
    """Whether the mistake is that a field isn't there."""
    return problem.message == _MISSING


def _causes(error: ValidationError) -> Iterator[ValidationError]:
    """The error, or for `anyOf [null, …]` what is wrong with the part that isn't null."""
    if error.validator != "anyOf":
        yield error
        return
    for cause in error.context or ():
        if cause.validator_value != "null":
            yield from _causes(cause)


def _node_at(root: Node, path: tuple[str | int, ...]) -> Node:
    node: Any = root
    for part in path:
        node = node.value[part]
    assert isinstance(node, Node)
    return node


_MISSING = "required, but not there"


def _unknown_field(verdict: SchemaChecker, node: Node, error: ValidationError) -> Iterator[Problem]:
    schema: Any = error.schema
    known = list(schema.get("properties", ()))
    assert isinstance(node.value, dict)
    for key, child in node.value.items():
        if key in known or ("patternProperties" in schema and _matches(schema["patternProperties"], key)):
            continue
        if not known:
            yield verdict.problem_at_key(child, schema["patternErrorMessage"])
        else:
            yield verdict.problem_at_key(
                child, "unknown field", _suggest_field(verdict.schema, node, known, key)
            )


def _matches(patterns: Schema, key: str) -> bool:
    return any(re.search(pattern, key) for pattern in patterns)


def _suggest_field(schema: Schema, node: Node, known: list[str], key: str) -> str:
    """Where an unknown field belongs, else the known one that is spelled like it."""
    homes = [path.rpartition(".")[0] for path in _fields(schema, schema) if path.rpartition(".")[2] == key]
    if homes:
        return f'it belongs under "{homes[0]}"' if homes[0] else "it belongs at the top of the manifest"
    if close := _similar_field(key, known, node):
        return f'did you mean "{close}"?'
    return f"known here: {', '.join(known)}"


def _similar_field(key: str, known: list[str], node: Node) -> str | None:
    """The known field meant by `key`: rather one that isn't there yet."""
    taken = node.value if isinstance(node.value, dict) else {}
    absent = [name for name in known if name not in taken]
    close = get_close_matches(key.lower(), absent, 1) or get_close_matches(key.lower(), known, 1)
    return close[0] if close else None


def _fields(schema: Schema, root: Schema, prefix: str = "") -> Iterator[str]:
    for name, child in resolve_reference(schema, root).get("properties", {}).items():
        yield prefix + name
        yield from _fields(child, root, f"{prefix}{name}.")


def _required(verdict: SchemaChecker, node: Node, error: ValidationError) -> Iterator[Problem]:
    schema: Any = error.schema
    present: Any = node.value
    known = list(schema["properties"])
    for name in schema["required"]:
        misspelt = any(key not in known and _similar_field(key, known, node) == name for key in present)
        if name not in present and not misspelt:
            example = resolve_reference(schema["properties"][name], verdict.schema)["examples"][0]
            yield verdict.problem_at_key(node, _MISSING, f"add {name}: {_inline_yaml(example)}", name)


def _type(verdict: SchemaChecker, node: Node, error: ValidationError) -> Iterator[Problem]:
    schema: Any = error.schema
    wanted = [schema["type"]] if isinstance(schema["type"], str) else list(schema["type"])
    phrase = " or ".join(_TYPE_NAMES[name] for name in wanted if name != "null" or len(wanted) == 1)
    yield verdict.problem_at_value(node, *_mismatch(node, wanted, phrase, schema))


def _mismatch(node: Node, wanted: list[str], phrase: str, schema: Schema) -> tuple[str, str]:
    """What is there instead of what is wanted, and how to write it right."""
    value = node.value
    if node.variable is not None:
        return f"must be {phrase}, and the value of {node.variable} is not", _example_hint(schema)
    if isinstance(value, AmbiguousScalar):
        return f"must be {phrase}, and {value.reading}", _ambiguous_hint(value, wanted) or _example_hint(
            schema
        )
    if value is not None and wanted == ["string"] and node.raw is not None:
        return f"{node.raw} is {describe_value(value)} in YAML, and text is wanted", f'quote it: "{node.raw}"'
    found = "nothing is here" if value is None else f"this is {describe_value(value)}"
    return f"must be {phrase}, and {found}", _conversion_hint(value, wanted) or _example_hint(schema)


def _conversion_hint(value: object, wanted: list[str]) -> str | None:
    """The same value as the type that is wanted, where there is one."""
    if wanted == ["array"] and isinstance(value, str):
        return f"write it as a list: [{_inline_yaml(value)}]"
    number = _integer_text(value) if wanted == ["integer"] else None
    return f"write {number}" if number else None


def _example_hint(schema: Schema) -> str:
    return f"such as {_inline_yaml(schema['examples'][0])}"


def _integer_text(value: object) -> str | None:
    """The integer that text or a decimal number stands for."""
    text = str(value).removesuffix(".0")
    return text if isinstance(value, (str, float)) and text.isdecimal() else None


def _ambiguous_hint(trap: AmbiguousScalar, wanted: list[str]) -> str | None:
    if wanted == ["string"]:
        return f'quote it: "{trap.text}"'
    return f"write {trap.number}" if trap.number else None


def _const(verdict: SchemaChecker, node: Node, error: ValidationError) -> Iterator[Problem]:
    yield verdict.problem_at_value(
        node, f"must be {error.validator_value}, and this is {_value_text(node)}",
        "a newer mosaic-deploy may read other versions",
    )  # fmt: skip


def _enum(verdict: SchemaChecker, node: Node, error: ValidationError) -> Iterator[Problem]:
    values: Any = error.validator_value
    allowed = [str(one) for one in values]
    close = get_close_matches(str(node.value), allowed, 1)
    meant = f'did you mean "{close[0]}"?' if close else None
    yield verdict.problem_at_value(
        node, f"must be one of {', '.join(allowed)}, and this is {_value_text(node)}", meant
    )


def _pattern(verdict: SchemaChecker, node: Node, error: ValidationError) -> Iterator[Problem]:
    schema: Any = error.schema
    yield verdict.problem_at_value(
        node,
        f"{schema['patternErrorMessage']}; this is {_value_text(node)}",
        _example_hint(schema),
    )


def _bound(words: str) -> Callable[[SchemaChecker, Node, ValidationError], Iterator[Problem]]:
    def sentence(verdict: SchemaChecker, node: Node, error: ValidationError) -> Iterator[Problem]:
        yield verdict.problem_at_value(
            node, f"{words.format(error.validator_value)}, and this is {_value_text(node)}"
        )

    return sentence


def _empty(verdict: SchemaChecker, node: Node, error: ValidationError) -> Iterator[Problem]:
    schema: Any = error.schema
    whose = f" (the value of {node.variable})" if node.variable else ""
    yield verdict.problem_at_value(node, f"must not be empty{whose}", _example_hint(schema))


def _duplicate_item(verdict: SchemaChecker, node: Node, _: ValidationError) -> Iterator[Problem]:
    first: dict[str, Node] = {}
    assert isinstance(node.value, list)
    for item in node.value:
        text = json.dumps(item.value, default=str)
        if text in first:
            yield verdict.problem_at_value(
                item, f"is in the list already, in line {first[text].line}", "keep one of the two"
            )
        first.setdefault(text, item)


def _value_text(node: Node) -> str:
    if node.variable is not None:
        return f"the value of {node.variable}"
    return node.value.reading if isinstance(node.value, AmbiguousScalar) else describe_value(node.value)


def _inline_yaml(example: object) -> str:
    """An example as it would be written in a manifest, on one line."""
    if (
        isinstance(example, str)
        and example
        and example.replace(".", "").replace("-", "").replace("/", "").isalnum()
    ):
        return example
    return json.dumps(example, ensure_ascii=False)


MESSAGES: dict[str, Callable[[SchemaChecker, Node, ValidationError], Iterator[Problem]]] = {
    "additionalProperties": _unknown_field,
    "required": _required,
    "type": _type,
    "const": _const,
    "enum": _enum,
    "pattern": _pattern,
    "minimum": _bound("must be at least {}"),
    "maximum": _bound("must be at most {}"),
    "minLength": _empty,
    "maxLength": _bound("must be at most {} characters long"),
    "uniqueItems": _duplicate_item,
}
"""Keyword of the schema -> the Problems that stand for its violation."""
