"""Turns jsonschema's errors into messages for people. Imported only for invalid manifests.

jsonschema decides what is invalid; `MESSAGES` has one function per keyword that words the message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from mosaic_deploy.errors import Problem
from mosaic_deploy.source.manifest.schema_check import (
    Schema,
    UnresolvedVariable,
    conforms,
    conversions,
    resolve_reference,
)
from mosaic_deploy.source.manifest.text import SourceText
from mosaic_deploy.source.manifest.yaml_scalars import AmbiguousScalar
from mosaic_deploy.source.manifest.yaml_tree import Node, describe_value, yaml_reading

_extend: Any = extend  # untyped in the stubs

# JSON Schema accepts 1.0 as an integer; a manifest doesn't (`version: 1.0`).
_Validator: Any = _extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)

# An error of a keyword isn't reported if one of these keywords is violated at the same place.
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
    """Validates trees with jsonschema and translates its errors."""

    def __init__(self, schema: Schema, source: SourceText) -> None:
        self.schema = schema
        self.source = source
        self.validator = _Validator(schema)

    def problems(self, root: Node, value: object) -> Iterator[Problem]:
        """Every mistake of `root`, whose plain value is `value`. Unresolved variables are never mistakes."""
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
        """A problem located at the key of `node`, about its field `name`."""
        field = f"{node.field}.{name}".strip(".") if name else node.field
        return Problem(
            message, self.source.location(*(node.key_at or (node.line, node.column))), field=field, hint=hint
        )


def is_required(problem: Problem) -> bool:
    """Whether the problem is a missing field."""
    return problem.message == _MISSING


def _causes(error: ValidationError) -> Iterator[ValidationError]:
    """The error itself; for `anyOf [null, …]` the errors of the alternative that isn't null."""
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


_MISSING = "required field is missing"


def _unknown_field(checker: SchemaChecker, node: Node, error: ValidationError) -> Iterator[Problem]:
    schema: Any = error.schema
    known = list(schema.get("properties", ()))
    assert isinstance(node.value, dict)
    for key, child in node.value.items():
        if key in known or ("patternProperties" in schema and _matches(schema["patternProperties"], key)):
            continue
        if not known:
            yield checker.problem_at_key(child, schema["patternErrorMessage"])
        else:
            yield checker.problem_at_key(
                child, "unknown field", _suggest_field(checker.schema, node, known, key)
            )


def _matches(patterns: Schema, key: str) -> bool:
    return any(re.search(pattern, key) for pattern in patterns)


def _suggest_field(schema: Schema, node: Node, known: list[str], key: str) -> str:
    """A hint for an unknown field: where it belongs, else a known field with a similar name."""
    parents = [path.rpartition(".")[0] for path in _fields(schema, schema) if path.rpartition(".")[2] == key]
    if parents:
        return f'move it to "{parents[0]}"' if parents[0] else "move it to the top level of the manifest"
    if close := _similar_field(key, known, node):
        return f'did you mean "{close}"?'
    return f"fields allowed here: {', '.join(known)}"


def _similar_field(key: str, known: list[str], node: Node) -> str | None:
    """The known field with the most similar name, preferably one that isn't set yet, if it is similar enough."""
    present = node.value if isinstance(node.value, dict) else {}
    absent = [name for name in known if name not in present]
    close = get_close_matches(key.lower(), absent, 1, 0.7) or get_close_matches(key.lower(), known, 1)
    return close[0] if close else None


def _fields(schema: Schema, root: Schema, prefix: str = "") -> Iterator[str]:
    for name, child in resolve_reference(schema, root).get("properties", {}).items():
        yield prefix + name
        yield from _fields(child, root, f"{prefix}{name}.")


def _required(checker: SchemaChecker, node: Node, error: ValidationError) -> Iterator[Problem]:
    schema: Any = error.schema
    present: Any = node.value
    known = list(schema["properties"])
    for name in schema["required"]:
        misspelt = any(key not in known and _similar_field(key, known, node) == name for key in present)
        if name not in present and not misspelt:
            example = resolve_reference(schema["properties"][name], checker.schema)["examples"][0]
            yield checker.problem_at_key(node, _MISSING, f"add {name}: {_inline_yaml(example)}", name)


def _type(checker: SchemaChecker, node: Node, error: ValidationError) -> Iterator[Problem]:
    schema: Any = error.schema
    types = [schema["type"]] if isinstance(schema["type"], str) else list(schema["type"])
    expected = " or ".join(_TYPE_NAMES[name] for name in types if name != "null" or len(types) == 1)
    if "enum" in schema:
        expected = f"one of {_enum_text(schema['enum'])}"
    hint = _conversion_hint(checker, node, schema) or _example_hint(schema)
    yield checker.problem_at_value(node, _mismatch(node, types, expected), hint)


