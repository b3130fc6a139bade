"""Locating errors from PostgreSQL's message alone.

tests/cases/locate has NAME.sql: a comment with the message, then the statement with `►` at the expected position, or at
its start if the message leaves the position open.
"""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_deploy.sql.locate import locate_error

CASES = sorted((Path(__file__).parents[1] / "cases" / "locate").glob("*.sql"))
MARK = "►"


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_positions(case: Path) -> None:
    message, _, marked = case.read_text().removesuffix("\n").removeprefix("-- ").partition("\n")
    assert marked.count(MARK) == 1
    text = marked.replace(MARK, "")
    found = locate_error(text, message)
    assert text[:found] + MARK + text[found:] == marked


def test_cases_exist() -> None:
    assert len(CASES) >= 20


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_and_no_message_fails(text: str, message: str) -> None:
    assert 0 <= locate_error(text, message) <= len(text)


@given(st.text(alphabet="ab\"'$/*-é \n", max_size=40))
def test_any_quoting_gives_the_start_or_the_name(text: str) -> None:
    found = locate_error(text, 'role "a" does not exist')
    assert found == 0 or re.match(r'"a"|a(?![\w$])', text[found:])


HIDING = [
    "'name'",
    "'it''s name'",
    "E'\\' name'",
    "$$ name $$",
    "$x$ $$ name $x$",
    "/* name /* name */ name */",
    "-- name\n",
    '"a name"',
    "nam",
    "names",
    "é",
    "🎉",
    ",",
]
hiding = st.lists(st.sampled_from(HIDING), max_size=6).map(" ".join)


@given(hiding, hiding, st.sampled_from(["name", "NAME", '"name"']))
def test_a_name_is_found_outside_texts_and_comments(before: str, after: str, written: str) -> None:
    text = f"{before} {written} {after}"
    assert locate_error(text, 'role "name" does not exist') == len(before) + 1


@given(hiding, hiding, hiding)
def test_a_name_that_occurs_twice_or_never_is_located_at_the_start(one: str, two: str, three: str) -> None:
    message = 'role "name" does not exist'
    assert locate_error(f"{one} name {two} name {three}", message) == 0
    assert locate_error(f"{one} {two} {three}", message) == 0
