"""Hints for SQL of other databases: tests/cases/dialect has NAME.sql and NAME.expected (empty without a hint)."""

import subprocess
import sys
from pathlib import Path

import pytest

from mosaic_deploy.sql.dialect import dialect_hint, failing_statement
from mosaic_deploy.sql.parse import SqlSyntaxError, parse

CASES = sorted((Path(__file__).parents[1] / "cases" / "dialect").glob("*.sql"))


def failure(sql: str) -> int:
    with pytest.raises(SqlSyntaxError) as caught:
        parse(sql)
    assert caught.value.offset is not None
    return caught.value.offset


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_hints(case: Path) -> None:
    sql = case.read_text()
    hint = dialect_hint(sql, failure(sql))
    assert (hint or "") == case.with_suffix(".expected").read_text().removesuffix("\n")


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_translation_is_valid_postgresql(case: Path) -> None:
    sql = case.read_text()
    _, _, translation = (dialect_hint(sql, failure(sql)) or "").partition("\n")
    assert bool(translation) == bool(parse(translation))


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_windows_line_ends_give_the_same_hint(case: Path) -> None:
    sql = case.read_text()
    crlf = sql.replace("\n", "\r\n")
    assert dialect_hint(crlf, failure(crlf)) == dialect_hint(sql, failure(sql))


def test_only_the_failing_statement_is_examined() -> None:
    before, after = "CREATE TABLE a (x text DEFAULT ';');", "INSERT INTO b VALUES ('`');"
    failing = "CREATE TABLE `b` (c text DEFAULT ';')"
    sql = f"{before}\n{failing};\n{after}"
    assert failing_statement(sql, failure(sql)) == failing


def test_sqlglot_is_not_imported_for_a_typo() -> None:
    program = (
        "import sys; from mosaic_deploy.sql.dialect import dialect_hint; "
        "assert dialect_hint('CREATE TABEL t ()', 7) is None; assert 'sqlglot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
