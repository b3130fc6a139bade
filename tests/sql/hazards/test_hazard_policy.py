"""Findings that depend on a policy, on live facts, or on a large file."""

from __future__ import annotations

import pytest

from mosaic_deploy.model.hazard import HazardSeverity
from mosaic_deploy.model.manifest import PolicySpec
from mosaic_deploy.sql.execution.split import split_steps
from mosaic_deploy.sql.hazards import ObjectFacts, ObjectKind, ObjectRef, Script, review
from mosaic_deploy.sql.parse import Statement, parse

THERE = {
    ObjectRef(ObjectKind.ANY_TABLE, '""'): ObjectFacts(),
    ObjectRef(ObjectKind.RELATION, '"orders"'): ObjectFacts("public", "orders"),
}
TIDY = ObjectRef(ObjectKind.FUNCTION, '"tidy"')


def found(
    text: str, facts: dict[ObjectRef, ObjectFacts] | None, policy: PolicySpec | None
) -> list[tuple[str, HazardSeverity, str]]:
    script = Script("1.sql", text, tuple(split_steps(parse(text))))
    return [(h.code, h.severity, h.table) for h in review([script], facts, policy=policy).hazards]


@pytest.mark.parametrize("policy", [None, PolicySpec("deny"), PolicySpec("allow", ("orders",))])
@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("execute 'drop table ' || name", HazardSeverity.RISKY),
        ("execute format('analyze %I', name)", HazardSeverity.ADVICE),
    ],
)
def test_dynamic_sql_is_a_warning_under_any_policy(
    text: str, severity: HazardSeverity, policy: PolicySpec | None
) -> None:
    block = f"do $$ declare name text; begin {text}; end $$;"
    assert found(block, THERE, policy) == [("dynamic_sql", severity, "")]


@pytest.mark.parametrize(
    ("call", "count"),
    [("tidy(id)", 1), ("app.tidy(id)", 1), ("lower(note)", 0), ("pg_catalog.tidy(id)", 0), ("other(id)", 0)],
)
def test_a_function_of_the_project_in_an_index_built_concurrently_is_not_measured(
    call: str, count: int
) -> None:
    facts = {**THERE, TIDY: ObjectFacts()}
    text = f"create index concurrently on orders (({call}))"
    assert [code for code, _, _ in found(text, facts, None)] == ["unmeasured"] * count
    assert "unmeasured" not in {code for code, _, _ in found(text.replace("concurrently ", ""), facts, None)}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("insert into queue values (1, 'now', null)", 0),
        ("insert into queue (id) values (1), (2)", 0),
        ("insert into queue with gone as (delete from orders returning id) select id from gone", 1),
        ("insert into queue values (1, dblink_exec('delete from orders'))", 1),
    ],
)
def test_inserts_of_a_large_file_that_do_more_are_parsed(text: str, count: int) -> None:
    """In a large file, plain inserts aren't parsed at all."""
    steps = split_steps([Statement(text, 100)])
    assert len(review([Script("1.sql", " " * 100 + text, tuple(steps))], THERE).hazards) == count
