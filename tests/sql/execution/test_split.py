"""Files split into steps: tests/cases/sql_steps has NAME.sql and the expected NAME.steps."""

from pathlib import Path

import pytest

from mosaic_deploy.sql.execution.split import ExecutionMode, TransactionControlError, split_steps
from mosaic_deploy.sql.parse import parse

CASES = sorted((Path(__file__).parents[2] / "cases" / "sql_steps").glob("*.sql"))


def shown(text: str) -> str:
    """The steps as in the case files: mode and reason, and each statement's offset and first line."""
    lines = []
    for step in split_steps(parse(text)):
        mode = f"{step.execution_mode} (unclosed)" if step.unclosed else str(step.execution_mode)
        lines.append(f"{mode}: {step.reason}" if step.reason else mode)
        lines += [f"  {s.offset} {s.text.splitlines()[0]}" for s in step.statements]
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_steps(case: Path) -> None:
    assert shown(case.read_bytes().decode()) == case.with_suffix(".steps").read_text()


def test_cases_exist() -> None:
    assert len(CASES) >= 10


@pytest.mark.parametrize(
    ("text", "message", "at"),
    [
        (
            "BEGIN; SELECT 1; COMMIT AND CHAIN",
            "COMMIT AND CHAIN isn't supported in migrations; write COMMIT and BEGIN",
            "COMMIT",
        ),
        (
            "BEGIN; ROLLBACK AND CHAIN",
            "ROLLBACK AND CHAIN isn't supported in migrations; write ROLLBACK and BEGIN",
            "ROLLBACK",
        ),
        (
            "BEGIN; BEGIN READ ONLY; COMMIT",
            "BEGIN with a transaction mode inside an open transaction; write COMMIT before it",
            "BEGIN READ",
        ),
        (
            "BEGIN; PREPARE TRANSACTION 'x'",
            "two-phase transactions aren't supported in migrations",
            "PREPARE",
        ),
        (
            "BEGIN; SELECT 1; VACUUM t; COMMIT",
            "VACUUM can't run in a transaction, but it is between BEGIN and COMMIT",
            "VACUUM",
        ),
        (
            "BEGIN; CREATE INDEX CONCURRENTLY i ON t (a); COMMIT",
            "CREATE INDEX CONCURRENTLY can't run in a transaction, but it is between BEGIN and COMMIT",
            "CREATE",
        ),
    ],
)
def test_refused_transaction_control(text: str, message: str, at: str) -> None:
    with pytest.raises(TransactionControlError) as caught:
        split_steps(parse(text))
    assert (caught.value.message, caught.value.offset) == (message, text.index(at))


@pytest.mark.parametrize(
    ("text", "unclosed"),
    [
        ("SELECT 1; BEGIN; SELECT 2", [False, True]),
        ("BEGIN; SELECT 1; SELECT 2 INTO t", [True]),
        ("BEGIN; SELECT 1; COMMIT; START TRANSACTION; SELECT 2", [False, True]),
        ("BEGIN; SELECT 1; COMMIT; SELECT 2", [False, False]),
    ],
)
def test_unclosed_begin_keeps_its_statements_and_is_marked(text: str, unclosed: list[bool]) -> None:
    steps = split_steps(parse(text))
    assert [step.unclosed for step in steps] == unclosed
    assert sum(len(step.statements) for step in steps) == 2


END_ALONE = "{} without BEGIN only ends the step there; what is before it is committed"


@pytest.mark.parametrize(
    ("text", "sizes", "remarks"),
    [
        ("SELECT 1; COMMIT", [1], [(END_ALONE.format("COMMIT"), "COMMIT")]),
        ("SELECT 1; END; SELECT 2", [1, 1], [(END_ALONE.format("COMMIT"), "END")]),
        ("SELECT 1; ABORT; SELECT 2", [1, 1], [(END_ALONE.format("ROLLBACK"), "ABORT")]),
        ("COMMIT; SELECT 1", [1], [(END_ALONE.format("COMMIT"), "COMMIT")]),
        ("BEGIN; SELECT 1; COMMIT; COMMIT; SELECT 2", [1, 1], [(END_ALONE.format("COMMIT"), "COMMIT; SELECT")]),
        (
            "SELECT 1; BEGIN; SELECT 2; ROLLBACK; SELECT 3",
            [1, 1],
            [("ROLLBACK undoes everything since BEGIN, so none of it is run", "ROLLBACK")],
        ),
        (
            "BEGIN; SELECT 2; ROLLBACK",
            [0],
            [("ROLLBACK undoes everything since BEGIN, so none of it is run", "ROLLBACK")],
        ),
        ("ROLLBACK", [0], [(END_ALONE.format("ROLLBACK"), "ROLLBACK")]),
        ("BEGIN; BEGIN; SELECT 1; COMMIT", [1], [("BEGIN inside an open transaction has no effect", "BEGIN; SELECT")]),
    ],
)  # fmt: skip
def test_transaction_control_as_in_psql(text: str, sizes: list[int], remarks: list[tuple[str, str]]) -> None:
    steps = split_steps(parse(text))
    assert [len(step.statements) for step in steps] == sizes
    found = [(remark.message, remark.offset) for step in steps for remark in step.remarks]
    assert found == [(message, text.index(at)) for message, at in remarks]


