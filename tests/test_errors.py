"""Every error has its own code, a docstring, and is exported from `mosaic_deploy.errors`."""

import pytest

from mosaic_deploy import errors


def test_every_error_is_exported_and_documented() -> None:
    for kind in errors.all_errors():
        assert getattr(errors, kind.__name__) is kind
        assert kind.__name__ in errors.__all__
        assert kind.__doc__, kind


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in errors.all_errors()]
    assert len(codes) == len(set(codes))
    assert errors.MosaicError.code not in codes


def test_exit_codes() -> None:
    others = {kind.__name__: kind.exit_code for kind in errors.all_errors() if kind.exit_code != 1}
    assert others == {"UsageInvalid": 2, "Interrupted": 130}


@pytest.mark.parametrize("kind", list(errors.all_errors()), ids=lambda kind: kind.__name__)
def test_every_error_carries_details(kind: type[errors.MosaicError]) -> None:
    location = errors.Location("a.sql", 3, 4, "SELEC")
    error = kind(
        "what", hint="do", location=location, mutation_state="partial", next_actions=[errors.NextAction("x")]
    )
    assert (str(error), error.hint, error.location, error.mutation_state) == (
        "what",
        "do",
        location,
        "partial",
    )
    assert error.next_actions == (errors.NextAction("x"),)


@pytest.mark.parametrize(
    ("location", "text"),
    [
        (errors.Location("a"), "a"),
        (errors.Location("a", 3), "a:3"),
        (errors.Location("a", 3, 4), "a:3:4"),
    ],
)
def test_locations_are_file_line_column(location: errors.Location, text: str) -> None:
    assert str(location) == text


def test_problems_are_shown_on_one_line() -> None:
    problem = errors.Problem(
        "unknown field", errors.Location("m.yaml", 7, 5), "static.dri", 'did you mean "dir"?'
    )
    assert str(problem) == 'm.yaml:7:5 static.dri: unknown field; did you mean "dir"?'
    assert str(errors.Problem("bad", errors.Location("a"))) == "a: bad"
