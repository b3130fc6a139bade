"""Compiled SQL is valid whatever the migration contains, and marked failures are found in messages."""

import base64
import json
import re
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_deploy.sql.execution.batch import compile_batch
from mosaic_deploy.sql.execution.failure import Failure, parse_failure
from mosaic_deploy.sql.execution.outside_transaction import (
    compile_claim,
    compile_completion,
    compile_outside_transaction,
)
from mosaic_deploy.sql.execution.plain import compile_plain, guess_failed_statement, needs_plain
from mosaic_deploy.sql.execution.records import record_sql
from mosaic_deploy.sql.execution.split import ExecutionMode, StepSql, split_steps
from mosaic_deploy.sql.execution.step import SqlSession, StatementPosition, Step
from mosaic_deploy.sql.marker import MARKER
from mosaic_deploy.sql.parse import Statement, parse
from mosaic_deploy.sql.pg_parser.libpg_query import parse_plpgsql

ODD = [
    "$",
    "$$",
    "$mosaic_sql$",
    "$mosaic_batch$",
    "$mosaic_sql",
    "$mosaic_batch",
    "'",
    "\\",
    "é🎉",
    "\n",
    ";",
]
odd_texts = st.lists(st.sampled_from(ODD), max_size=6).map("".join)
names = odd_texts.map(lambda text: f"0001_{text}.sql")
endings = st.sampled_from(["", " -- the end", "\n-- $mosaic_sql", " /* $mosaic_batch$ */", " -- 'é"])


@st.composite
def statements(draw: st.DrawFn) -> str:
    """A statement with an arbitrary literal, ending in a comment."""
    text = draw(odd_texts)
    quoted = "'" + text.replace("'", "''") + "'"
    comment = draw(odd_texts).replace("\n", " ")
    return f"SELECT {quoted} AS a -- {comment}" if draw(st.booleans()) else f"SELECT {quoted}{draw(endings)}"


def step(sql: str, *, file: str = "0001_a.sql", number: int = 1, version: str = "1") -> Step:
    [step] = split_steps(parse(sql))
    return Step(
        version=version,
        file=file,
        checksum="c" * 64,
        semantic="s" * 64,
        semantic_before="b" * 64,
        source=sql,
        number=number,
        steps=number,
        sql=step,
    )


SESSION = SqlSession(token="t'oken\\", deploy_id="d'1")


def do_body(sql: str) -> str:
    """The body of a DO block, as PostgreSQL's parser reads it."""
    [statement] = parse(sql)
    assert statement.kind == "DoStmt"
    [option] = statement.node["args"]
    return option["DefElem"]["arg"]["String"]["sval"]


def executed(sql: str) -> list[str]:
    """The texts that a batch EXECUTEs, from the data in its DO block."""
    tree = json.dumps(parse_plpgsql(sql))
    assert tree.count('"PLpgSQL_stmt_foreach_a"') == 1
    quoted = re.search(r"(\$mosaic_steps\d*\$)(.*?)\1", do_body(sql), re.DOTALL)
    assert quoted
    return [text for one in json.loads(quoted.group(2)) for text in one["sql"]]


@given(st.lists(statements(), min_size=1, max_size=3), names, st.booleans())
def test_batch_is_one_do_block_that_executes_the_statements(
    written: list[str], file: str, commit: bool
) -> None:
    steps = [step(sql, file=file, version=str(n)) for n, sql in enumerate(written, 1)]
    batch = compile_batch(steps, SESSION, commit=commit)
    assert executed(batch) == [s.text for one in steps for s in one.sql.statements]
    assert ("PLpgSQL_stmt_commit" in json.dumps(parse_plpgsql(batch))) is commit


def executed_text(sql: str) -> str:
    """The text that the DO block around one statement of a plain call EXECUTEs."""
    assert json.dumps(parse_plpgsql(sql)).count('"PLpgSQL_stmt_dynexecute"') == 1
    quoted = re.search(r"EXECUTE (\$mosaic_sql\d*\$)(.*?)\1;\n", do_body(sql), re.DOTALL)
    assert quoted
    return quoted.group(2)


