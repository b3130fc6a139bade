"""jsonschema's verdict on a manifest, in sentences that say what to do. Loaded only when there is a mistake.

jsonschema decides what is a mistake; `SENTENCES` says it, one row per keyword of the schema.
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
from mosaic_deploy.source.manifest.schema_check import Schema, Unresolved, referenced
from mosaic_deploy.source.manifest.text import SourceText
from mosaic_deploy.source.manifest.yaml_scalars import Trap
from mosaic_deploy.source.manifest.yaml_tree import Node, described

_extend: Any = extend  # untyped in the stubs

# 1.0 is an integer to JSON Schema; in a manifest it is a mistake (`version: 1.0`).
_Validator: Any = _extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)

# What a keyword needn't say again where another has been violated at the same place.
_SAYS_IT_ALL: dict[str, tuple[str, ...]] = {
    "type": (),
    "enum": ("type",),
    "pattern": ("type", "minLength"),
}

_WANTED = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a map of fields",
    "null": "null",
}


class Verdict:
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
            if any((path, first) in violated for first in _SAYS_IT_ALL.get(str(error.validator), ("type",))):
                continue
            node = _node_at(root, path)
            if not isinstance(node.value, Unresolved):
                yield from SENTENCES[str(error.validator)](self, node, error)

    def at_value(self, node: Node, message: str, hint: str | None = None) -> Problem:
        return Problem(message, self.source.location(node.line, node.column), field=node.field, hint=hint)

    def at_key(self, node: Node, message: str, hint: str | None = None, name: str = "") -> Problem:
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


def _unknown(verdict: Verdict, node: Node, error: ValidationError) -> Iterator[Problem]:
    schema: Any = error.schema
    known = list(schema.get("properties", ()))
    assert isinstance(node.value, dict)
    for key, child in node.value.items():
        if key in known or ("patternProperties" in schema and _matches(schema["patternProperties"], key)):
            continue
        if not known:
            yield verdict.at_key(child, schema["patternErrorMessage"])
        else:
            yield verdict.at_key(child, "unknown field", _meant(verdict.schema, node, known, key))


def _matches(patterns: Schema, key: str) -> bool:
    return any(re.search(pattern, key) for pattern in patterns)


def _meant(schema: Schema, node: Node, known: list[str], key: str) -> str:
    """Where an unknown field belongs, else the known one that is spelled like it."""
    homes = [path.rpartition(".")[0] for path in _fields(schema, schema) if path.rpartition(".")[2] == key]
    if homes:
        return f'it belongs under "{homes[0]}"' if homes[0] else "it belongs at the top of the manifest"
    if close := _alike(key, known, node):
        return f'did you mean "{close}"?'
    return f"known here: {', '.join(known)}"


def _alike(key: str, known: list[str], node: Node) -> str | None:
    """The known field meant by `key`: rather one that isn't there yet."""
    taken = node.value if isinstance(node.value, dict) else {}
    absent = [name for name in known if name not in taken]
    close = get_close_matches(key.lower(), absent, 1) or get_close_matches(key.lower(), known, 1)
    return close[0] if close else None


def _fields(schema: Schema, root: Schema, prefix: str = "") -> Iterator[str]:
    for name, child in referenced(schema, root).get("properties", {}).items():
        yield prefix + name
        yield from _fields(child, root, f"{prefix}{name}.")


def _required(verdict: Verdict, node: Node, error: ValidationError) -> Iterator[Problem]:
    schema: Any = error.schema
    present: Any = node.value
    known = list(schema["properties"])
    for name in schema["required"]:
        misspelt = any(key not in known and _alike(key, known, node) == name for key in present)
        if name not in present and not misspelt:
            example = referenced(schema["properties"][name], verdict.schema)["examples"][0]
            yield verdict.at_key(node, _MISSING, f"add {name}: {_flow(example)}", name)


def _type(verdict: Verdict, node: Node, error: ValidationError) -> Iterator[Problem]:
    schema: Any = error.schema
    wanted = [schema["type"]] if isinstance(schema["type"], str) else list(schema["type"])
    phrase = " or ".join(_WANTED[name] for name in wanted if name != "null" or len(wanted) == 1)
    yield verdict.at_value(node, *_mismatch(node, wanted, phrase, schema))


