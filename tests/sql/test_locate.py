"""PostgreSQL's messages without a position are placed in the statement, or not at all.

tests/cases/locate holds NAME.sql: comments with PostgreSQL's message and, under it, the statement. `►` stands in it
where the place is; it stands first where the message leaves the place open.
"""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_deploy.sql.locate import locate_error

CASES = sorted((Path(__file__).parents[1] / "cases" / "locate").glob("*.sql"))
MARK = "►"


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_places(case: Path) -> None:
    message, _, marked = case.read_text().removesuffix("\n").removeprefix("-- ").partition("\n")
    assert marked.count(MARK) == 1
    text = marked.replace(MARK, "")
    found = locate_error(text, message)
    assert text[:found] + MARK + text[found:] == marked


def test_there_are_cases() -> None:
    assert len(CASES) >= 20


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_has_a_place_inside(text: str, message: str) -> None:
    assert 0 <= locate_error(text, message) <= len(text)


@given(st.text(alphabet="ab\"'$/*-é \n", max_size=40))
def test_names_in_quotes_of_any_kind(text: str) -> None:
    assert 0 <= locate_error(text, 'role "a" does not exist') <= len(text)
