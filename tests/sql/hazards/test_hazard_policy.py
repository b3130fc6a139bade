"""Findings that depend on a policy, on live facts, or on a large file."""

from __future__ import annotations

import pytest

from mosaic_deploy.model.hazard import HazardSeverity
from mosaic_deploy.model.manifest import PolicySpec
from mosaic_deploy.sql.execution.split import split_steps
from mosaic_deploy.sql.hazards import ObjectFacts, ObjectKind, ObjectRef, Script, review
from mosaic_deploy.sql.hazards.syntax.plpgsql import resolve_dynamic_sql
from mosaic_deploy.sql.parse import Statement, parse

DENY = PolicySpec("deny")
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


@pytest.mark.parametrize(
    ("policy", "severity", "table"),
    [
        (None, HazardSeverity.ADVICE, ""),
        (PolicySpec("allow"), HazardSeverity.ADVICE, ""),
        (DENY, HazardSeverity.DESTRUCTIVE, "*"),
        (PolicySpec("allow", ("orders",)), HazardSeverity.DESTRUCTIVE, "*"),
    ],
)
def test_unreadable_live_function_is_destructive_under_a_strict_policy(
    policy: PolicySpec | None, severity: HazardSeverity, table: str
) -> None:
    facts = {**THERE, TIDY: ObjectFacts(routine_definitions=("",))}
    assert found("select app.tidy()", facts, policy) == [("unread_function", severity, table)]
    assert found("select tidy()", THERE, policy) == []


def test_mutually_recursive_functions_are_followed_once() -> None:
    text = (
        "create function a() returns int language sql as 'select b(); select a()';"
        "create function b() returns int language sql as 'select a(); delete from orders; select 1';"
        "select a(), b();"
    )
    assert found(text, THERE, None) == [("delete_without_where", HazardSeverity.DESTRUCTIVE, "public.orders")]


def test_call_uses_the_definition_at_that_point() -> None:
    create = "create or replace function f() returns void language sql as '{}';"
    harmless, wipe = create.format("select 1"), create.format("delete from orders")
    assert found(f"{harmless} select f(); {wipe}", THERE, DENY) == []
    assert found(f"{wipe} {harmless} select f();", THERE, DENY) == []
    assert len(found(f"{harmless} {wipe} select f();", THERE, DENY)) == 1


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("insert into queue values (1, 'now', null)", 0),
        ("insert into queue (id) values (1), (2)", 0),
        ("insert into queue with gone as (delete from orders returning id) select id from gone", 1),
        ("insert into queue values (1, wipe())", 1),
        ("insert into queue values (app.wipe())", 1),
    ],
)
def test_inserts_of_a_large_file_that_do_more_are_parsed(text: str, count: int) -> None:
    """In a large file, plain inserts aren't parsed at all."""
    made = parse("create function wipe() returns int language sql as 'delete from orders; select 1'")
    steps = split_steps([*made, Statement(text, 100)])
    assert len(review([Script("1.sql", " " * 100 + text, tuple(steps))], THERE).hazards) == count


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("'drop table ' || 'orders'", "drop table orders"),
        ("format('drop table %I.%I', 'app', name)", 'drop table "app"."…"'),
        ("format('select %2$L, %1$s, %%', 'a', b)", "select '…', a, %"),
        ("'select ' || number || quote_literal(name)", "select 0'…'"),
        ("format('analyze %s', place)", 'analyze "…"'),
        ("'analyze ' || quote_ident('a b')", 'analyze "a b"'),
        ("('a' || name)::text", None),
        ("'a' || name", None),
        ("format('a %s', name)", None),
        ("format(name)", None),
        ("format('a %I')", None),
        ("app.format('a')", None),
        ("upper('a')", None),
        ("case when true then 'a' end", None),
        ("not an expression", None),
    ],
)
def test_resolve_dynamic_sql(expression: str, text: str | None) -> None:
    assert resolve_dynamic_sql(expression, {"number": "0", "place": '"…"'}) == text
