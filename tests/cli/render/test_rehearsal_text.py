"""A plan's rehearsal as text for people."""

from __future__ import annotations

import json
from dataclasses import replace

from mosaic_deploy.cli.render.schema_documents import parse_rehearsal, rehearsal_document
from mosaic_deploy.cli.render.text.plan import plan_lines
from mosaic_deploy.cli.visible_text import unstyle
from mosaic_deploy.errors import Location
from mosaic_deploy.model.catalog import (
    LiveSize,
    Rehearsal,
    RehearsedChange,
    SchemaChange,
    SchemaObject,
    TableLock,
)
from mosaic_deploy.model.change import ApplyMigration, DeleteStatic
from mosaic_deploy.model.effects import StepTouches, TableWrite, Touched
from mosaic_deploy.model.hazard import Hazard, HazardSeverity, RowCheck
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


STATS = TableWrite("public.stats", "stats", "migration:2.sql", 1, 3)
QUEUE = TableWrite("public.queue", "queue", "migration:2.sql", 1, None, updates=True, deletes=True)


def shown(rehearsal: Rehearsal) -> list[str]:
    return [unstyle(line) for line in plan_lines(replace(PLAN, rehearsal=rehearsal))][3:]


def test_a_saved_rehearsal_is_shown_like_the_one_that_was_made() -> None:
    """A saved plan has no bodies of functions and views, so a changed one is only named."""
    orders = SchemaObject("table", "orders")
    renamed = SchemaChange(SchemaObject("column", "total", "orders"), "integer", "integer", "amount")
    lock = TableLock(
        orders, "ACCESS EXCLUSIVE", "migration:2.sql", 3, rewritten=True, held=1.5, outlasted=True
    )
    hazard = Hazard(
        "column_type", HazardSeverity.BLOCKING, "rewrites orders", "orders", Location("2.sql", 1, 1)
    )
    done = (
        RehearsedChange(
            ("migration:2.sql",),
            (COLUMN, GRANT, VIEW, renamed),
            ("NOTICE: hello",),
            0.01,
            (lock,),
            ("2.sql:4",),
            (STATS, QUEUE),
            ("orders (count_orders)",),
        ),
        RehearsedChange(("migration:3.sql", "migration:4.sql"), ()),
    )
    touches = StepTouches(
        "migration:2.sql",
        1,
        {Touched("relation", "orders"): "SHARE"},
        frozenset({Touched("relation", "orders")}),
    )
    made = Rehearsal(
        done, "b", "r", "18.1", "17.2", ("a remark",), "", (), (RowCheck("c", "check", "orders", 3, keys=("1",)),),
        added=1, changed=2, destroyed=(SchemaObject("index", "old", "orders"),), sizes=(LiveSize(orders, 5, 8192),),
        refuted=(hazard,), unmade_checks=2, steps=(touches,), objects={Touched("relation", "orders"): {orders: "d"}},
    )  # fmt: skip
    document = json.loads(json.dumps(rehearsal_document(made)))
    saved = parse_rehearsal(document, (hazard,))
    assert saved is not None
    assert shown(saved) == shown(made)
    bodies = replace(VIEW, before="\n", after="\n")
    without_body = replace(done[0], changes=(COLUMN, GRANT, bodies, renamed))
    assert saved == replace(made, done=(without_body, *done[1:]))


def test_changes_and_notices_are_below_their_migration() -> None:
    done = (
        RehearsedChange(("migration:2.sql",), (COLUMN, GRANT, COMMENT, VIEW), ("NOTICE: hello",), 0.01),
        RehearsedChange(("migration:3.sql",), ()),
        RehearsedChange(("migration:4.sql",), (COLUMN,)),
    )
    found = Rehearsal(done, server="18.1", live_server="18.1", added=1, changed=3)
    assert shown(replace(found, remarks=("rehearsed with vector 0.8",))) == [
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
        # A column, the other three, and a file that changes no object.
        "Plan: 2 to add, 3 to change, 0 to destroy.",
    ]


