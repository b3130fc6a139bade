"""A check reports violating rows exactly if PostgreSQL refuses the same statement on the same rows."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mosaic_deploy.errors import SqlFailed
from mosaic_deploy.sql.row_checks.facts import ConstraintFacts, parse_facts
from mosaic_deploy.sql.row_checks.facts_query import FACTS_QUERY
from mosaic_deploy.sql.row_checks.pending_writes import PendingWrites
from mosaic_deploy.sql.row_checks.request import RESULTS_COLUMN, parse_results, row_checks_request
from mosaic_deploy.sql.row_checks.tightened import tightened
from tests.deploy.conftest import Site

_numbers = itertools.count(1)
STATEMENTS = (
    "ALTER a SET NOT NULL",
    "ADD CHECK (a > 0)",
    "ADD CHECK (a > 0 AND b <> '')",
    "ADD CHECK (a IS NOT NULL OR b IS NOT NULL)",
    "ADD CHECK (length(b) < 2) NO INHERIT",
    "ADD CHECK (b ~ '^x' OR c = 1) NOT VALID",
    "ADD UNIQUE (a)",
    "ADD UNIQUE (b)",
    "ADD UNIQUE (a, b) DEFERRABLE INITIALLY DEFERRED",
    "ADD UNIQUE NULLS NOT DISTINCT (a)",
    "ADD UNIQUE NULLS NOT DISTINCT (b, c)",
    "ADD UNIQUE (c) INCLUDE (a)",
    "ADD FOREIGN KEY (c) REFERENCES {other}",
    "ADD FOREIGN KEY (c, b) REFERENCES {other} (n, t)",
    "ADD FOREIGN KEY (c, b) REFERENCES {other} (n, t) MATCH FULL",
    "ADD FOREIGN KEY (c) REFERENCES {other} NOT VALID",
    "ALTER a TYPE int",
    "ALTER a TYPE smallint",
    "ALTER a TYPE numeric(2,1)",
    "ALTER b TYPE varchar(1)",
    "ADD d int NOT NULL",
    "ADD d int NOT NULL DEFAULT 1",
    "ADD d int GENERATED ALWAYS AS IDENTITY NOT NULL",
    "ADD d int UNIQUE",
)
INDEXES = (
    "CREATE UNIQUE INDEX ON {table} (lower(b))",
    "CREATE UNIQUE INDEX ON {table} (a) WHERE b <> ''",
    "CREATE UNIQUE INDEX ON {table} (b text_pattern_ops, (c + 1))",
    'CREATE UNIQUE INDEX ON {table} ((b || c) COLLATE "C") NULLS NOT DISTINCT WHERE c > 0',
    "CREATE INDEX ON {table} (a)",
)
KEYS = ("ADD PRIMARY KEY (a)", "ADD PRIMARY KEY (b, c)")
ROWS = st.lists(
    st.tuples(
        st.sampled_from([None, 0, 1, 2, 10, 40_000, 3_000_000_000]),
        st.sampled_from([None, "", "x", "X", "x ", "xy", "☃'\\"]),
        st.sampled_from([None, 0, 1, 2, 3]),
    ),
    max_size=6,
)


class Database:
    """Two tables, and their facts."""

    def __init__(self, site: Site) -> None:
        site.deploy_sql("SELECT 1;")
        self.api, self.project = site.api, site.project_id

    def sql(self, text: str) -> list[dict[str, object]]:
        return self.api.sql(self.project, text)

    def facts(self) -> ConstraintFacts:
        return parse_facts(str(self.sql(FACTS_QUERY)[0]["facts"]))

    def make(self, table: str, other: str, rows: list[tuple[object, ...]], *, key: bool) -> None:
        first = "id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, " if key else ""
        values = json.dumps([dict(zip("abc", row, strict=True)) for row in rows]).replace("'", "''")
        self.sql(
            f"DROP TABLE IF EXISTS {table}, {other};"
            f"CREATE TABLE {other} (n bigint PRIMARY KEY, t text, UNIQUE (n, t));"
            f"CREATE TABLE {table} ({first}a bigint, b text, c int);"
            f"INSERT INTO {table} (a, b, c) SELECT r.a, r.b, r.c FROM json_to_recordset('{values}') AS r (a bigint, b text, c int);"
            + (f"INSERT INTO {other} VALUES (1, 'x'), (2, ''), (3, NULL);" if rows else "")
        )

    def refuses(self, statement: str) -> bool:
        try:
            self.sql(statement)
        except SqlFailed:
            return True
        return False

    def violating(self, before: ConstraintFacts, after: ConstraintFacts) -> int:
        checks = tightened(before, after, PendingWrites())
        assert all(check.query and not check.written for check in checks), checks
        rows = self.sql(row_checks_request([check.query for check in checks]))
        results = parse_results(str(rows[0][RESULTS_COLUMN]), len(checks))
        assert not any(each.reason for each in results), (checks, results)
        return sum(each.rows or 0 for each in results)


@pytest.fixture
def database(site: Site) -> Database:
    return Database(site)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(statement=st.sampled_from((*STATEMENTS, *INDEXES, *KEYS)), rows=ROWS, key=st.booleans())
def test_violations_are_found_exactly_if_the_statement_fails(database, statement, rows, key):
    number = next(_numbers)
    table, other = f"t{number}", f'"o {number}"'
    key = key and statement not in KEYS
    change = statement if statement in INDEXES else f"ALTER TABLE {{table}} {statement}"
    change = change.replace("{table}", table).replace("{other}", other)
    database.make(table, other, [], key=key)
    before = database.facts()
    database.sql(change)
    after = database.facts()
    database.make(table, other, rows, key=key)
    found = database.violating(before, after)
    assert bool(found) == database.refuses(change), (found, change, rows)
    database.sql(f"DROP TABLE {table}, {other}")