@given(st.lists(statements(), min_size=1, max_size=3), names)
def test_plain_call_has_the_statements_between_begin_and_commit(written: list[str], file: str) -> None:
    one = step("\n;".join(written), file=file)
    found = parse(compile_plain([one], SqlSession("t", "d", "5s", "1min")).text)
    kinds = [s.kind for s in found]
    assert kinds[:5] == ["TransactionStmt", "LockStmt", "DoStmt", *["VariableSetStmt"] * 2]
    assert kinds[-4:] == ["DoStmt", "InsertStmt", "DoStmt", "TransactionStmt"]
    texts = [executed_text(s.text) for s in found[5:-4]]
    assert texts == [*(s.text for s in one.sql.statements), "SET CONSTRAINTS ALL IMMEDIATE"]
    set_first = [s.node["name"] for s in found[3:5]]
    assert set_first == ["lock_timeout", "statement_timeout"]


def test_set_transaction_comes_before_the_guard() -> None:
    one = step("SET TRANSACTION DEFERRABLE; SELECT 1; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
    sent = parse(compile_plain([one], SESSION).text)
    assert [s.kind for s in sent] == [
        "TransactionStmt",
        "LockStmt",
        "VariableSetStmt",
        "DoStmt",
        "DoStmt",
        "VariableSetStmt",
        "DoStmt",
        "DoStmt",
        "InsertStmt",
        "DoStmt",
        "TransactionStmt",
    ]
    assert executed_text(sent[4].text) == "SELECT 1"


def test_a_transaction_is_read_only_until_its_record_is_written() -> None:
    one = step("SET TRANSACTION ISOLATION LEVEL serializable, READ ONLY, NOT DEFERRABLE; SELECT 1")
    sent = [s.text for s in parse(compile_plain([one], SESSION).text)]
    assert sent[2] == "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, NOT DEFERRABLE"
    assert sent[4:6] == ["SAVEPOINT mosaic_read_only", "SET TRANSACTION READ ONLY"]
    assert sent[7] == "RELEASE SAVEPOINT mosaic_read_only"
    assert sent[-3].startswith("INSERT")


@given(st.lists(odd_texts, min_size=1, max_size=3), st.integers(0, 2))
def test_position_in_a_plain_call_maps_to_its_statement(written: list[str], which: int) -> None:
    """PostgreSQL counts characters of the sent text; users need those of their file."""
    texts = [f'SAVEPOINT "é{text}"' for text in written]
    steps = [step(sql, version=str(n)) for n, sql in enumerate(texts, 1)]
    wanted = steps[which % len(steps)]
    compiled = compile_plain(steps, SESSION)
    sent = [s for s in parse(compiled.text) if s.node.get("kind") == "TRANS_STMT_SAVEPOINT"]
    found = compiled.position_of(sent[which % len(steps)].offset + 7 + 1)
    assert found is not None
    assert (found.step, found.statement, found.offset) == (wanted, 1, 7)
    assert compiled.position_of(None) is compiled.position_of(1) is None


BARE = "SET TRANSACTION READ ONLY; SAVEPOINT s; SELECT 1 INTO a FROM x; SELECT 2 INTO b FROM y; RELEASE s"


@pytest.mark.parametrize(
    ("sqlstate", "message", "number"),
    [
        ("22012", "division by zero", None),
        ("42P07", 'relation "b" already exists', 4),
        ("42P01", 'relation "x" does not exist', 3),
        ("42501", "permission denied for table x", None),
        ("3B001", 'savepoint "s" does not exist', None),
        ("40001", "could not serialize access", None),
        (None, "out of memory", None),
    ],
)  # fmt: skip
def test_guess_failed_statement(sqlstate, message, number) -> None:
    one = step(BARE)
    places = [StatementPosition(one, n, 0) for n in range(1, 6)]
    found = guess_failed_statement(places, sqlstate, message)
    assert (found and found.statement) == number
    [only] = [guess_failed_statement(places[2:3], "22012", "division by zero")]
    assert only == places[2]


@given(names, odd_texts, odd_texts)
def test_record_is_one_insert_with_the_source(file: str, token: str, source: str) -> None:
    one = step("SELECT 1", file=file)
    one = replace(one, source=source)
    [statement] = parse(record_sql(one, SqlSession(token, token)))
    assert statement.kind == "InsertStmt"
    packed = re.search(r"decode\('([^']*)', 'base64'\)", statement.text)
    assert packed
    assert zlib.decompress(base64.b64decode(packed.group(1))).decode() == source
    constants = re.findall(r'"sval": ("(?:[^"\\]|\\.)*")', json.dumps(statement.tree))
    assert {file, token} <= {json.loads(text) for text in constants} | {""}


@given(odd_texts)
def test_claim_parses_with_any_token(token: str) -> None:
    guard = compile_claim(step("VACUUM"), SqlSession(token, "d"))
    assert "RAISE EXCEPTION" in do_body(guard)
    assert parse_plpgsql(guard)


def test_statement_outside_a_transaction_is_sent_unchanged() -> None:
    assert compile_outside_transaction(step("-- before\nVACUUM t -- after\n;")) == "VACUUM t -- after"


def test_index_completion_checks_the_index() -> None:
    ended = compile_completion(step('CREATE INDEX CONCURRENTLY "I x" ON s.t (n)'), SESSION)
    assert 'to_regclass(\'"s"."I x"\')' in do_body(ended)
    assert parse_plpgsql(ended)
    unnamed = compile_completion(step("CREATE INDEX CONCURRENTLY ON t (n)"), SESSION)
    assert "to_regclass" not in do_body(unnamed)
    assert "INSERT INTO mosaic_deploy.migrations" in do_body(unnamed)


def test_empty_step_still_records_its_row() -> None:
    empty = replace(step("SELECT 1"), sql=StepSql((), ExecutionMode.BATCH))
    batch = compile_batch([empty], SESSION)
    assert executed(batch) == []
    assert "INSERT INTO mosaic_deploy.migrations" in do_body(batch)


def test_steps_with_a_statement_timeout_are_sent_plain() -> None:
    [step] = split_steps(parse("SELECT 1"))
    [into] = split_steps(parse("SELECT 1 INTO t"))
    timed, untimed = SqlSession("t", "d", statement_timeout="1s"), SqlSession("t", "d", lock_timeout="1s")
    assert [needs_plain(step, untimed), needs_plain(step, timed), needs_plain(into, untimed)] == [
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(
    "compiled", [compile_batch([step("SELECT 1")], SESSION), compile_claim(step("VACUUM"), SESSION)]
)
def test_echoed_query_is_no_failure(compiled: str) -> None:
    """Some platforms put the whole query into their error; it must not match our marker."""
    assert MARKER not in compiled
    assert parse_failure(f"deadlock detected [SQL: {compiled}]") is None


FACTS = {
    "code": "statement_failed",
    "version": "7",
    "step": 1,
    "statement": 2,
    "sqlstate": "42P01",
    "message": 'é "x" }{',
}
MARKED = MARKER + json.dumps(FACTS)


@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "ERROR:  {}\nCONTEXT:  PL/pgSQL function inline_code_block line 12 at RAISE\n",
        "(psycopg.errors.UndefinedTable) {}\n[SQL: DO $$ BEGIN x := '{{}}'; END $$]",
        "mosaic-deploy: {{}} then mosaic-deploy:{{broken then {} and mosaic-deploy:{{}}",
        'mosaic-deploy:{{"code": "x"}} {}',
        'mosaic-deploy:{{"code": "x", "version": "1", "step": 1, "other": 1}} {}',
    ],
)
def test_marked_failures_are_found_in_other_text(around: str) -> None:
    assert parse_failure(around.format(MARKED)) == Failure(**FACTS)


@pytest.mark.parametrize(
    "text", ["", "no mark", MARKER, MARKER + "{}", MARKER + "{", MARKER + "[]", MARKED[:-4]]
)
def test_unmarked_text_is_no_failure(text: str) -> None:
    assert parse_failure(text) is None


def test_statements_compare_by_text_and_offset() -> None:
    assert parse("SELECT 1") == [Statement("SELECT 1", 0, {})]
