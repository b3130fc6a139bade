"""A sample of the fault matrix (`python -m tests.faults` runs the whole), and tests of its checker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.arena import Arena
from tests.faults.case import Case, Outcome, Reference, record_reference, run_case
from tests.faults.fault import FAULTS
from tests.faults.matrix import markdown_table, new_name, open_arenas
from tests.faults.requests_named import Request, name_of
from tests.faults.scenario import Scenario
from tests.faults.state import NOTHING, State
from tests.sampling import sampled

FIRST, UPDATE = Scenario(), Scenario(update=True)
BATCH = Request("SQL batch of steps")

SAMPLE = [
    (FIRST, "connection dropped after", Request("POST /projects")),
    (FIRST, "SIGKILL after", Request("SQL batch of steps", 3)),
    (FIRST, "SIGKILL after", Request("SQL call work('call')")),
    (FIRST, "SIGINT after", Request("SQL vacuum customers")),
    (FIRST, "504 page after", Request("SQL create index concurrently customers_name")),
    (UPDATE, "connection dropped after", BATCH),
    (UPDATE, "429 with Retry-After", Request("PUT /upload/photo.bin")),
    (UPDATE, "response held back", Request("SQL plain step")),
    (UPDATE, "request arrives soon after", Request("POST /files index.html")),
    (UPDATE, "duplicate after the end", BATCH),
    (UPDATE, "SIGKILL before", Request("SQL record and release lock")),
    (UPDATE, "SIGKILL, request arrives after", Request("SQL call work('again')")),
    (UPDATE, "SIGTERM before", Request("SQL batch of steps", 2)),
    (UPDATE, "platform killed after", Request("DELETE /files/old.html")),
    (UPDATE, "PostgreSQL killed before", Request("SQL drop index concurrently customers_name")),
    (UPDATE, "clock jumps back, SIGKILL", Request("SQL take lock")),
    (FIRST, "500 after", Request("SQL create index concurrently customers_name")),
    (UPDATE, "SIGTERM before", Request("PUT /upload/new.bin")),
    (FIRST, "duplicate after the end", Request("SQL take lock")),
    (UPDATE, "504 page after", Request("SQL claim a step", 3)),
]


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    with open_arenas(1) as arenas:
        yield arenas[0]


@pytest.fixture(scope="module")
def references() -> dict[Scenario, Reference]:
    return {}


def outcome_of(
    arena: Arena, references: dict[Scenario, Reference], scenario: Scenario, fault: str, request: Request
) -> Outcome:
    if scenario not in references:
        references[scenario] = record_reference(arena, scenario, new_name())
    outcome = run_case(arena, Case(scenario, FAULTS[fault], request), references[scenario], new_name())
    assert outcome.fired, f"no {request} among {references[scenario].requests}"
    return outcome


def _id(value: object) -> str:
    return value.name if isinstance(value, Scenario) else str(value)


@pytest.mark.parametrize(
    ("scenario", "fault", "target"), sampled(SAMPLE, 2, (" ".join(map(_id, case)) for case in SAMPLE))
)
def test_a_fault_changes_nothing_in_the_end(arena, references, scenario, fault, target) -> None:
    outcome = outcome_of(arena, references, scenario, fault, target)
    assert outcome.findings == [], "\n".join([*outcome.runs, *outcome.findings, outcome.output[-2000:]])


def test_the_checker_sees_what_ran_twice(arena, references) -> None:
    """An undisturbed run compared with a reference whose last row is there once less."""
    outcome_of(arena, references, FIRST, "429 with Retry-After", Request("SQL take lock"))
    whole = references[FIRST]
    dump = whole.after.visible["database"].replace("\nseed 1\n", "\n")
    wrong = replace(whole, after=State({**whole.after.visible, "database": dump}, whole.after.ledger))
    case = Case(FIRST, FAULTS["429 with Retry-After"], Request("SQL take lock"))
    outcome = run_case(arena, case, wrong, new_name())
    assert outcome.findings == ["state at exit 0: database: +seed 1"]


def test_the_checker_sees_an_untrue_mutation_state(arena, references) -> None:
    """A 401 to the first upload of an update: nothing is changed, so compared with another state before, `none` is untrue."""
    outcome_of(arena, references, UPDATE, "429 with Retry-After", Request("SQL take lock"))
    wrong = replace(references[UPDATE], before=NOTHING)
    case = Case(UPDATE, FAULTS["401"], Request("SQL take lock"))
    outcome = run_case(arena, case, wrong, new_name())
    assert outcome.kinds == ["mutation_state"]


def test_differences_of_states() -> None:
    wanted = State({"static": {"a": "1"}, "database": "x\ny"}, {"lock": []})
    assert wanted.differences(wanted) == []
    assert State({"static": {"a": "2"}, "database": "x\ny"}, {"lock": []}).differences(wanted) == [
        "static a: +2; -1"
    ]
    assert State({"static": {"a": "1"}, "database": "y\nx"}, {"lock": []}).differences(wanted) == [
        "database: the same lines, in another order or number"
    ]
    held = State(wanted.visible, {"lock": ["ada"]})
    assert held.differences(wanted) == ["ledger lock: ['ada'] instead of []"]
    assert held.differences(wanted, ledger=False) == []


@pytest.mark.parametrize(
    ("method", "path", "body", "name"),
    [
        ("GET", "/v1/project", b"", "GET list of endpoints"),
        ("POST", "/v1/project/projects", b'{"name": "shop"}', "POST /projects"),
        ("GET", "/v1/project/oak-1ab/files", b"", "GET /files"),
        ("POST", "/v1/project/oak-1ab/files", b'{"filename": "a/b.html"}', "POST /files a/b.html"),
        ("DELETE", "/v1/project/oak-1ab/files/a.html", b"", "DELETE /files/a.html"),
        ("PUT", "/upload/oak-1ab/a.bin?sig=1", b"bytes", "PUT /upload/a.bin"),
        ("POST", "/v1/project/oak-1ab/sql", b'{"query": "vacuum  t"}', "SQL vacuum t"),
        ("GET", "/", b"", "GET /"),
    ],
)
def test_names_of_requests(method: str, path: str, body: bytes, name: str) -> None:
    assert name_of(method, path, body) == name


def test_the_table_counts_by_fault() -> None:
    case = Case(FIRST, FAULTS["401"], BATCH)
    outcomes = [
        Outcome(case, runs=["0"]),
        Outcome(case, runs=["1 unauthorized", "0"], findings=["lock: held"]),
        Outcome(case, fired=False),
    ]
    assert markdown_table(outcomes).splitlines()[2:] == [
        "| 401 | 2 | 1 | 1 | 1 |",
        "| **all** | 2 | 1 | 1 | 1 |",
    ]


def test_the_docs_have_a_row_for_every_fault() -> None:
    text = (Path(__file__).parents[2] / "docs/reliability.md").read_text(encoding="utf-8")
    assert [name for name in FAULTS if f"\n| {name} |" not in text] == []
