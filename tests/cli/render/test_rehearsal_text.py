"""A plan's rehearsal as text for people."""

from __future__ import annotations

from dataclasses import replace

from mosaic_deploy.cli.render.text.plan import plan_lines
from mosaic_deploy.cli.visible_text import unstyle
from mosaic_deploy.model.catalog import Rehearsal, RehearsedChange, SchemaChange, SchemaObject
from mosaic_deploy.model.change import ApplyMigration
from mosaic_deploy.model.plan import Plan
from mosaic_deploy.model.snapshot import Project

COLUMN = SchemaChange(SchemaObject("column", "channel", "orders"), None, "text")
GRANT = SchemaChange(SchemaObject("grant", "app", "orders"), "SELECT", None)
COMMENT = SchemaChange(SchemaObject("comment", "table orders", "orders"), "'a'", "'b'")
VIEW = SchemaChange(SchemaObject("view", "open"), "SELECT 1\nFROM a", "SELECT 2\nFROM a")
MIGRATIONS = tuple(
    ApplyMigration(str(n), f"{n}.sql", "c", "s", 3, done, "alters orders")
    for n, done in ((2, 0), (3, 0), (4, 1))
)
PLAN = Plan(Project("shop", "shop"), MIGRATIONS, (), "d", "l", 1)


def shown(rehearsal: Rehearsal) -> list[str]:
    return [unstyle(line) for line in plan_lines(replace(PLAN, rehearsal=rehearsal))][3:]


def test_changes_and_notices_are_below_their_migration() -> None:
    done = (
        RehearsedChange(("migration:2.sql",), (COLUMN, GRANT, COMMENT, VIEW), ("NOTICE: hello",), 0.01),
        RehearsedChange(("migration:3.sql",), ()),
        RehearsedChange(("migration:4.sql",), (COLUMN,)),
    )
    assert shown(Rehearsal(done, server="18.1", live_server="18.1", remarks=("rehearsed with vector 0.8",))) == [
        "    + 2.sql  4 schema changes",
        "        orders: + column channel text",
        "        orders: - grant to app SELECT",
        "        ~ comment on table orders 'a' → 'b'",
        "        ~ view open",
        "        NOTICE: hello",
        "    + 3.sql  no schema changes",
        "    + 4.sql  resumes after step 1 of 3",
        "        orders: + column channel text",
        "",
        "  i rehearsed 3 files in 10 ms on PostgreSQL 18.1, on the live schema without its rows",
        "  i rehearsed with vector 0.8",
        "",
        "Plan: 3 to add, 0 to change, 0 to destroy.",
    ]


def test_files_of_one_transaction_are_shown_with_the_last() -> None:
    together = RehearsedChange(tuple(each.address for each in MIGRATIONS), (COLUMN,))
    assert shown(Rehearsal((together,), server="18.1", live_server="18.1"))[:4] == [
        "    + 2.sql  shown with 4.sql",
        "    + 3.sql  shown with 4.sql",
        "    + 4.sql  resumes after step 1 of 3",
        "        orders: + column channel text",
    ]


def test_many_changes_and_notices_are_counted() -> None:
    many = RehearsedChange(("migration:2.sql",), (COLUMN,) * 40, ("NOTICE: x",) * 7)
    lines = shown(Rehearsal((many,), server="18.1", live_server="18.1"))
    assert "        … and 15 more; --output json lists all" in lines
    assert "        … and 2 more notices" in lines


def test_why_a_plan_was_not_rehearsed() -> None:
    why = Rehearsal(not_rehearsed="the recorded files don't make the live schema", differences=(COLUMN,) * 7)
    lines = shown(why)
    assert "    + 2.sql  alters orders" in lines
    text = "; ".join(["+ column orders.channel text"] * 5)
    assert f"  ! not rehearsed: {why.not_rehearsed}: {text}; and 2 more" in lines
    assert "  i not rehearsed: no disk" in shown(Rehearsal(not_rehearsed="no disk"))