UNDONE = [
    "SELECT nextval('s')", "SELECT f()", "SELECT 1 FROM a_view", "INSERT INTO t VALUES (1)", "UPDATE t SET a = 1", "DELETE FROM t",
    "MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE", "DO $$ BEGIN END $$", "CREATE TABLE u AS TABLE t", "TRUNCATE t",
    "ALTER TABLE t ADD b int DEFAULT nextval('s')", "EXPLAIN ANALYZE SELECT f()", "PREPARE p AS SELECT 1", "SELECT setval('s', 1)",
]  # fmt: skip
GONE = ["SELECT 1", "CREATE TABLE t (id serial, at timestamptz DEFAULT now())", "DROP TABLE t", "SET search_path = a",
        "CREATE VIEW v AS SELECT f() FROM t", "ALTER TABLE t ADD b int", "SAVEPOINT a; ROLLBACK TO a"]  # fmt: skip


@pytest.mark.parametrize("text", UNDONE)
def test_a_rolled_back_block_is_refused_if_something_may_remain(text: str) -> None:
    sql = f"BEGIN; SELECT 1; {text}; ROLLBACK"
    with pytest.raises(TransactionControlError, match="may leave what ROLLBACK doesn't undo") as caught:
        split_steps(parse(sql))
    assert caught.value.offset == sql.index(text)


@pytest.mark.parametrize("text", GONE)
def test_a_rolled_back_block_is_left_out_if_nothing_remains(text: str) -> None:
    assert [step.statements for step in split_steps(parse(f"BEGIN; {text}; ROLLBACK"))] == [()]


ALONE = "runs without the file's {}: the statement can only be sent alone"
AT_SET = "runs without the file's statement_timeout: PostgreSQL measures it from the request that sets it"
SET_ALL = "SET lock_timeout = 1; SET statement_timeout = 1; SET transaction_timeout = 1; "
COMMITTING = "DO $$ BEGIN COMMIT; END $$"


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        ("SET lock_timeout = 1; VACUUM t", ALONE.format("lock_timeout")),
        (SET_ALL + "VACUUM t", ALONE.format("lock_timeout and statement_timeout and transaction_timeout")),
        (SET_ALL + COMMITTING, AT_SET),
        (SET_ALL + "CALL p()", AT_SET),
        ("SET lock_timeout = 1; SET transaction_timeout = 1; " + COMMITTING, None),
        ("SET statement_timeout = 1; RESET statement_timeout; CALL p()", None),
        (SET_ALL + "SELECT 1", None),
    ],
)
def test_time_limits_that_do_not_hold_are_remarked(text: str, remark: str | None) -> None:
    last = split_steps(parse(text))[-1]
    assert [each.message for each in last.remarks] == ([remark] if remark else [])


def test_a_file_without_transaction_has_a_step_per_statement() -> None:
    text = "SELECT 1; BEGIN; SELECT 2; SAVEPOINT a; COMMIT; SAVEPOINT b; SELECT 3 INTO t; VACUUM t"
    steps = split_steps(parse(text), each_alone="NO TRANSACTION")
    assert [(u.execution_mode, [s.text for s in u.statements]) for u in steps] == [
        (ExecutionMode.BATCH, ["SELECT 1"]),
        (ExecutionMode.PLAIN, ["SELECT 2", "SAVEPOINT a"]),
        (ExecutionMode.PLAIN, ["SELECT 3 INTO t"]),
        (ExecutionMode.OUTSIDE_TRANSACTION, ["VACUUM t"]),
    ]
    assert [step.explicit for step in steps] == [False, True, False, False]
    assert {step.reason for step in steps if not step.explicit} == {"NO TRANSACTION"}


