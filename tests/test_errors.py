"""The drawn tree and the classes are one."""

import re

import pytest

from mosaic_deploy import errors

DRAWN = dict(re.findall(r"(\w+) {2,}([a-z_]+) {2,}\S", errors.__doc__ or ""))
LEAVES = [kind for kind in errors.all_errors() if not kind.__subclasses__()]


def test_every_leaf_is_drawn_with_its_code_and_nothing_else_is() -> None:
    assert {kind.__name__: kind.code for kind in LEAVES} == DRAWN


def test_branches_are_drawn_without_a_code() -> None:
    lines = {line.strip("│├└─ ") for line in (errors.__doc__ or "").splitlines()}
    branches = {kind.__name__ for kind in errors.all_errors() if kind.__subclasses__()}
    assert branches <= lines


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in errors.all_errors()]
    assert len(codes) == len(set(codes))
    assert errors.MosaicError.code not in codes


def test_the_tree_is_drawn_in_the_order_of_definition() -> None:
    assert [name for name in DRAWN if name in {kind.__name__ for kind in LEAVES}] == list(DRAWN)


def test_exit_codes() -> None:
    odd = {kind.__name__: kind.exit_code for kind in errors.all_errors() if kind.exit_code != 1}
    assert odd == {"UsageRefused": 2, "Interrupted": 130}


@pytest.mark.parametrize("kind", list(errors.all_errors()), ids=lambda kind: kind.__name__)
def test_every_error_carries_facts(kind: type[errors.MosaicError]) -> None:
    where = errors.Location("a.sql", 3, 4, "SELEC")
    made = kind(
        "what", hint="do", location=where, mutation_state="partial", next_actions=[errors.NextAction("x")]
    )
    assert (str(made), made.hint, made.location, made.mutation_state) == ("what", "do", where, "partial")
    assert made.next_actions == (errors.NextAction("x"),)


@pytest.mark.parametrize(
    ("location", "text"),
    [
        (errors.Location("a"), "a"),
        (errors.Location("a", 3), "a:3"),
        (errors.Location("a", 3, 4), "a:3:4"),
    ],
)
def test_locations_read_as_editors_do(location: errors.Location, text: str) -> None:
    assert str(location) == text


def test_problems_read_as_one_line() -> None:
    problem = errors.Problem(
        "unknown field", errors.Location("m.yaml", 7, 5), "static.dri", 'did you mean "dir"?'
    )
    assert str(problem) == 'm.yaml:7:5 static.dri: unknown field; did you mean "dir"?'
    assert str(errors.Problem("bad", errors.Location("a"))) == "a: bad"
