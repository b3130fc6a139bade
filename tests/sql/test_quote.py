"""Quoted values come back unchanged from PostgreSQL's parser."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_deploy.sql.parse import parse
from mosaic_deploy.sql.quote import dollar_quote, identifier, json_literal, literal, recordset

SPECIAL = [
    "'",
    "\\",
    "$",
    "$$",
    "$mosaic$",
    "$mosaic",
    "$mosaic1$",
    "mosaic$",
    "--",
    "/*",
    "\n",
    "é",
    "🎉",
    ";",
    "E'",
]
texts = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    st.lists(st.sampled_from(SPECIAL)).map("".join),
)


def constant(sql: str) -> str:
    """The string constant in `SELECT <sql>`."""
    [statement] = parse(f"SELECT {sql}")
    [target] = statement.node["targetList"]
    return target["ResTarget"]["val"]["A_Const"]["sval"].get("sval", "")


@given(texts)
def test_literal_round_trip(text: str) -> None:
    assert constant(literal(text)) == text


@given(texts)
def test_dollar_quote_round_trip(text: str) -> None:
    assert constant(dollar_quote(text)) == text


@given(texts, st.sampled_from(["mosaic", "m", "mosaic_sql"]))
def test_dollar_quotes_nest(text: str, tag: str) -> None:
    assert constant(constant(dollar_quote(dollar_quote(text, tag), tag))) == text


@given(texts.filter(bool))
def test_identifier_round_trip(text: str) -> None:
    [statement] = parse(f"DROP TABLE {identifier(text)}")
    [name] = statement.node["objects"][0]["List"]["items"]
    # PostgreSQL truncates names at 63 bytes.
    assert name["String"]["sval"].encode() == text.encode()[:63] or len(text.encode()) > 63


@given(
    st.recursive(
        st.none() | st.integers() | texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner)
    )
)
def test_json_literal_round_trip(value: object) -> None:
    assert json.loads(constant(json_literal(value))) == value


def test_nul_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        literal("a\0b")


@given(st.lists(st.fixed_dictionaries({"p": texts})))
def test_recordset_is_one_from_item(rows: list[dict[str, str]]) -> None:
    [statement] = parse(f"SELECT r.p FROM {recordset(rows, 'p text')}")
    assert [list(item) for item in statement.node["fromClause"]] == [["RangeFunction"]]
