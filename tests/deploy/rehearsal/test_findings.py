"""Findings of the lint rules that a rehearsal refutes, and what only it finds, on the real embedded platform."""

from __future__ import annotations

import pytest

from mosaic_deploy.deploy.rehearsal import findings
from mosaic_deploy.model.plan import Plan
from mosaic_deploy.sql.hazards import RULES
from tests.deploy.rehearsal.conftest import Rehearser

LIVE = """
CREATE TABLE orders (id int PRIMARY KEY, customer int, note text, checked text, CHECK (checked IS NOT NULL));
CREATE TABLE hollow (id int PRIMARY KEY, customer int, note text);
CREATE TABLE gone (id int);
CREATE SCHEMA app;
CREATE TABLE app.items (id int, note text);
CREATE FUNCTION widen() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE concat('ALTER TABLE orders ', 'ALTER id TYPE bigint'); END $$;
"""
ROWS = (
    "INSERT INTO orders SELECT n, n, 'x', 'y' FROM generate_series(1, 200) n; INSERT INTO app.items VALUES (1); "
    "ANALYZE orders; ANALYZE app.items"
)
ROUNDS: list[dict[str, tuple[list[str], list[str]]]] = [
    {
        "ALTER TABLE hollow ALTER id TYPE bigint;": (["column_type"], []),
        "CREATE INDEX ON hollow (note);": (["index_locks"], []),
        "ALTER TABLE hollow ALTER note SET NOT NULL;": (["set_not_null"], []),
        "ALTER TABLE hollow ADD n int NOT NULL;": (["not_null_without_default"], []),
        "ALTER TABLE hollow RENAME note TO remark;": ([], ["rename_column"]),
        "ALTER TABLE hollow SET TABLESPACE pg_default;": (["table_rewrite"], []),
        "ALTER TABLE orders SET TABLESPACE pg_default;": (["table_rewrite"], []),
        "CREATE INDEX ON orders (note);": ([], ["index_locks"]),
        "ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES hollow NOT VALID;": ([], []),
        "ALTER TABLE hollow ADD FOREIGN KEY (customer) REFERENCES orders;": (["foreign_key_validates"], []),
        "LOCK TABLE hollow;": (["lock_table"], []),
        "DROP TABLE gone;": ([], ["drop_table"]),
        "SELECT widen();": ([], ["unreported_lock"]),
    },
    {
        "SET search_path TO app; DO $$ BEGIN EXECUTE 'CREATE TABLE ' || 'orders (id int)'; END $$; ALTER TABLE orders RENAME TO bought;": (
            ["rename_table"],
            [],
        ),
        "ALTER TABLE orders ALTER id TYPE bigint;": ([], ["column_type"]),
        "ALTER TABLE orders ALTER checked SET NOT NULL;": (["set_not_null"], []),
        "ALTER TABLE orders ALTER note SET NOT NULL;": ([], ["set_not_null"]),
        "DELETE FROM orders WHERE id > 3;": ([], ["deletes_rows"]),
    },
]


def in_file(plan: Plan, number: int) -> tuple[list[str], list[str]]:
    assert plan.rehearsal is not None
    file = f"sql/{number}_x.sql"
    return (
        sorted(one.code for one in plan.rehearsal.refuted if one.location.file == file),
        sorted(one.code for one in plan.findings if one.location.file == file and one.severity != "advice"),
    )


@pytest.mark.parametrize("cases", ROUNDS, ids=("first", "second"))
def test_refuted_and_kept(
    rehearser: Rehearser, monkeypatch: pytest.MonkeyPatch, cases: dict[str, tuple[list[str], list[str]]]
) -> None:
    monkeypatch.setattr(findings, "LARGE_ROWS", 150)
    rehearser.site.deploy_sql(LIVE)
    rehearser.site.sql(ROWS)
    for number, sql in enumerate(cases, 2):
        rehearser.site.write(f"sql/{number}_x.sql", sql)
    plan = rehearser.plan().plan
    assert plan.rehearsal and not plan.rehearsal.not_rehearsed, plan.rehearsal
    assert {sql: in_file(plan, number) for number, sql in enumerate(cases, 2)} == cases
    # What is approved doesn't depend on the rehearsal.
    assert plan.hazards == rehearser.site.plan().plan.hazards
    assert plan.to_confirm == rehearser.site.plan().plan.to_confirm
    assert plan.fingerprint == rehearser.site.plan().plan.fingerprint


def test_only_findings_about_locks_rewrites_and_names_are_judged() -> None:
    severities = {rule.code: str(rule.severity) for rule in RULES}
    judged = findings.JUDGED
    assert judged <= severities.keys()
    assert {severities[code] for code in judged} == {"blocking", "risky"}
    assert {code for code in judged if severities[code] == "risky"} == {
        "not_null_without_default",
        "rename_column",
        "rename_table",
    }


def test_what_no_rule_reports(rehearser: Rehearser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "LARGE_ROWS", 150)
    rehearser.site.deploy_sql(LIVE)
    rehearser.site.sql(ROWS)
    rehearser.site.write(
        "sql/2_x.sql", "SELECT 1;\n-- mosaic-ignore: unreported_lock at night\nSELECT widen();"
    )
    found = rehearser.rehearsal().found
    assert [(str(one.location), one.ignored) for one in found] == [("sql/2_x.sql:3:1", "at night")]
    assert found[0].message.startswith("rewrites or empties orders (≈200 rows, ")
    assert found[0].message.endswith("), blocking reads and writes")
    monkeypatch.setattr(findings, "LARGE_ROWS", 201)
    assert rehearser.rehearsal().found == ()
