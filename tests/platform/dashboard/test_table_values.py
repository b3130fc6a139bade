"""The dashboard's values without a database: texts through forms, JSON in lines, and the recorded policy."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_deploy.platform.dashboard.database.values import (
    form_text,
    from_form,
    indented_json,
    survives_form,
    vector_dimensions,
)
from mosaic_deploy.platform.dashboard.queries.policy import Policy, parse_policy

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=20)
@given(_JSON, st.sampled_from([None, 1]))
def test_json_in_lines_is_the_same_json(value, indent) -> None:
    text = json.dumps(value, indent=indent)
    assert indented_json(text) == indented_json(indented_json(text))
    assert json.loads(indented_json(text)) == value


def test_json_keeps_its_numbers_and_repeated_keys() -> None:
    assert (
        indented_json('{"a":1.10,"a":[],"b" : [ 1e400 ]}')
        == '{\n  "a": 1.10,\n  "a": [],\n  "b": [\n    1e400\n  ]\n}'
    )
    deep = "[" * 5000 + "]" * 5000
    assert indented_json(deep) == deep
    assert indented_json('"open') == '"open'


@given(st.text(st.sampled_from("a\r\n"), max_size=6))
def test_a_text_that_a_form_keeps_comes_back_as_it_was(text) -> None:
    sent = form_text(text).replace("\n", "\r\n")
    assert (from_form(sent, text) == text) == survives_form(text)
    assert survives_form(text.replace("\r", "x"))


@pytest.mark.parametrize(
    ("text", "dimensions"), [("[]", 0), ("[1]", 1), ("[1,2.5,-3]", 3), ("{1:0.5}/1000", 1000)]
)
def test_dimensions_of_vectors(text, dimensions) -> None:
    assert vector_dimensions(text) == dimensions


@pytest.mark.parametrize(
    ("record", "policy"),
    [
        (None, Policy()),
        ("nonsense", Policy()),
        ("[1]", Policy()),
        ('{"m": {"destructive": "sometimes"}}', Policy()),
        ('{"m": {"destructive": "allow"}}', Policy("allow")),
        (
            '{"m": {"destructive": "allow", "protected_tables": ["a"]}, "n": {"destructive": "deny", "protected_tables": ["b.c"]}}',
            Policy("deny", frozenset({"public.a", "b.c"})),
        ),
        ('{"m": {"destructive": "confirm", "protected_tables": "a"}}', Policy()),
    ],
)
def test_the_strictest_recorded_policy_holds(record, policy) -> None:
    assert parse_policy(record) == policy