def _mismatch(node: Node, types: list[str], expected: str) -> str:
    """The message for a value of the wrong type."""
    value = node.value
    if node.variable is not None:
        return f"must be {expected}, but the value of {node.variable} isn't"
    if isinstance(value, AmbiguousScalar):
        return f"must be {expected}, but {value.reading}"
    if value is not None and types == ["string"] and node.raw is not None:
        return f"must be text, but {yaml_reading(node.raw, value)}"
    return f"must be {expected}{', but is empty' if value is None else _instead(node)}"


def _conversion_hint(checker: SchemaChecker, node: Node, schema: Schema) -> str | None:
    """A hint with the value written so that the field accepts it, None if nothing fits."""
    if node.variable is not None:
        return None
    value = node.value.clear if isinstance(node.value, AmbiguousScalar) else node.value
    text = node.value.text if isinstance(node.value, AmbiguousScalar) else node.raw
    hints = [f"write {_inline_yaml(each)}" for each in conversions(value, text, schema, checker.schema)]
    if text and conforms(schema, text, checker.schema):
        hints.append(f'quote it: "{text}"')
    return ", or ".join(hints) or None


def _example_hint(schema: Schema) -> str:
    return f"for example: {_inline_yaml(schema['examples'][0])}"


def _const(checker: SchemaChecker, node: Node, error: ValidationError) -> Iterator[Problem]:
    yield checker.problem_at_value(
        node, f"must be {error.validator_value}{_instead(node)}",
        "a newer version of mosaic-deploy may support it",
    )  # fmt: skip


def _enum(checker: SchemaChecker, node: Node, error: ValidationError) -> Iterator[Problem]:
    schema: Any = error.schema
    values: Any = error.validator_value
    text = node.value.text if isinstance(node.value, AmbiguousScalar) else str(node.value)
    close = get_close_matches(text, [each for each in values if isinstance(each, str)], 1)
    hint = f'did you mean "{close[0]}"?' if close else _example_hint(schema)
    if text.lower() in ("true", "false") and bool in map(type, values):
        hint = f"write {text.lower()}, without quotes"
    yield checker.problem_at_value(
        node, f"must be one of {_enum_text(values)}, but is {_value_text(node)}", hint
    )


def _enum_text(values: Iterable[object]) -> str:
    return ", ".join(_inline_yaml(value) for value in values)


def _pattern(checker: SchemaChecker, node: Node, error: ValidationError) -> Iterator[Problem]:
    schema: Any = error.schema
    message = f"{schema['patternErrorMessage']}; it is {_value_text(node)}"
    yield checker.problem_at_value(node, message, _example_hint(schema))


def _bound(template: str) -> Callable[[SchemaChecker, Node, ValidationError], Iterator[Problem]]:
    def problem(checker: SchemaChecker, node: Node, error: ValidationError) -> Iterator[Problem]:
        yield checker.problem_at_value(node, f"{template.format(error.validator_value)}{_instead(node)}")

    return problem


def _empty(checker: SchemaChecker, node: Node, error: ValidationError) -> Iterator[Problem]:
    schema: Any = error.schema
    source = f" (the value of {node.variable})" if node.variable else ""
    yield checker.problem_at_value(node, f"can't be empty{source}", _example_hint(schema))


def _duplicate_item(checker: SchemaChecker, node: Node, _: ValidationError) -> Iterator[Problem]:
    first: dict[str, Node] = {}
    assert isinstance(node.value, list)
    for item in node.value:
        text = json.dumps(item.value, default=str)
        if text in first:
            yield checker.problem_at_value(
                item, f"is already in the list, on line {first[text].line}", "remove one of them"
            )
        first.setdefault(text, item)


def _instead(node: Node) -> str:
    """`, not 2` for a number; `, but is the text "2"` otherwise."""
    is_number = type(node.value) in (int, float) and node.variable is None
    return f", not {node.value}" if is_number else f", but is {_value_text(node)}"


def _value_text(node: Node) -> str:
    if node.variable is not None:
        return f"the value of {node.variable}"
    return node.value.reading if isinstance(node.value, AmbiguousScalar) else describe_value(node.value)


def _inline_yaml(example: object) -> str:
    """A value as YAML on one line."""
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
"""Keyword of the schema -> the function that yields the Problems for its violation."""
