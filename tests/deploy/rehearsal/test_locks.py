"""The locks, rewrites and scans that a rehearsal sees, on the real embedded platform."""

from __future__ import annotations

import pytest

from tests.deploy.rehearsal.conftest import Rehearser

LIVE = """
CREATE TABLE orders (id int PRIMARY KEY, customer int, note varchar(10), total numeric(8, 2), paid boolean, at timestamptz);
CREATE TABLE customers (id int PRIMARY KEY, name text);
INSERT INTO customers VALUES (1, 'a');
INSERT INTO orders VALUES (1, 1, 'x', 1, true, now());
"""


def test_probe(rehearser: Rehearser) -> None:
    rehearser.site.deploy_sql(LIVE)
    for sql in [
        "ALTER TABLE orders ALTER id TYPE bigint",
        "ALTER TABLE orders ADD c int DEFAULT 3",
        "CREATE INDEX ON orders (customer)",
        "ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customers",
        "ALTER TABLE orders ALTER note SET NOT NULL",
        "ALTER TABLE orders ADD CHECK (id > 0)",
        "ALTER TABLE orders ALTER note TYPE varchar(20)",
        "ALTER TABLE orders ALTER note TYPE varchar(5)",
        "CREATE INDEX CONCURRENTLY i ON orders (customer)",
        "VACUUM FULL orders",
        "TRUNCATE orders",
        "CREATE TABLE n (o int REFERENCES orders)",
        "REINDEX TABLE orders",
        "REINDEX INDEX orders_pkey",
        "ALTER TABLE orders RENAME TO purchases",
        "SET LOCAL statement_timeout = '10s'; ALTER TABLE orders ADD z int; CREATE INDEX ON orders (z); UPDATE orders SET z = 1;",
        "DO $$ BEGIN EXECUTE 'ALTER TABLE orders ALTER customer TYPE bigint'; END $$",
    ]:
        rehearser.site.write("sql/2_x.sql", sql + ";")
        found = rehearser.rehearsal()
        print("\n", sql, found.not_rehearsed)
        for lock in found.done[0].locks:
            print("    ", lock)
        print(
            found.sizes,
            found.added,
            found.changed,
            found.destroyed,
            found.done[0].unseen,
            [h.code for h in found.refuted],
            found.found,
            [h.code for h in rehearser.plan().plan.hazards],
        )