def test_what_is_written_without_a_word_of_the_file() -> None:
    done = RehearsedChange(
        ("migration:2.sql",), (), writes=(STATS, QUEUE), unfired=("orders (count_orders)", "items (t, u)")
    )
    sizes = (LiveSize(SchemaObject("table", "stats"), 5, 8192),)
    assert shown(Rehearsal((done,), server="18.1", live_server="18.1", sizes=sizes))[1:4] == [
        "        updates and deletes rows of queue, by a trigger, view, rule, function or foreign key",
        "        may update (not delete) rows of stats (≈5 rows, 8.2 kB), by a trigger, view, rule, function or foreign key",
        "        row triggers that didn't fire without rows: orders (count_orders), items (t, u); if one updates rows of another "
        "table, name it in the file: -- mosaic-updates: TABLE",
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
    why = Rehearsal(
        not_rehearsed="the recorded files don't make the live schema",
        differences=(COLUMN,) * 7,
        remedy="undo them in the database",
    )
    lines = shown(why)
    assert "    + 2.sql  alters orders" in lines
    text = "; ".join(["+ column orders.channel text"] * 5)
    [note] = [line for line in lines if line.startswith("  ! not rehearsed: ")]
    assert note == f"  ! not rehearsed: {why.not_rehearsed}: {text}; and 2 more. Undo them in the database"
    assert "  i not rehearsed: no disk" in shown(Rehearsal(not_rehearsed="no disk"))


ORDERS, CUSTOMERS, HOLLOW = (SchemaObject("table", name) for name in ("orders", "customers", "app.hollow"))
SIZES = (
    LiveSize(ORDERS, 200_640, 31_000_000),
    LiveSize(CUSTOMERS, None, 48_000),
    LiveSize(HOLLOW, 0, 8_192, empty=True),
    LiveSize(SchemaObject("column", "fax", "customers"), 205_000),
    LiveSize(SchemaObject("index", "old_idx", "orders"), None, 14_000_000),
    LiveSize(SchemaObject("table", "old"), 1, 8_192),
)


def locked(*locks: TableLock, **more: object) -> list[str]:
    """The lines about the locks of one migration."""
    done = (RehearsedChange(("migration:2.sql",), (), locks=locks, **more),)  # type: ignore[arg-type]
    lines = shown(Rehearsal(done, server="18.1", live_server="18.1", sizes=SIZES))
    return [line.strip() for line in lines[1 : lines.index("    + 3.sql  alters orders")]]


def lock(table: SchemaObject, mode: str, **facts: object) -> TableLock:
    return TableLock(table, mode, "migration:2.sql", 1, **facts)  # type: ignore[arg-type]


def test_one_line_for_each_table_that_is_blocked() -> None:
    assert locked(
        lock(CUSTOMERS, "SHARE ROW EXCLUSIVE", held=0.01),
        lock(HOLLOW, "ACCESS EXCLUSIVE", scanned=True),
        lock(ORDERS, "SHARE", scanned=True),
        lock(ORDERS, "ACCESS EXCLUSIVE", rewritten=True, scanned=True, held=1.5),
    ) == [
        "locks orders (≈200.6 k rows, 31.0 MB): ACCESS EXCLUSIVE, blocks reads and writes; rewrites the table; held 1.5 s in the "
        "rehearsal",
        "locks app.hollow (no rows, 8.2 kB): ACCESS EXCLUSIVE, blocks reads and writes; reads every row",
        "locks customers (48.0 kB): SHARE ROW EXCLUSIVE, blocks writes; neither rewrites nor reads it",
    ]


def test_what_is_not_certain_is_said() -> None:
    assert locked(lock(ORDERS, "ACCESS EXCLUSIVE", rewritten=True, in_block=True)) == [
        "locks orders (≈200.6 k rows, 31.0 MB): ACCESS EXCLUSIVE, blocks reads and writes; rewrites or empties it"
    ]
    assert locked(lock(ORDERS, "ACCESS EXCLUSIVE", in_block=True, outlasted=True)) == [
        "locks orders (≈200.6 k rows, 31.0 MB): ACCESS EXCLUSIVE, blocks reads and writes; doesn't rewrite it; held while later "
        "statements change rows"
    ]
    assert locked(lock(ORDERS, "ACCESS EXCLUSIVE", rewritten=True, seen=False)) == [
        "locks orders (≈200.6 k rows, 31.0 MB): ACCESS EXCLUSIVE, blocks reads and writes; rewrites the table; as PostgreSQL's "
        "documentation says"
    ]
    assert locked(unseen=("sql/2.sql:3",)) == [
        "sql/2.sql:3 runs outside a transaction; its locks weren't seen"
    ]


def test_weak_locks_and_those_of_dropped_tables_have_no_line() -> None:
    dropped = (SchemaChange(ORDERS, "", None),)
    done = (RehearsedChange(("migration:2.sql",), dropped, locks=(lock(ORDERS, "ACCESS EXCLUSIVE"),)),)
    assert shown(Rehearsal(done, sizes=SIZES, destroyed=(ORDERS,)))[:2] == [
        "    - 2.sql  1 schema change",
        "        - table orders (≈200.6 k rows, 31.0 MB)",
    ]
    assert (
        locked(
            lock(ORDERS, "SHARE UPDATE EXCLUSIVE", scanned=True),
            lock(ORDERS, "ROW EXCLUSIVE"),
            lock(SchemaObject("sequence", "numbers"), "SHARE ROW EXCLUSIVE"),
            lock(SchemaObject("view", "open"), "ACCESS EXCLUSIVE"),
        )
        == []
    )


def test_many_locked_tables_are_counted() -> None:
    many = [lock(SchemaObject("table", f"t{number}"), "ACCESS EXCLUSIVE") for number in range(7)]
    assert locked(*many)[-1] == "… and locks 2 more tables; --output json lists all"


def test_destroyed_objects_are_counted_by_kind_and_shown_with_their_size() -> None:
    destroyed = tuple(size.object for size in SIZES[3:])
    changes = tuple(SchemaChange(item, "x", None) for item in destroyed)
    done = (RehearsedChange(("migration:2.sql",), changes),)
    found = Rehearsal(done, destroyed=(*destroyed, SchemaObject("index", "i", "t")), sizes=SIZES)
    static = ApplyMigration("2", "2.sql", "c", "s", 1, destroys=("table old",))
    plan = replace(PLAN, rehearsal=found, changes=(static, DeleteStatic("a.html", "gone")))
    lines = [unstyle(line) for line in plan_lines(plan)]
    assert lines[3:7] == [
        "    - 2.sql  3 schema changes",
        "        customers: - column fax (≈205 k values)",
        "        orders: - index old_idx (14.0 MB)",
        "        - table old (≈1 row, 8.2 kB)",
    ]
    assert lines[-1] == "Plan: 0 to add, 0 to change, 5 to destroy (1 column, 2 indexes, 1 table, 1 file)."


def test_definitions_of_several_lines_keep_their_type() -> None:
    column = SchemaObject("column", "note", "orders")
    assert SchemaChange(column, None, "text DEFAULT 'a\nb'::text").definition == "text DEFAULT 'a b'::text"
    assert SchemaChange(column, "integer", "text DEFAULT 'a\nb'").definition == "integer → text DEFAULT 'a b'"
    assert VIEW.definition == ""
    assert SchemaChange(ORDERS, "", "", new_name="purchases").summary == "table orders renamed to purchases"


def test_where_it_was_rehearsed_and_which_checks_were_not_made() -> None:
    done = (RehearsedChange(("migration:2.sql",), (COLUMN,)),)
    assert "  i rehearsed 1 file in 0 ms on PostgreSQL 18.1, on an empty database" in shown(
        Rehearsal(done, server="18.1")
    )
    for count, text in ((1, "1 check in the migrations was"), (2, "2 checks in the migrations were")):
        assert f"  i {text} not made there, as it has no live rows" in shown(
            Rehearsal(done, server="18.1", live_server="18.1", unmade_checks=count)
        )
