"""Rehearsals of pending migrations on the real embedded platform."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from mosaic_deploy.deploy.rehearsal import pending
from mosaic_deploy.errors import MosaicError
from mosaic_deploy.live.catalog.read import read_catalog
from tests.deploy.rehearsal.conftest import Rehearser

ORDERS = """
CREATE TABLE customers (id int PRIMARY KEY, fax text);
CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers);
INSERT INTO customers VALUES (1, '12');
"""


def with_orders(rehearser: Rehearser) -> None:
    rehearser.site.deploy_sql(ORDERS)


def test_each_migration_has_its_changes(rehearser):
    with_orders(rehearser)
    rehearser.site.write("sql/2_channel.sql", "ALTER TABLE orders ADD channel text NOT NULL;")
    rehearser.site.write("sql/3_fax.sql", "ALTER TABLE customers DROP fax; CREATE INDEX ON orders (channel);")
    rehearser.site.write("sql/4_rows.sql", "DO $$ BEGIN RAISE NOTICE 'hello'; END $$;")
    assert rehearser.changes() == [
        ["add column orders.channel text NOT NULL"],
        ["drop column customers.fax", "add index orders_channel_idx on orders USING btree (channel)"],
        [],
    ]
    found = rehearser.rehearsal()
    assert found.done[0].addresses == ("migration:2_channel.sql",)
    assert found.done[2].notices == ("NOTICE: hello",)
    assert found.done[0].seconds > 0
    assert found.base != found.result
    assert found.server == found.live_server


def test_a_failure_is_the_plans_error_and_live_is_unchanged(rehearser):
    with_orders(rehearser)
    site = rehearser.site
    project = site.project_id
    before = read_catalog(site.api, project), site.sql("SELECT * FROM mosaic_deploy.migrations")
    site.write("sql/2_ok.sql", "ALTER TABLE orders ADD channel text;")
    site.write(
        "sql/3_bad.sql", "SELECT 1;\nALTER TABLE orders\n  ALTER channel TYPE int USING chanel::int;\n"
    )
    error = rehearser.fails()
    assert str(error.location) == "sql/3_bad.sql:3:32"
    assert error.sqlstate == "42703"
    assert "nothing live was changed" in error.message
    assert error.mutation_state == "none"
    assert error.next_actions[0].command == "mosaic-deploy plan --no-rehearse"
    assert (read_catalog(site.api, project), site.sql("SELECT * FROM mosaic_deploy.migrations")) == before
    assert site.sql("SELECT count(*) AS n FROM customers") == [{"n": 1}]


def test_a_failure_that_no_row_can_change_offers_no_way_around(rehearser):
    with_orders(rehearser)
    rehearser.site.write(
        "sql/2_v.sql", "CREATE VIEW v AS SELECT id FROM orders; ALTER TABLE orders ALTER id TYPE text;"
    )
    error = rehearser.fails()
    assert error.sqlstate == "0A000"
    assert not error.next_actions


def test_the_time_is_that_of_all_steps(rehearser):
    with_orders(rehearser)
    rehearser.site.write("sql/2_i.sql", "SELECT pg_sleep(0.5); CREATE INDEX CONCURRENTLY i ON orders (id);")
    began = time.monotonic()
    [done] = rehearser.rehearsal().done
    assert 0.5 <= done.seconds < time.monotonic() - began


def test_a_failure_for_lack_of_rows_says_so(rehearser):
    with_orders(rehearser)
    rehearser.site.sql("INSERT INTO customers VALUES (7)")
    rehearser.site.write("sql/2_fk.sql", "INSERT INTO orders VALUES (1, 7);")
    assert "has only the rows that migrations insert" in (rehearser.fails().hint or "")


def test_a_schema_that_the_files_do_not_make(rehearser):
    with_orders(rehearser)
    rehearser.site.sql("ALTER TABLE orders ADD sneaky int")
    rehearser.site.write("sql/2_channel.sql", "ALTER TABLE orders ADD channel text;")
    found = rehearser.rehearsal()
    assert found.not_rehearsed == "the recorded files don't make the live schema"
    assert [each.summary for each in found.differences] == ["column orders.sneaky integer"]
    assert found.done == ()


def test_a_recorded_file_that_fails_there(rehearser):
    with_orders(rehearser)
    site = rehearser.site
    site.sql("INSERT INTO customers VALUES (7)")
    site.write("sql/2_needs_rows.sql", "INSERT INTO orders VALUES (1, 7);")
    site.apply()
    site.write("sql/3_next.sql", "ALTER TABLE orders ADD channel text;")
    why = rehearser.rehearsal().not_rehearsed
    assert why.startswith("2_needs_rows.sql:1:13, as recorded, fails on a database without live rows:"), why


def test_concurrently(rehearser):
    with_orders(rehearser)
    rehearser.site.write("sql/2_index.sql", "CREATE INDEX CONCURRENTLY by_customer ON orders (customer);")
    assert rehearser.changes() == [["add index by_customer on orders USING btree (customer)"]]


def test_a_new_enum_value_is_used_in_a_later_file(rehearser):
    rehearser.site.deploy_sql("CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE t (m mood);")
    rehearser.site.write("sql/2_value.sql", "ALTER TYPE mood ADD VALUE 'good';")
    rehearser.site.write("sql/3_use.sql", "ALTER TABLE t ALTER m SET DEFAULT 'good';")
    assert rehearser.changes() == [
        ["change type mood ENUM ('sad') → ENUM ('sad', 'good')"],
        ["change column t.m mood → mood DEFAULT 'good'::mood"],
    ]


def test_one_transaction_for_all(rehearser):
    with_orders(rehearser)
    site = rehearser.site
    site.manifest(database={"migrations": "sql", "transaction": "all"})
    site.write("sql/2_a.sql", "CREATE TABLE a (n int);")
    site.write("sql/3_b.sql", "CREATE TABLE b (n int);")
    found = rehearser.rehearsal()
    assert [each.addresses for each in found.done] == [("migration:2_a.sql", "migration:3_b.sql")]
    assert len(found.done[0].changes) == 2
    site.write("sql/2_a.sql", "CREATE TYPE e AS ENUM ('x'); ALTER TYPE e ADD VALUE 'y';")
    site.write("sql/3_b.sql", "CREATE TABLE b (n e DEFAULT 'z');")
    assert str(rehearser.fails().location) == "sql/3_b.sql:1:29"


def test_steps_that_a_failed_deploy_committed_are_not_run_again(rehearser):
    with_orders(rehearser)
    site = rehearser.site
    site.write("sql/2_steps.sql", "CREATE TABLE a (n int);\nCOMMIT;\nSELECT 1/0;\nCREATE TABLE b (n int);\n")
    assert site.fails().error.code == "migration_failed"
    assert str(rehearser.fails().location) == "sql/2_steps.sql:3:1"
    site.write("sql/2_steps.sql", "CREATE TABLE a (n int);\nCOMMIT;\nCREATE TABLE b (n int);\n")
    assert rehearser.changes() == [["add table b (n integer)"]]


def test_seeds_run_after_the_migrations(rehearser):
    site = rehearser.site
    with_orders(rehearser)
    site.manifest(database={"migrations": "sql", "seeds": ["seeds"]})
    site.write("sql/2_note.sql", "ALTER TABLE customers ADD note text;")
    site.write("seeds/1.sql", "INSERT INTO customers (id, note) VALUES (3, 'x');")
    assert [each.addresses[0] for each in rehearser.rehearsal().done] == [
        "migration:2_note.sql",
        "seed:seeds/1.sql",
    ]
    site.write("seeds/1.sql", "INSERT INTO customers (id, note) VALUES (3, 'x');\nSELECT 1/0;")
    assert str(rehearser.fails().location) == "seeds/1.sql:2:1"


def test_an_extension_of_the_manifest_is_enabled_first(rehearser):
    with_orders(rehearser)
    site = rehearser.site
    site.manifest(database={"migrations": "sql", "extensions": ["citext"]})
    site.write("sql/2_ci.sql", "ALTER TABLE customers ADD email citext;")
    assert rehearser.changes() == [["add column customers.email citext"]]
    site.apply()
    site.write("sql/3_ci.sql", "ALTER TABLE customers ADD other citext;")
    assert rehearser.changes() == [["add column customers.other citext"]]


def test_what_only_the_live_server_may_have_does_not_fail_the_plan(rehearser):
    with_orders(rehearser)
    for text, why in (
        (
            "GRANT SELECT ON orders TO only_live;",
            'sql/2_x.sql:1:27 fails on the embedded platform: role "only_live"',
        ),
        ("SELECT 1;\nCREATE ROLE x;", "sql/2_x.sql:2:1 fails on the embedded platform: permission denied"),
        (
            "CREATE EXTENSION only_live;",
            'sql/2_x.sql:1:18 fails on the embedded platform: extension "only_live"',
        ),
    ):
        rehearser.site.write("sql/2_x.sql", text)
        assert rehearser.rehearsal().not_rehearsed.startswith(why)


def test_a_time_limit_does_not_fail_the_plan(rehearser):
    with_orders(rehearser)
    rehearser.site.write(
        "sql/2_x.sql", "SELECT 1;\nSET LOCAL statement_timeout = '50ms'; SELECT pg_sleep(5);"
    )
    why = rehearser.rehearsal().not_rehearsed
    assert why.startswith("sql/2_x.sql:2:39 was stopped by a time limit: canceling statement"), why


def test_large_files_are_not_rehearsed(rehearser, monkeypatch):
    with_orders(rehearser)
    rehearser.site.write("sql/2_x.sql", "CREATE TABLE x (n int);")
    monkeypatch.setattr(pending, "MAX_BYTES", 20)
    assert rehearser.rehearsal().not_rehearsed == "the pending files have 23 B, more than 20 B"


def test_an_extension_that_only_the_live_database_has(rehearser):
    with_orders(rehearser)
    rehearser.site.sql("CREATE EXTENSION citext")
    rehearser.site.write("sql/2_x.sql", "ALTER TABLE orders ADD email citext;")
    assert rehearser.changes() == [["add column orders.email citext"]]
    rehearser.site.sql("DROP EXTENSION pgcrypto")
    rehearser.site.write("sql/2_x.sql", "ALTER TABLE orders ADD secret text DEFAULT gen_salt('bf');")
    assert "gen_salt" in rehearser.fails().message


def test_an_extension_in_another_schema(rehearser):
    with_orders(rehearser)
    rehearser.site.write("sql/2_schema.sql", "CREATE SCHEMA ext;")
    rehearser.site.apply()
    rehearser.site.sql("DROP EXTENSION pgcrypto; CREATE EXTENSION pgcrypto SCHEMA ext")
    rehearser.site.write("sql/3_x.sql", "ALTER TABLE orders ADD secret text DEFAULT ext.gen_salt('bf');")
    assert len(rehearser.changes()[0]) == 1


def test_a_search_path_that_no_file_set(rehearser):
    with_orders(rehearser)
    site = rehearser.site
    path = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path TO public, app', current_database()); END $$"
    site.sql(path)
    # Sessions that began before keep their search_path.
    with suppress(MosaicError):
        site.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_user")
    site.write("sql/2_x.sql", "ALTER TABLE orders ADD channel text;")
    assert rehearser.rehearsal().not_rehearsed == (
        "the live database has search_path = public, app, which no recorded file set"
    )


def test_the_invalid_index_of_a_failed_deploy(rehearser):
    with_orders(rehearser)
    site = rehearser.site
    site.sql("INSERT INTO customers VALUES (7); INSERT INTO orders VALUES (1, 7), (2, 7)")
    site.write("sql/2_u.sql", "CREATE UNIQUE INDEX CONCURRENTLY ux ON orders (customer);")
    site.fails()
    assert rehearser.changes() == [["add index ux on orders USING btree (customer) UNIQUE"]]
    assert rehearser.rehearsal().remarks == (
        "the live database has index ux on orders, which a failed build left invalid; the apply that runs its CREATE INDEX "
        "again drops it and builds it again",
    )


def test_a_new_project(rehearser):
    rehearser.site.write("sql/1_t.sql", "CREATE TABLE t (n int);")
    rehearser.site.manifest(database={"migrations": "sql"})
    assert rehearser.changes() == [["add table t (n integer)"]]


def test_the_owner_of_the_live_database_has_another_name(rehearser):
    rehearser.site.deploy_sql(
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC; CREATE TABLE t (n int);"
        "REVOKE ALL ON t FROM CURRENT_USER; COMMENT ON TABLE t IS 'x';"
    )
    rehearser.site.write("sql/2_u.sql", "CREATE TABLE u (n int);")
    assert rehearser.changes() == [["add table u (n integer)", "add grant to public on u SELECT"]]
    rehearser.site.write("sql/2_u.sql", "ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO PUBLIC;")
    role = "tenant_" + rehearser.site.project_id.replace("-", "_")
    assert rehearser.changes() == [[f"add default privileges on sequences of {role} for public USAGE"]]


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER ROLE CURRENT_USER SET search_path = nowhere;",
        "ALTER ROLE CURRENT_USER PASSWORD 'x';",
        "ALTER USER CURRENT_USER SET default_transaction_read_only = on;",
    ],
)
def test_roles_are_not_altered(rehearser, sql):
    """All databases of rehearsals have the same role."""
    with_orders(rehearser)
    rehearser.site.write("sql/2_role.sql", sql)
    assert rehearser.rehearsal().not_rehearsed.startswith("2_role.sql alters a role")


def test_what_one_rehearsal_sets_for_its_role_does_not_reach_the_next(rehearser):
    with_orders(rehearser)
    rehearser.site.write(
        "sql/2_role.sql", "DO $$ BEGIN EXECUTE 'alter role current_user set search_path = nowhere'; END $$;"
    )
    rehearser.rehearsal()
    rehearser.site.write("sql/2_role.sql", "CREATE TABLE unqualified (id int);")
    assert rehearser.changes() == [["add table unqualified (id integer)"]]


def test_renamed_objects_are_not_destroyed(rehearser):
    with_orders(rehearser)
    site = rehearser.site
    site.sql("INSERT INTO orders VALUES (7, 1)")
    site.write(
        "sql/2_a.sql", "ALTER TABLE orders RENAME TO bought; ALTER TABLE bought RENAME customer TO client;"
    )
    site.write("sql/3_b.sql", "ALTER TABLE customers RENAME fax TO tel; ALTER TABLE customers DROP tel;")
    site.write("sql/4_c.sql", "ALTER TABLE bought RENAME CONSTRAINT orders_pkey TO bought_pkey;")
    site.write("sql/5_d.sql", "CREATE TABLE passing (n int);")
    site.write("sql/6_e.sql", "DROP TABLE passing;")
    planned = rehearser.plan().plan
    found = planned.rehearsal
    assert [[f"{one.action} {one.summary}" for one in each.changes] for each in found.done[:3]] == [
        [
            "change table orders renamed to bought",
            "change column orders.customer renamed to client",
            "change constraint orders_customer_fkey on bought FOREIGN KEY (customer) REFERENCES customers(id) → "
            "FOREIGN KEY (client) REFERENCES customers(id)",
        ],
        ["drop column customers.fax"],
        ["change constraint orders_pkey on bought renamed to bought_pkey"],
    ]
    assert [str(item) for item in found.destroyed] == ["column customers.fax"]
    assert (found.added, found.changed) == (0, 4)
    # The files that make and drop a table change nothing.
    assert (planned.counts.add, planned.counts.change, planned.counts.destroy) == (0, 4, 1)


def test_live_sizes_of_what_is_destroyed(rehearser):
    site = rehearser.site
    site.deploy_sql(
        "CREATE TABLE old (id int PRIMARY KEY); CREATE TABLE kept (id int PRIMARY KEY, fax text, hollow text);"
        "CREATE INDEX kept_fax ON kept (fax); CREATE TABLE blank (id int); CREATE SCHEMA app;"
        'CREATE TABLE app."my.logs" (day date) PARTITION BY RANGE (day);'
        "CREATE TABLE app.logs_2020 PARTITION OF app.\"my.logs\" FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');"
    )
    site.sql(
        "INSERT INTO old SELECT generate_series(1, 1500); INSERT INTO kept SELECT n, CASE WHEN n % 2 = 0 THEN 'x' END "
        "FROM generate_series(1, 1000) n; INSERT INTO app.logs_2020 SELECT '2020-02-02' FROM generate_series(1, 40); "
        "ANALYZE old; ANALYZE kept; ANALYZE app.logs_2020"
    )
    site.write(
        "sql/2_x.sql",
        "DROP TABLE old, blank; DROP TABLE app.\"my.logs\"; ALTER TABLE kept DROP fax, DROP hollow; COMMENT ON TABLE kept IS 'x';",
    )
    found = rehearser.rehearsal()
    sizes = {
        str(size.object): (size.rows, size.bytes and size.bytes > 8000, size.empty) for size in found.sizes
    }
    assert sizes == {
        "table old": (1500, True, False),
        "table blank": (0, 0, True),
        'table app."my.logs"': (40, True, False),
        "table app.logs_2020": (40, True, False),
        "column kept.fax": (500, None, False),
        "column kept.hollow": (0, None, False),
        "index kept_fax on kept": (None, True, False),
        "table kept": (1000, True, False),
    }
    assert {str(item) for item in found.destroyed} == sizes.keys() - {"table kept"}
    assert (found.added, found.changed) == (0, 1)


def test_checks_are_not_made_and_a_new_project_has_no_live_tables(rehearser):
    rehearser.site.write("sql/1_t.sql", "-- mosaic-check: SELECT true\nCREATE TABLE t (n int);\n")
    rehearser.site.write(
        "sql/2_u.sql",
        "-- mosaic-check: SELECT true\n-- mosaic-check: SELECT true\nALTER TABLE t ADD o int;\n",
    )
    rehearser.site.manifest(database={"migrations": "sql"})
    found = rehearser.rehearsal()
    assert found.unmade_checks == 3
    assert found.live_server == ""
    assert found.sizes == ()
    assert [each.locks for each in found.done] == [(), ()]
