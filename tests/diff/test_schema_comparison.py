"""What a comparison with the recorded schema means, case by case."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mosaic_deploy.diff.policies import loosened, record_with, recorded_policy, stricter_policy
from mosaic_deploy.diff.policy import apply_policy
from mosaic_deploy.diff.schema_drift import drift_notes, drift_text, schema_drift
from mosaic_deploy.errors import ResponseInvalid
from mosaic_deploy.live.ledger.schema_record import parse_comparison
from mosaic_deploy.model.catalog import SchemaComparison, SchemaState
from mosaic_deploy.model.manifest import Manifest, PolicySpec
from mosaic_deploy.model.plan import Plan
from mosaic_deploy.model.snapshot import Project

FACTS = {
    "deploy": "d1", "at": "2026-03-04T05:06:07Z", "open": None, "servers": [18, 18],
    "live": {"digest": "f00", "objects": []},
}  # fmt: skip
GRANT = ["grant", "anon", "books", "SELECT", None]
TABLE = [["table", "votes", "", None, ""], ["column", "id", "votes", None, "integer"]]

CASES = {
    "nothing recorded": (None, SchemaState.NOT_RECORDED, "", ""),
    "equal": (FACTS, SchemaState.UNCHANGED, "", ""),
    "a revoked grant": (
        {**FACTS, "live": {"digest": "f00", "objects": [GRANT]}},
        SchemaState.DRIFTED, "- grant to anon on books SELECT", "",
    ),
    "a table": (
        {**FACTS, "live": {"digest": "f00", "objects": TABLE}},
        SchemaState.DRIFTED, "+ table votes (id integer)", "",
    ),
    "a dropped table": (
        {**FACTS, "live": {"digest": "f00", "objects": [[*each[:3], each[4], None] for each in [*TABLE, ["grant", "anon", "votes", None, "SELECT"], ["comment", "table votes", "votes", None, "'x'"]]]}},
        SchemaState.DRIFTED, "- table votes", "",
    ),
    "a dropped function and its grant": (
        {**FACTS, "live": {"digest": "f00", "objects": [["function", "f()", "", "body", None], ["grant", "public", "f()", "none", None]]}},
        SchemaState.DRIFTED, "- function f()", "",
    ),
    "a comment and default privileges": (
        {**FACTS, "live": {"digest": "f00", "objects": [
            ["comment", "column books.id", "books", "'a'", "'b'"],
            ["default privileges", "on tables of app for anon", "", None, "SELECT"]]}},
        SchemaState.DRIFTED,
        "~ comment on column books.id 'a' → 'b'; + default privileges on tables of app for anon SELECT", "",
    ),
    "a body": (
        {**FACTS, "live": {"digest": "f00", "objects": [["function", "f()", "", "a\nb", "a\nc"]]}},
        SchemaState.DRIFTED, "~ function f()", "",
    ),
    "a crashed deploy": ({**FACTS, "open": "d2", "live": None}, SchemaState.UNFINISHED, "", "deploy d2 ended before"),
    "another version": ({**FACTS, "servers": [17, 18], "live": None}, SchemaState.SERVER_CHANGED, "", "PostgreSQL 17 recorded"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_comparison(name: str) -> None:
    facts, state, text, message = CASES[name]
    found = schema_drift(parse_comparison(facts))
    assert found is not None
    assert (found.state, drift_text(found, 10)) == (state, text)
    assert message in found.message
    notes = [(note.code, note.message) for note in drift_notes(found)]
    if state is SchemaState.DRIFTED:
        assert notes == [
            ("schema_drift", f"schema drift: {text}"),
            (
                "schema_drift_next",
                "to record the drift as it is: `mosaic-deploy migrate drift --accept`",
            ),
        ]
    elif state in (SchemaState.UNCHANGED, SchemaState.NOT_RECORDED):
        assert notes == []
    else:
        assert notes == [("drift_unchecked", found.message)]


def test_a_running_deploy_is_named() -> None:
    found = schema_drift(parse_comparison({**FACTS, "open": "d2", "live": None}), deploying=True)
    assert found is not None
    assert (
        found.message
        == "schema drift wasn't checked: a deploy is running, or was interrupted and still has its lock"
    )


@pytest.mark.parametrize(
    "facts", ["", "[]", "7", {}, {**FACTS, "servers": [1]}, {**FACTS, "live": {}}, {**FACTS, "live": 7}]
)
def test_an_unreadable_answer_is_an_error(facts: object) -> None:
    with pytest.raises(ResponseInvalid):
        parse_comparison(facts)


def test_many_differences_are_counted() -> None:
    objects = [["table", f"t{n:04}", "", None, ""] for n in range(2001)]
    compared = parse_comparison({**FACTS, "live": {"digest": "f00", "objects": objects}})
    assert compared.truncated
    found = schema_drift(compared)
    assert found is not None
    assert drift_text(found, 1) == "+ table t0000 (); and 1999 more"


DENYING, WARNING = PolicySpec(drift="deny"), PolicySpec()
PLAN = Plan(Project("p", "p"), (), (), "d", "l", 1)


def test_only_differences_are_denied() -> None:
    manifest = Manifest(Path("mosaic.yaml"), policy=DENYING, environment="production")
    drifted = parse_comparison({**FACTS, "live": {"digest": "f00", "objects": [GRANT]}})
    [problem] = apply_policy(replace(PLAN, drift=schema_drift(drifted)), (), manifest).denied
    assert problem.message == "the schema drifted since the last deploy: - grant to anon on books SELECT"
    assert str(problem.hint).endswith("set policy.drift to warn in environment production")
    for state in (SchemaState.UNFINISHED, SchemaState.UNREADABLE, SchemaState.NOT_RECORDED):
        assert (
            apply_policy(replace(PLAN, drift=schema_drift(SchemaComparison(state))), (), manifest).denied
            == ()
        )
    warned = Manifest(Path("mosaic.yaml"), policy=WARNING)
    assert apply_policy(replace(PLAN, drift=schema_drift(drifted)), (), warned).denied == ()


def test_a_person_must_see_that_drift_came_up() -> None:
    """What was confirmed without it isn't confirmed with it."""
    drifted = parse_comparison({**FACTS, "live": {"digest": "f00", "objects": [GRANT]}})
    unchanged = replace(PLAN, drift=schema_drift(parse_comparison(FACTS)))
    assert unchanged.consent_digest == PLAN.consent_digest
    assert replace(PLAN, drift=schema_drift(drifted)).consent_digest != PLAN.consent_digest


def test_the_stricter_policy_denies() -> None:
    assert stricter_policy(WARNING, DENYING) == stricter_policy(DENYING, WARNING) == DENYING
    assert loosened(DENYING, WARNING) == "drift: deny → warn"
    assert loosened(WARNING, DENYING) == ""


def test_a_recorded_policy_keeps_it_and_an_older_record_stays_as_it_is() -> None:
    assert recorded_policy(record_with(None, "m", DENYING), "m") == DENYING
    older = {"m": {"destructive": "confirm", "protected_tables": [], "max_deletes": None}}
    assert record_with(older, "m", WARNING) == older
