"""The locks of statements outside transactions, whose table has another name than before the plan."""

from __future__ import annotations

from tests.deploy.rehearsal.conftest import Rehearser


def test_locks_are_those_of_the_live_table(rehearser: Rehearser) -> None:
    site = rehearser.site
    site.deploy_sql("CREATE TABLE orders (id int PRIMARY KEY, note text); CREATE TABLE items (id int);")
    site.write("sql/2_rename.sql", "ALTER TABLE orders RENAME TO sales; CREATE TABLE orders (id int);")
    site.write("sql/3_vacuum.sql", "VACUUM FULL sales;")
    site.write("sql/4_index.sql", "CREATE INDEX CONCURRENTLY by_note ON sales (note);")
    site.write("sql/5_reindex.sql", "REINDEX INDEX CONCURRENTLY by_note;")
    site.write("sql/6_new.sql", "VACUUM FULL orders;")
    site.write(
        "sql/7_same_file.sql",
        "ALTER TABLE items RENAME TO parts;\n-- mosaic: transaction=false\nVACUUM (FULL) parts;\nALTER TABLE parts RENAME TO pieces;",
    )
    site.write("sql/8_drop.sql", "DROP INDEX CONCURRENTLY by_note;")
    site.write("sql/9_system.sql", "VACUUM pg_catalog.pg_class;")
    found = rehearser.rehearsal()
    assert not found.not_rehearsed
    seen = {
        each.addresses[0].partition(":")[2]: (
            [(lock.table.name, lock.mode) for lock in each.locks if not lock.seen],
            each.unseen,
        )
        for each in found.done
    }
    weak, full = "SHARE UPDATE EXCLUSIVE", "ACCESS EXCLUSIVE"
    assert seen == {
        "2_rename.sql": ([], ()),
        "3_vacuum.sql": ([("orders", full)], ()),
        "4_index.sql": ([("orders", weak)], ()),
        "5_reindex.sql": ([("orders", weak)], ()),
        "6_new.sql": ([], ()),
        "7_same_file.sql": ([("items", full)], ()),
        "8_drop.sql": ([("orders", weak)], ()),
        "9_system.sql": ([], ("sql/9_system.sql:1",)),
    }
