"""The shipped schema: valid, documented, and limited to keywords that the fast check supports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from mosaic_deploy.schema_files import read_schema, schema_path
from mosaic_deploy.source.manifest.schema_check import ANNOTATIONS, KEYWORDS, conforms, resolve_reference
from mosaic_deploy.source.manifest.schema_messages import MESSAGES

SCHEMA = read_schema("mosaic.schema.json")
NEVER_REPORTED = {"$ref", "anyOf", "properties", "patternProperties", "items"}
"""Keywords for which jsonschema reports the violations of their subschemas instead."""


def subschemas(schema: Any, path: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for keyword in ("properties", "patternProperties", "$defs"):
        for name, child in schema.get(keyword, {}).items():
            yield from subschemas(child, f"{path}/{keyword}/{name}")
    if "items" in schema:
        yield from subschemas(schema["items"], f"{path}/items")
    for number, child in enumerate(schema.get("anyOf", ())):
        yield from subschemas(child, f"{path}/anyOf/{number}")


ALL = dict(subschemas(SCHEMA))
FIELDS = [path for path in ALL if ("/properties/" in path or path.endswith("items")) and "anyOf" not in path]


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema that documents a field: itself, its reference, or the alternative that isn't null."""
    parts = [part for part in schema.get("anyOf", [schema]) if part.get("type") != "null"]
    assert len(parts) == 1
    return dict(resolve_reference(parts[0], SCHEMA))


def test_the_schema_is_a_valid_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["title"]
    assert SCHEMA["$id"]


@pytest.mark.parametrize("path", FIELDS)
def test_every_field_is_described_and_every_example_is_valid(path: str) -> None:
    schema = resolved(ALL[path])
    assert schema["title"]
    assert schema["description"].endswith(".")
    assert schema["examples"]
    for example in schema["examples"]:
        assert conforms(ALL[path], example, SCHEMA)
        assert accepts(ALL[path], example)


def accepts(schema: dict[str, Any], value: Any) -> bool:
    """Whether jsonschema accepts `value`. References are resolved in the whole schema."""
    return bool(Draft202012Validator(SCHEMA).evolve(schema=schema).is_valid(value))


def test_the_examples_of_the_whole_schema_are_valid() -> None:
    for example in SCHEMA["examples"]:
        assert accepts(SCHEMA, example)


@pytest.mark.parametrize("path", ALL)
def test_only_known_keywords_are_used(path: str) -> None:
    schema = ALL[path]
    assert set(schema) <= KEYWORDS.keys() | ANNOTATIONS
    assert set(schema) - ANNOTATIONS - NEVER_REPORTED <= MESSAGES.keys()
    if "pattern" in schema or ("patternProperties" in schema):
        assert schema["patternErrorMessage"]


@pytest.mark.parametrize("path", ALL)
def test_maps_allow_no_other_fields(path: str) -> None:
    schema = ALL[path]
    if "object" in schema.get("type", ()):
        assert schema["additionalProperties"] is False


def test_environments_can_override_all_fields_except_version_variables_and_environments() -> None:
    def fields(schema: dict[str, Any]) -> Any:
        schema = resolved(schema)
        return {name: fields(child) for name, child in schema.get("properties", {}).items()}

    base = fields({key: value for key, value in SCHEMA.items() if key != "anyOf"})
    assert fields(SCHEMA["$defs"]["environment"]) == {
        name: below for name, below in base.items() if name not in ("version", "variables", "environments")
    }


def test_an_unknown_keyword_never_conforms() -> None:
    assert not conforms({"type": "string", "format": "uri"}, "x")


def test_a_missing_schema_is_reported() -> None:
    with pytest.raises(FileNotFoundError, match=r"lacks none\.json"):
        schema_path("none.json")


# jsonschema must accept every value that conforms: values similar to the schema, and of any shape.
TEXTS = st.one_of(
    st.sampled_from(
        ["", "public", "10s", "/a", "//a", "a\n", "/a\n", "vector", "..", "/x y", "1", "true", "a/"]
    ),
    st.text(max_size=8),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-5, 700), st.floats(), st.just(1.0), TEXTS)


def similar_to(schema: dict[str, Any], depth: int = 0) -> st.SearchStrategy[Any]:
    """Values with the structure of the schema and arbitrary leaves."""
    schema = resolved(schema)
    if depth < 6 and "properties" in schema:
        known = {name: similar_to(child, depth + 1) for name, child in schema["properties"].items()}
        return st.one_of(st.fixed_dictionaries({}, optional=known), SCALARS)
    if depth < 6 and "patternProperties" in schema:
        (below,) = schema["patternProperties"].values()
        return st.one_of(st.dictionaries(TEXTS, similar_to(below, depth + 1), max_size=2), SCALARS)
    if "items" in schema:
        return st.one_of(st.lists(similar_to(schema["items"], depth + 1), max_size=3), SCALARS)
    return st.one_of(*(st.just(example) for example in schema["examples"]), SCALARS)


@settings(deadline=None, max_examples=300)
@given(similar_to({key: value for key, value in SCHEMA.items() if key != "anyOf"}))
def test_jsonschema_accepts_values_that_conform(value: Any) -> None:
    if conforms(SCHEMA, value):
        assert accepts(SCHEMA, value)


@settings(deadline=None, max_examples=300)
@given(st.data(), st.sampled_from(sorted(ALL)))
def test_jsonschema_accepts_values_that_conform_to_subschemas(data: st.DataObject, path: str) -> None:
    value = data.draw(st.one_of(similar_to(ALL[path]) if path.count("anyOf") == 0 else SCALARS, SCALARS))
    if conforms(ALL[path], value, SCHEMA):
        assert accepts(ALL[path], value)
