"""A step of a rehearsed plan runs only if what it touches is as it was rehearsed."""

from __future__ import annotations

import pytest

from mosaic_deploy.deploy import PreparedPlan
from mosaic_deploy.model.event import ApplyDone, ApplyFailed
from tests.deploy.rehearsal.conftest import Rehearser

SHOP = """
CREATE TYPE mood AS ENUM ('sad', 'good');
CREATE FUNCTION upper_name() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.name := upper(NEW.name); RETURN NEW; END';
CREATE FUNCTION fee(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 / 10';
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL DEFAULT 'x', feels mood);
CREATE TABLE orders (id serial PRIMARY KEY, customer int REFERENCES customers, total int CHECK (total > 0));
CREATE INDEX orders_total ON orders (total);
CREATE TRIGGER upper BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION upper_name();
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON orders USING (fee(total) > 1);
CREATE VIEW totals AS SELECT customer, sum(total) AS total FROM orders GROUP BY 1;
"""
TOUCHES_ALL = """
ALTER TABLE orders ADD channel text;
INSERT INTO customers (id, name) SELECT 900 + count(*), 'z' FROM totals;
"""


def rehearsed(rehearser: Rehearser) -> PreparedPlan:
    planned = rehearser.plan()
    found = planned.plan.rehearsal
    assert found is not None
    assert not found.not_rehearsed, found
    assert found.steps
    return planned


def stopped(rehearser: Rehearser, planned: PreparedPlan) -> ApplyFailed:
    last = rehearser.site.run(planned)[-1]
    assert isinstance(last, ApplyFailed), last
    assert last.error.code == "schema_changed", last.error
    return last


CHANGES = {
    "ALTER TABLE orders ADD sneaky int": "column orders.sneaky was added",
    "ALTER TABLE orders DROP COLUMN total CASCADE": "column orders.total was dropped",
    "DROP INDEX orders_total": "index orders_total on orders was dropped",
    "CREATE INDEX other ON orders (customer)": "index other on orders was added",
    "ALTER TABLE customers ALTER name SET DEFAULT 'y'": "column customers.name was changed",
    "ALTER TABLE customers ALTER name DROP NOT NULL": "column customers.name was changed",
    "ALTER TABLE orders DROP CONSTRAINT orders_total_check": "constraint orders_total_check on orders was dropped",
    "DROP TRIGGER upper ON customers": "trigger upper on customers was dropped",
    "ALTER TABLE customers DISABLE TRIGGER upper": "trigger upper on customers was changed",
    "CREATE OR REPLACE FUNCTION upper_name() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'": "function upper_name() was changed",
    "CREATE OR REPLACE FUNCTION fee(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 0'": "function fee(integer) was changed",
    "CREATE FUNCTION fee(bigint) RETURNS int LANGUAGE sql AS 'SELECT 0'": "function fee(bigint) was added",
    "DROP POLICY mine ON orders": "policy mine on orders was dropped",
    "ALTER TABLE orders DISABLE ROW LEVEL SECURITY": "table orders was changed",
    "ALTER TYPE mood ADD VALUE 'bad'": "type mood was changed",
    "CREATE OR REPLACE VIEW totals AS SELECT customer, max(total)::bigint AS total FROM orders GROUP BY 1": "view totals was changed",
    "DROP VIEW totals": "view totals was dropped",
    "GRANT DELETE ON customers TO public": "grant to public on customers was added",
}


def test_manual_changes_between_plan_and_apply(rehearser):
    site = rehearser.site
    site.deploy_sql(SHOP)
    site.write("sql/2_all.sql", TOUCHES_ALL)
    planned = rehearsed(rehearser)
    project = site.project_id
    snapshot = site.api.sql(project, "SELECT pg_catalog.count(*) AS n FROM orders")
    assert snapshot
    for change, expected in CHANGES.items():
        site.api.sql(project, change)
        last = stopped(rehearser, planned)
        print(change, '=>', last.error.message)
        break
