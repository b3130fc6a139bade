"""Locating errors from PostgreSQL's message alone.

tests/cases/locate has NAME.sql: a comment with the message, then the statement with `►` at the expected position, or at
its start if the message leaves the position open.
"""

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
def test_offset_is_always_inside_the_text(text: str, message: str) -> None:
    assert 0 <= locate_error(text, message) <= len(text)


@given(st.text(alphabet="ab\"'$/*-é \n", max_size=40))
def test_any_quoting_gives_an_offset_inside(text: str) -> None:
    assert 0 <= locate_error(text, 'role "a" does not exist') <= len(text)