ADDED = "an enum value is added and then used, which needs a commit in between"


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("ALTER TYPE e ADD VALUE 'x'; INSERT INTO t VALUES ('x')", [1, 1]),
        ("SELECT 1; ALTER TYPE e ADD VALUE 'x'; ALTER TYPE e ADD VALUE 'y'; SELECT 'y'::e; SELECT 2", [3, 2]),
        ("ALTER TYPE e ADD VALUE 'it''s'; SELECT 'it''s'::e", [1, 1]),
        ("ALTER TYPE e ADD VALUE 'x'; SELECT 'other'", [2]),
        ("ALTER TYPE e ADD VALUE 'x'; INSERT INTO t VALUES ('(1,x)')", [1, 1]),
        ("ALTER TYPE e ADD VALUE 'x'; INSERT INTO t VALUES ('{a,x}')", [1, 1]),
        ("ALTER TYPE e ADD VALUE 'x'; SELECT 'a x b', '(xx)'", [2]),
        ("ALTER TYPE e ADD VALUE 'x'; CREATE TABLE t AS SELECT unnest(enum_range(null::e))", [1, 1]),
        (
            "CREATE FUNCTION f() RETURNS e LANGUAGE sql AS $$ SELECT 'x' $$; ALTER TYPE e ADD VALUE 'x'; SELECT f()",
            [2, 1],
        ),
        (
            "CREATE FUNCTION f() RETURNS e LANGUAGE sql AS $$ SELECT 'x' $$; ALTER TYPE e ADD VALUE 'x'; ALTER TABLE t ADD b int",
            [3],
        ),
        ("ALTER TYPE e ADD VALUE 'x'; SELECT xs FROM t", [2]),
        ("ALTER TYPE e ADD VALUE 'it''s'; SELECT $$it's$$::e", [1, 1]),
        (r"ALTER TYPE e ADD VALUE E'it\'s'; SELECT 'it''s'::e", [1, 1]),
        ("ALTER TYPE e ADD VALUE 'foobar'; INSERT INTO t VALUES ('foo' -- more\n 'bar')", [1, 1]),
        (r"ALTER TYPE e ADD VALUE 'x'; INSERT INTO t VALUES (E'\x78')", [1, 1]),
        (r"ALTER TYPE e ADD VALUE 'x'; INSERT INTO t VALUES (U&'\0078')", [1, 1]),
        ("ALTER TYPE e ADD VALUE 'x'; INSERT INTO t VALUES (U&'!0078' UESCAPE '!')", [1, 1]),
        ("ALTER TYPE e ADD VALUE 'x'; INSERT INTO t VALUES ($$x$$)", [1, 1]),
        ("ALTER TYPE e ADD VALUE 'it''s'; INSERT INTO t VALUES ('{a,it''s}')", [1, 1]),
        (r"ALTER TYPE e ADD VALUE 'x'; DO $$ BEGIN INSERT INTO t VALUES (E'\x78'); END $$", [1, 1]),
        ("ALTER TYPE e ADD VALUE 'x'; DO $$ BEGIN EXECUTE 'INSERT INTO t VALUES (''x'')'; END $$", [1, 1]),
        ("ALTER TYPE e ADD VALUE 'x'; DO $$ BEGIN INSERT INTO t SELECT a::E FROM s; END $$", [1, 1]),
        ("ALTER TYPE e ADD VALUE 'x'; DO $$ BEGIN UPDATE t SET x = 'y'; END $$", [2]),
        ("ALTER TYPE e ADD VALUE 'x' BEFORE 'a'; CREATE TABLE t AS SELECT enum_first(null::e)", [1, 1]),
        (r"""ALTER TYPE U&"\0065" ADD VALUE 'x'; SELECT CAST(a AS e) FROM t""", [1, 1]),
        (
            r"CREATE FUNCTION f() RETURNS e LANGUAGE sql AS $$ SELECT U&'\0078' $$; ALTER TYPE e ADD VALUE 'x'; SELECT f()",
            [2, 1],
        ),
        ("ALTER TYPE e ADD VALUE 'x'; SELECT a::e FROM t", [1, 1]),
        ('ALTER TYPE s."E" ADD VALUE \'x\'; SELECT CAST(a AS s."E"[]) FROM t', [1, 1]),
        ("ALTER TYPE e ADD VALUE 'x'; ALTER TABLE t ALTER a TYPE e USING a::text::e", [1, 1]),
        ("ALTER TYPE e ADD VALUE 'x'; ALTER TABLE t ALTER a TYPE e", [1, 1]),
        ("ALTER TYPE e ADD VALUE 'x'; ALTER TABLE t ADD a e DEFAULT 'a'::e", [2]),
        (
            "ALTER TYPE e ADD VALUE 'x'; CREATE FUNCTION f(text) RETURNS e LANGUAGE sql AS $$ SELECT $1::e $$; SELECT f(a) FROM t",
            [2, 1],
        ),
        ("CREATE TYPE e AS ENUM ('a'); ALTER TYPE e ADD VALUE 'x'; SELECT 'x'::e", [3]),
        ("BEGIN; ALTER TYPE e ADD VALUE 'x'; SELECT 'x'::e; COMMIT", [2]),
    ],
)
def test_enum_value_is_committed_before_it_is_used(text: str, sizes: list[int]) -> None:
    steps = split_steps(parse(text))
    assert [len(step.statements) for step in steps] == sizes
    assert [step.reason for step in steps[:-1]] == [ADDED] * (len(sizes) - 1)


