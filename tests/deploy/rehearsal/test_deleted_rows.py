"""What a plan says about the rows that a file deletes, also those that foreign keys delete or update with them."""

from __future__ import annotations

import re

from mosaic_deploy.cli.render.text.plan import plan_lines
from mosaic_deploy.model.change import ApplyMigration
from tests.deploy.rehearsal.conftest import Rehearser

LIVE = """
CREATE TABLE accounts (id int PRIMARY KEY, closed bool);
CREATE TABLE orders (id int PRIMARY KEY, account int REFERENCES accounts ON DELETE CASCADE);
CREATE TABLE items (id int, "order" int REFERENCES orders ON DELETE CASCADE);
CREATE TABLE notes (id int, account int REFERENCES accounts ON DELETE SET NULL);
CREATE TABLE counts (n int);
CREATE FUNCTION count_rows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE counts SET n = n + 1; RETURN NULL; END $$;
CREATE TRIGGER counted AFTER DELETE ON items FOR EACH ROW EXECUTE FUNCTION count_rows();
CREATE TRIGGER noted AFTER UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION count_rows();
CREATE TRIGGER deleted_note AFTER DELETE ON notes FOR EACH ROW EXECUTE FUNCTION count_rows();
CREATE TRIGGER updated_order AFTER UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION count_rows();
"""
ROWS = """
INSERT INTO accounts SELECT n, n > 2 FROM generate_series(1, 5) n; INSERT INTO orders SELECT n, 3 FROM generate_series(1, 7) n;
INSERT INTO items SELECT n, 1 FROM generate_series(1, 2) n; INSERT INTO notes VALUES (1, 3);
ANALYZE accounts; ANALYZE orders; ANALYZE items; ANALYZE notes;
"""


def test_deleted_rows_are_named_with_those_of_foreign_keys(rehearser: Rehearser) -> None:
    site = rehearser.site
    site.deploy_sql(LIVE)
    site.sql(ROWS)
    site.write("sql/2_purge.sql", "DELETE FROM accounts WHERE closed;")
    plan = rehearser.plan().plan
    [hazard] = plan.to_confirm
    assert hazard.message == (
        "deletes the rows of accounts (≈5 rows) that match its condition and, by foreign keys, deletes rows of items (≈2 rows), "
        "orders (≈7 rows) and updates rows of notes (≈1 row)"
    )
    assert set(hazard.cascades_to) == {"public.items", "public.orders", "public.notes"}
    [change] = plan.changes
    assert isinstance(change, ApplyMigration)
    assert [re.sub(r" \(.*", "", one) for one in change.deletes] == [
        "public.accounts",
        "public.items",
        "public.orders",
    ]
    assert change.updates == ("public.notes (table has ≈1 row)",)
    assert plan.rehearsal
    assert plan.rehearsal.done[0].unfired == ("items (counted)", "notes (noted)")
    shown = "\n".join(plan_lines(plan))
    assert "deletes rows of accounts (table has ≈5 rows), items (table has ≈2 rows), orders" in shown
    assert "Plan: 0 to add, 1 to change, 0 to destroy; deletes rows of 3 tables." in shown
    site.write("sql/2_purge.sql", "DELETE FROM items;")
    assert "0 to destroy; deletes rows of items." in "\n".join(plan_lines(site.plan().plan))
