"""Values of every type as results and parameters, as documented in schemas/openapi.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest
from started_platform import create_project

CASES = Path(__file__).parents[2] / "cases" / "sql_types"

OWN_TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN good_mood AS mood;
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN positives AS int[];
CREATE DOMAIN big AS bigint;
CREATE TYPE pair AS (number int, word text);
"""


@pytest.fixture(scope="module")
def typed(platform, api) -> str:
    project_id = create_project(platform.url, platform.api_key, "Types")
    api.sql(project_id, OWN_TYPES)
    return project_id


def _cases(path: Path) -> list[tuple[str, str]]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("--")]
    return [(expression, value) for expression, _, value in (line.partition(" ⇒ ") for line in lines)]


@pytest.mark.parametrize("path", sorted(CASES.glob("*.txt")), ids=lambda path: path.stem)
def test_values_as_json(api, typed, path) -> None:
    cases = _cases(path)
    assert cases
    for expression, expected in cases:
        response = api.post(f"/{typed}/sql", json={"query": f"SELECT {expression} AS v"})
        start, end = '{"success":true,"data":[{"v":', '}],"rows":'
        assert response.text.startswith(start), (expression, response.text[:500])
        assert response.text[len(start) : response.text.index(end)] == expected, expression
        response.json()


def test_too_deep_documents_are_strings(api, typed) -> None:
    for depth, kind in ((100, list), (101, str), (3000, str)):
        text = "[" * depth + "]" * depth
        (row,) = api.sql(typed, f"SELECT '{text}'::json AS v")
        assert isinstance(row["v"], kind), depth


PARAMETERS = [
    ("$1::int", 7, 7),
    ("$1::numeric", "12345678901234567890.123456789", "12345678901234567890.123456789"),
    ("$1::int8", "9223372036854775807", "9223372036854775807"),
    ("$1::bool", False, False),
    ("$1::text", None, None),
    ("$1::text", "", ""),
    ("$1::text", "it's 100% \\ \" {}", "it's 100% \\ \" {}"),
    ("$1::float8", 1.5, 1.5),
    ("$1::float8", "NaN", "NaN"),
    ("$1::jsonb", {"a": [1, "ü"]}, {"a": [1, "ü"]}),
    ("$1::jsonb", [1, [2, {"b": None}]], [1, [2, {"b": None}]]),
    ("$1::json", [], []),
    ("$1::int[]", [1, None, 3], [1, None, 3]),
    ("$1::int[]", [], []),
    ("$1::int[]", [[1, 2], [3, 4]], [[1, 2], [3, 4]]),
    (
        "$1::text[]",
        ["a", 'q"', "b\\c", "NULL", "", " ", "{,}", None],
        ["a", 'q"', "b\\c", "NULL", "", " ", "{,}", None],
    ),
    ("$1::jsonb[]", [{"a": 1}, [1], "x", None], [{"a": 1}, [1], "x", None]),
    ("$1::bool[]", [True, False], [True, False]),
    ("$1::box[]", ["(1,1),(0,0)"], ["(1,1),(0,0)"]),
    ("$1::vector", [1, 2.5, -3], "[1,2.5,-3]"),
    ("$1::vector[]", ["[1,2]", "[3,4]"], ["[1,2]", "[3,4]"]),
    ("$1::mood", "sad", "sad"),
    ("$1::mood[]", ["sad", "ok"], ["sad", "ok"]),
    ("$1::positives", [1, 2], [1, 2]),
    ("$1::bytea", "\\x00ff", "\\x00ff"),
    ("$1::uuid", "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000001"),
    ("$1::timestamptz", "2026-01-02T03:04:05Z", "2026-01-02 03:04:05+00"),
    ("$1::interval", "P1DT2H", "1 day 02:00:00"),
    ("$1::int4range", "[1,3)", "[1,3)"),
]


@pytest.mark.parametrize(("expression", "given", "expected"), PARAMETERS)
def test_parameters_get_their_types_from_the_statement(api, typed, expression, given, expected) -> None:
    response = api.post(f"/{typed}/sql", json={"query": f"SELECT {expression} AS v", "params": [given]})
    assert response.json()["data"] == [{"v": expected}], response.text


def test_too_many_parameters(api, typed) -> None:
    response = api.post(f"/{typed}/sql", json={"query": "SELECT 1", "params": [1] * 65_536})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "field_invalid")


def test_types_created_in_the_same_call(api, project) -> None:
    query = "BEGIN; CREATE TYPE colour AS ENUM ('red'); SET search_path = ''; SELECT ARRAY['red']::public.colour[] AS v"
    assert api.sql(project(), query) == [{"v": ["red"]}]