@pytest.mark.parametrize(
    "use", ["SELECT f()", "INSERT INTO t VALUES ('(x)')", "SELECT enum_range(null::e)", "SELECT 'x'::e"]
)
def test_a_value_of_a_new_enum_is_used_in_a_plain_step(use: str) -> None:
    text = f"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1 WHERE 'x' = 'x' $$; CREATE TYPE e AS ENUM (); ALTER TYPE e ADD VALUE 'x'; {use}"
    [step] = split_steps(parse(text))
    assert step.execution_mode is ExecutionMode.PLAIN


OUTSIDE = [
    "CREATE INDEX CONCURRENTLY i ON t (a)",
    "DROP INDEX CONCURRENTLY i",
    "REINDEX TABLE CONCURRENTLY t",
    "REINDEX (CONCURRENTLY) INDEX i",
    "REINDEX SCHEMA s",
    "REINDEX DATABASE d",
    "ALTER TABLE t DETACH PARTITION p CONCURRENTLY",
    "VACUUM",
    "vacuum (full) t",
    "CLUSTER",
    "DISCARD ALL",
    "CREATE DATABASE d",
    "DROP DATABASE d",
    "ALTER SYSTEM SET a = 1",
    "DROP SUBSCRIPTION s",
    "CALL p()",
    "DO $$ BEGIN COMMIT; END $$",
    "DO $$ BEGIN IF true THEN ROLLBACK; END IF; END $$",
    "DO LANGUAGE plpython3u $$ plpy.commit() $$",
]
INSIDE = [
    "ANALYZE t",
    "analyze",
    "CREATE INDEX i ON t (a)",
    "REINDEX TABLE t",
    "ALTER TABLE t DETACH PARTITION p",
    "CLUSTER t",
    "DISCARD PLANS",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY v",
    "ALTER TYPE e ADD VALUE 'x'",
    "DO $$ BEGIN -- COMMIT comes later\n RAISE NOTICE 'no rollback'; END $$",
    "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$",
    "CREATE TABLE t AS SELECT 1",
    "SET lock_timeout = '1s'",
]


@pytest.mark.parametrize("text", OUTSIDE)
def test_statements_that_run_outside_a_transaction(text: str) -> None:
    steps = split_steps(parse(f"SELECT 1; {text}; SELECT 2"))
    assert [u.execution_mode for u in steps] == [
        ExecutionMode.BATCH,
        ExecutionMode.OUTSIDE_TRANSACTION,
        ExecutionMode.BATCH,
    ]
    assert steps[1].reason.endswith("can't run in a transaction")


@pytest.mark.parametrize("text", INSIDE)
def test_statements_that_run_inside_a_transaction(text: str) -> None:
    steps = split_steps(parse(f"SELECT 1; {text}; SELECT 2"))
    assert [(u.execution_mode, len(u.statements)) for u in steps] == [(ExecutionMode.BATCH, 3)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SELECT 1 INTO t", "SELECT INTO can't run inside a DO block"),
        ("WITH a AS (SELECT 1) SELECT * INTO t FROM a", "SELECT INTO can't run inside a DO block"),
        ("SELECT 1 INTO t UNION SELECT 2", "SELECT INTO can't run inside a DO block"),
        ("SAVEPOINT a; ROLLBACK TO a; RELEASE a", "savepoints can't be used inside a DO block"),
        ("SET TRANSACTION READ ONLY", "SET TRANSACTION can't run inside a DO block"),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
            "SET TRANSACTION can't run inside a DO block",
        ),
    ],
)
def test_statements_that_execute_does_not_accept(text: str, reason: str) -> None:
    [step] = split_steps(parse(f"{text}; SELECT 2"))
    assert (step.execution_mode, step.reason) == (ExecutionMode.PLAIN, reason)