def _mismatch(node: Node, wanted: list[str], phrase: str, schema: Schema) -> tuple[str, str]:
    """What is there instead of what is wanted, and how to write it right."""
    value = node.value
    if node.variable is not None:
        return f"must be {phrase}, and the value of {node.variable} is not", _such_as(schema)
    if isinstance(value, Trap):
        return f"must be {phrase}, and {value.reading}", _trap_hint(value, wanted) or _such_as(schema)
    if value is not None and wanted == ["string"] and node.raw is not None:
        return f"{node.raw} is {described(value)} in YAML, and text is wanted", f'quote it: "{node.raw}"'
    found = "nothing is here" if value is None else f"this is {described(value)}"
    return f"must be {phrase}, and {found}", _rewritten(value, wanted) or _such_as(schema)


def _rewritten(value: object, wanted: list[str]) -> str | None:
    """The same value as the type that is wanted, where there is one."""
    if wanted == ["array"] and isinstance(value, str):
        return f"write it as a list: [{_flow(value)}]"
    number = _whole(value) if wanted == ["integer"] else None
    return f"write {number}" if number else None


def _such_as(schema: Schema) -> str:
    return f"such as {_flow(schema['examples'][0])}"


def _whole(value: object) -> str | None:
    """The integer that text or a decimal number stands for."""
    text = str(value).removesuffix(".0")
    return text if isinstance(value, (str, float)) and text.isdecimal() else None


def _trap_hint(trap: Trap, wanted: list[str]) -> str | None:
    if wanted == ["string"]:
        return f'quote it: "{trap.text}"'
    return f"write {trap.number}" if trap.number else None


def _const(verdict: Verdict, node: Node, error: ValidationError) -> Iterator[Problem]:
    yield verdict.at_value(
        node, f"must be {error.validator_value}, and this is {_found(node)}",
        "a newer mosaic-deploy may read other versions",
    )  # fmt: skip


def _enum(verdict: Verdict, node: Node, error: ValidationError) -> Iterator[Problem]:
    values: Any = error.validator_value
    allowed = [str(one) for one in values]
    close = get_close_matches(str(node.value), allowed, 1)
    meant = f'did you mean "{close[0]}"?' if close else None
    yield verdict.at_value(node, f"must be one of {', '.join(allowed)}, and this is {_found(node)}", meant)


def _pattern(verdict: Verdict, node: Node, error: ValidationError) -> Iterator[Problem]:
    schema: Any = error.schema
    yield verdict.at_value(
        node,
        f"{schema['patternErrorMessage']}; this is {_found(node)}",
        _such_as(schema),
    )


def _bound(words: str) -> Callable[[Verdict, Node, ValidationError], Iterator[Problem]]:
    def sentence(verdict: Verdict, node: Node, error: ValidationError) -> Iterator[Problem]:
        yield verdict.at_value(node, f"{words.format(error.validator_value)}, and this is {_found(node)}")

    return sentence


def _empty(verdict: Verdict, node: Node, error: ValidationError) -> Iterator[Problem]:
    schema: Any = error.schema
    whose = f" (the value of {node.variable})" if node.variable else ""
    yield verdict.at_value(node, f"must not be empty{whose}", _such_as(schema))


def _twice(verdict: Verdict, node: Node, _: ValidationError) -> Iterator[Problem]:
    first: dict[str, Node] = {}
    assert isinstance(node.value, list)
    for item in node.value:
        text = json.dumps(item.value, default=str)
        if text in first:
            yield verdict.at_value(
                item, f"is in the list already, in line {first[text].line}", "keep one of the two"
            )
        first.setdefault(text, item)


def _found(node: Node) -> str:
    if node.variable is not None:
        return f"the value of {node.variable}"
    return node.value.reading if isinstance(node.value, Trap) else described(node.value)


def _flow(example: object) -> str:
    """An example as it would be written in a manifest, on one line."""
    if (
        isinstance(example, str)
        and example
        and example.replace(".", "").replace("-", "").replace("/", "").isalnum()
    ):
        return example
    return json.dumps(example, ensure_ascii=False)


SENTENCES: dict[str, Callable[[Verdict, Node, ValidationError], Iterator[Problem]]] = {
    "additionalProperties": _unknown,
    "required": _required,
    "type": _type,
    "const": _const,
    "enum": _enum,
    "pattern": _pattern,
    "minimum": _bound("must be at least {}"),
    "maximum": _bound("must be at most {}"),
    "minLength": _empty,
    "maxLength": _bound("must be at most {} characters long"),
    "uniqueItems": _twice,
}
"""Keyword of the schema -> the Problems that stand for its violation."""
