"""The locks, rewrites and scans that a rehearsal sees, on the real embedded platform.

All statements are files of one plan, each in a schema of its own with the same tables.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest

from mosaic_deploy.deploy.rehearsal import base
from mosaic_deploy.errors import MosaicError
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.database.clones import RehearsalDatabase
from mosaic_deploy.model.catalog import Rehearsal
from tests.deploy.conftest import Site
from tests.deploy.rehearsal.conftest import Rehearser

TABLES = """
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer int, note varchar(10), total numeric(8, 2), paid boolean NOT NULL, body text);
CREATE INDEX by_note ON orders (note);
ALTER TABLE orders ADD CONSTRAINT positive CHECK (id > 0) NOT VALID;
CREATE TABLE parts (id int, day date) PARTITION BY RANGE (day);
CREATE TABLE old_part PARTITION OF parts FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE other (id int, day date);
CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS n FROM orders;
CREATE VIEW open AS SELECT id FROM orders WHERE NOT paid;
CREATE SEQUENCE numbers;
CREATE TYPE mood AS ENUM ('sad');
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
INSERT INTO orders VALUES (1, 1, 'x', 1, true, 'y');
"""

CASES = {
    "ALTER TABLE orders ALTER customer TYPE bigint": ["orders ACCESS EXCLUSIVE rewritten scanned"],
    "ALTER TABLE orders ALTER note TYPE varchar(5)": ["orders ACCESS EXCLUSIVE rewritten scanned"],
    "ALTER TABLE orders ALTER note TYPE varchar(20)": ["orders ACCESS EXCLUSIVE"],
    "ALTER TABLE orders ALTER note TYPE text": ["orders ACCESS EXCLUSIVE"],
    "ALTER TABLE orders ALTER total TYPE numeric(10, 2)": ["orders ACCESS EXCLUSIVE"],
    "ALTER TABLE orders ADD a int DEFAULT 3": ["orders ACCESS EXCLUSIVE"],
    "ALTER TABLE orders ADD a timestamptz DEFAULT clock_timestamp()": [
        "orders ACCESS EXCLUSIVE rewritten scanned"
    ],
    "ALTER TABLE orders ADD a bigserial": ["orders ACCESS EXCLUSIVE rewritten scanned"],
    "ALTER TABLE orders DROP body": ["orders ACCESS EXCLUSIVE"],
    "ALTER TABLE orders ALTER note SET DEFAULT 'x'": ["orders ACCESS EXCLUSIVE"],
    "ALTER TABLE orders ALTER note SET NOT NULL": ["orders ACCESS EXCLUSIVE scanned"],
    "ALTER TABLE orders ADD CHECK (id < 9)": ["orders ACCESS EXCLUSIVE scanned"],
    "ALTER TABLE orders ADD CHECK (id < 9) NOT VALID": ["orders ACCESS EXCLUSIVE"],
    "ALTER TABLE orders VALIDATE CONSTRAINT positive": ["orders SHARE UPDATE EXCLUSIVE scanned"],
    "ALTER TABLE orders ADD UNIQUE (customer)": ["orders ACCESS EXCLUSIVE scanned"],
    "ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customers NOT VALID": [
        "customers SHARE ROW EXCLUSIVE",
        "orders SHARE ROW EXCLUSIVE",
    ],
    "DELETE FROM orders; ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customers": [
        "customers SHARE ROW EXCLUSIVE",
        "orders ROW EXCLUSIVE",
        "orders SHARE ROW EXCLUSIVE scanned",
    ],
    "CREATE TABLE made (o int REFERENCES orders)": ["orders SHARE ROW EXCLUSIVE"],
    "CREATE TABLE made (o int); CREATE INDEX ON made (o); INSERT INTO made VALUES (1)": [],
    "CREATE INDEX ON orders (customer)": ["orders SHARE scanned"],
    "CREATE INDEX CONCURRENTLY by_customer ON orders (customer)": [
        "orders SHARE UPDATE EXCLUSIVE documented"
    ],
    "DROP INDEX by_note": ["orders ACCESS EXCLUSIVE"],
    "DROP INDEX CONCURRENTLY by_note": ["orders SHARE UPDATE EXCLUSIVE documented"],
    "REINDEX INDEX by_note": ["orders ACCESS EXCLUSIVE scanned"],
    "REINDEX TABLE CONCURRENTLY orders": ["orders SHARE UPDATE EXCLUSIVE documented"],
    "VACUUM FULL orders; ALTER TABLE orders ADD a int": [
        "orders ACCESS EXCLUSIVE",
        "orders ACCESS EXCLUSIVE rewritten documented",
    ],
    "CLUSTER orders USING orders_pkey": ["orders ACCESS EXCLUSIVE rewritten scanned"],
    "TRUNCATE orders": ["orders ACCESS EXCLUSIVE"],
    "CREATE TRIGGER stamped BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION stamp()": [
        "orders SHARE ROW EXCLUSIVE"
    ],
    "ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON orders USING (true)": [
        "orders ACCESS EXCLUSIVE"
    ],
    "ALTER TABLE orders RENAME note TO remark": ["orders ACCESS EXCLUSIVE"],
    "ALTER TABLE parts ATTACH PARTITION other FOR VALUES FROM ('2021-01-01') TO ('2022-01-01')": [
        "other ACCESS EXCLUSIVE scanned",
        "parts SHARE UPDATE EXCLUSIVE",
    ],
    "REFRESH MATERIALIZED VIEW totals": ["orders ACCESS SHARE", "totals ACCESS EXCLUSIVE rewritten"],
    "CREATE OR REPLACE VIEW open AS SELECT id FROM orders": ["open ACCESS EXCLUSIVE", "orders ACCESS SHARE"],
    "LOCK TABLE orders IN EXCLUSIVE MODE": ["orders EXCLUSIVE"],
    "UPDATE orders SET note = 'z'": ["orders ROW EXCLUSIVE"],
    "DO $$ BEGIN EXECUTE 'ALTER TABLE orders ALTER total TYPE float'; END $$": [
        "orders ACCESS EXCLUSIVE rewritten"
    ],
    "SET LOCAL statement_timeout = '9s'; ALTER TABLE orders ADD a int; CREATE INDEX ON orders (a)": [
        "orders ACCESS EXCLUSIVE",
        "orders ACCESS EXCLUSIVE scanned",
    ],
    "COMMENT ON TABLE orders IS 'x'": ["orders SHARE UPDATE EXCLUSIVE"],
}
SCHEMAS = {sql: f"case_{number:02}" for number, sql in enumerate(CASES)}


@pytest.fixture(scope="module")
def rehearsed(platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    folder = tmp_path_factory.mktemp("locks")
    with (
        pytest.MonkeyPatch.context() as patch,
        Api(platform.url, ApiKey(platform.api_key)) as api,
    ):
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        site = Site(folder, api, "locks of statements")
        live = "".join(
            f"CREATE SCHEMA {schema}; SET search_path TO {schema};{TABLES}" for schema in SCHEMAS.values()
        )
        site.deploy_sql(live)
        for number, (sql, schema) in enumerate(SCHEMAS.items(), 2):
            site.write(f"sql/{number}_x.sql", f"SET search_path TO {schema}, public;\n{sql};\n")
        yield Rehearser(site).rehearsal()


@pytest.mark.parametrize("sql", CASES)
def test_statements(rehearsed: Rehearsal, sql: str) -> None:
    number = list(CASES).index(sql) + 2
    found = rehearsed.of(f"migration:{number}_x.sql")
    assert found is not None, rehearsed
    assert found.unseen == ()
    assert sorted(
        " ".join(
            (
                lock.table.name.removeprefix(f"{SCHEMAS[sql]}."),
                lock.mode,
                *(["rewritten"] if lock.rewritten else []),
                *(["scanned"] if lock.scanned else []),
                *([] if lock.seen else ["documented"]),
            )
        )
        for lock in found.locks
    ) == sorted(CASES[sql])


def test_another_session_sees_the_same_locks(rehearser: Rehearser, monkeypatch: pytest.MonkeyPatch) -> None:
    """An independent check: another session reads pg_locks while the step sleeps."""
    opened: list[RehearsalDatabase] = []
    original = base.open_rehearsal

    def open_rehearsal(*arguments: object) -> RehearsalDatabase:
        opened.append(original(*arguments))  # type: ignore[arg-type]
        return opened[-1]

    monkeypatch.setattr(base, "open_rehearsal", open_rehearsal)
    watched = [
        sql for sql in CASES if "CONCURRENTLY" not in sql and "VACUUM" not in sql and "SET LOCAL" not in sql
    ][:20]
    schemas = [SCHEMAS[sql] for sql in watched]
    rehearser.site.deploy_sql(
        "".join(f"CREATE SCHEMA {schema}; SET search_path TO {schema};{TABLES}" for schema in schemas)
    )
    body = "".join(f"SET LOCAL search_path TO {SCHEMAS[sql]};\n{sql};\n" for sql in watched)
    rehearser.site.write("sql/2_x.sql", f"{body}SELECT pg_sleep(1);\n")
    seen: dict[str, set[str]] = {}
    ended = threading.Event()
    thread = threading.Thread(target=_observe, args=(opened, seen, ended))
    thread.start()
    found = rehearser.rehearsal()
    ended.set()
    thread.join()
    [done] = found.done
    own: dict[str, str] = {}
    for lock in done.locks:
        own[lock.table.name] = max(own.get(lock.table.name, ""), lock.mode, key=MODES.index)
    assert own
    assert own == {name: max(modes, key=MODES.index) for name, modes in seen.items()}


MODES = [
    "",
    "ACCESS SHARE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
]
MODES += ["EXCLUSIVE", "ACCESS EXCLUSIVE"]
_OBSERVED = """SELECT n.nspname || '.' || COALESCE(t.relname, c.relname) AS name, upper(trim(
  regexp_replace(replace(l.mode, 'Lock', ''), '([A-Z])', ' \\1', 'g'))) AS mode
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_class t ON t.oid = i.indrelid
WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.pid <> pg_backend_pid()
AND n.nspname LIKE 'case%' AND EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = l.pid AND a.wait_event = 'PgSleep')"""


def _observe(opened: list[RehearsalDatabase], seen: dict[str, set[str]], ended: threading.Event) -> None:
    while not ended.is_set() and not seen:
        time.sleep(0.05)
        # A base that was just built becomes one while this may look.
        with contextlib.suppress(MosaicError):
            for row in opened[-1].api.sql(opened[-1].project, _OBSERVED) if opened else ():
                seen.setdefault(str(row["name"]), set()).add(str(row["mode"]))
