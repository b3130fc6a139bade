"""Large files: parsed in chunks, with the same statements and errors as when parsed as a whole."""

import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_deploy.sql import parse as parsing
from mosaic_deploy.sql.execution.split import ExecutionMode, split_steps
from mosaic_deploy.sql.parse import (
    LARGE_TEXT,
    SqlSyntaxError,
    Statement,
    parse,
    semantic_checksum,
    split_large,
)

ATOMIC = "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1;\nSELECT 2;\nEND"
POOL = [
    "SELECT 1",
    "SELECT 'é;\n;\n'",
    "SELECT 'a' -- ;\n || 'b'",
    "SELECT $t$;\n$t$",
    'SELECT "ů;\n"',
    "DO $$ BEGIN NULL;\n END;\n$$",
    ATOMIC,
    "CREATE RULE r AS ON INSERT TO t DO (SELECT 1;\n SELECT 2;\n)",
    "SELECT E'\\';\n'",
    "COMMIT",
]
TRIVIA = ["", " ", "\n", "\r\n", ";\n", "-- é; x;\n", "/* ;\n /* 🎉;\n */ ;\n */", "--;\r\n"]
trivia = st.lists(st.sampled_from(TRIVIA), max_size=3).map("".join)
texts = st.lists(st.tuples(trivia, st.sampled_from(POOL), trivia), max_size=8).map(
    lambda parts: "".join(f"{before}{statement}{after}\n;\n" for before, statement, after in parts)
)


def whole(sql: str) -> list[tuple[str, int]]:
    return [(s.text, s.offset) for s in parse(sql)]


@given(texts, st.integers(1, 60))
def test_chunks_have_the_same_statements(sql: str, chunk: int) -> None:
    assert list(split_large(sql, chunk)) == whole(sql)


@given(
    texts,
    st.integers(1, 60),
    st.sampled_from(["SELEC 1;\n", "SELECT 'é", "/* ", "$a$", "SELECT (;\n", ");\n"]),
    texts,
)
def test_chunks_have_the_same_errors(sql: str, chunk: int, wrong: str, more: str) -> None:
    text = sql + wrong + more
    try:
        expected = whole(text)
    except SqlSyntaxError as problem:
        with pytest.raises(SqlSyntaxError) as caught:
            list(split_large(text, chunk))
        assert (caught.value.message, caught.value.offset) == (problem.message, problem.offset)
    else:
        assert list(split_large(text, chunk)) == expected


def lines(count: int) -> str:
    return "".join(f"insert into t (a, b) values ({n}, 'né {n}');\n" for n in range(count))


def test_large_file_keeps_no_trees() -> None:
    text = f"create table t (a int, b text);\n{lines(40_000)}select a into u from t;\nvacuum t;\n"
    assert len(text) > LARGE_TEXT
    found = parse(text)
    assert [s.offset for s in found] == [m.start() for m in re.finditer(r"^\w", text, re.MULTILINE)]
    assert all(s.parsed is None for s in found)
    assert (found[0].kind, found[1].kind, found[-1].kind) == ("CreateStmt", "InsertStmt", "VacuumStmt")
    assert found[1].node["relation"]["relname"] == "t"
    steps = split_steps(found)
    assert [(u.execution_mode, len(u.statements)) for u in steps] == [
        (ExecutionMode.PLAIN, 40_002),
        (ExecutionMode.OUTSIDE_TRANSACTION, 1),
    ]


def test_semantic_checksum_of_a_large_file() -> None:
    text = lines(30_000)
    commented = text.replace("\n", "\n-- more\n\n", 1)
    assert semantic_checksum(parse(text)) == semantic_checksum(parse(commented))
    assert semantic_checksum(parse(text)) != semantic_checksum(parse(text.replace("né 7'", "ne 7'")))
    assert semantic_checksum(parse(text)) != semantic_checksum(parse(text)[:-1])


def test_inserts_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = parse(lines(30_000))
    monkeypatch.setattr(parsing, "_parse_single_tree", lambda _: pytest.fail("a tree was built"))
    assert len(split_steps(found)) == 1
    assert semantic_checksum(found)


@pytest.mark.parametrize(
    "word", ["insert into t default values", "UPDATE t SET a = 1", "delete from t", "Select 1"]
)
def test_kind_from_the_first_word(word: str) -> None:
    assert Statement(word, 0).kind == parse(word)[0].kind


def test_error_in_a_large_file_has_an_offset() -> None:
    text = lines(40_000)
    wrong = text[:900_000] + text[900_000:].replace("values (", "valuez (", 1)
    with pytest.raises(SqlSyntaxError) as caught:
        parse(wrong)
    assert caught.value.offset == wrong.index("valuez") + len("valuez ") or (
        wrong[caught.value.offset or 0 :].startswith("valuez")
    )


def test_parsing_imports_no_heavy_modules() -> None:
    program = (
        "import sys; from mosaic_deploy.sql.parse import parse; parse('SELECT 1'); "
        "assert not {'postgast', 'google.protobuf', 'sqlglot'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
