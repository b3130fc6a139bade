"""PostgreSQL's own regression SQL: what its parser accepts is accepted byte for byte, what it refuses has its place.

libpg_query is asked a second time, through another binding (`postgast`), and places are computed from its bytes.
"""

from __future__ import annotations

import re
from pathlib import Path

import postgast
import pytest

from mosaic_deploy.errors import MigrationInvalid
from mosaic_deploy.source.migrations.files import parse_migrations
from mosaic_deploy.source.migrations.listing import read_migrations
from mosaic_deploy.sql.parse import SqlSyntaxError, parse, semantic_checksum, split_large
from tests.corpora.conftest import FOLDER
from tests.sampling import sampled

FILES = sorted((FOLDER / "pg-regress-squawk").glob("*.sql"))
pytestmark = pytest.mark.skipif(not FILES, reason="the corpora are not beside the repository")


def refusal(sql: str) -> postgast.PgQueryError | None:
    try:
        postgast.split(sql)
    except postgast.PgQueryError as error:
        return error
    return None


def read(file: Path) -> str:
    return file.read_bytes().decode("utf-8-sig")


TEXTS = {file.stem: read(file) for file in FILES}
ACCEPTED = [name for name, text in TEXTS.items() if refusal(text) is None]
REFUSED = [name for name in TEXTS if name not in ACCEPTED]


def places(sql: str) -> list[tuple[int, int]]:
    """Where libpg_query says the statements are, in bytes, white space and comments before them included."""
    found = []
    encoded = sql.encode()
    for raw in postgast.parse(sql).stmts:
        end = raw.stmt_location + raw.stmt_len if raw.stmt_len else len(encoded)
        found.append((raw.stmt_location, end))
    return found


def only_trivia(text: str) -> bool:
    """Whether libpg_query finds no statement in `text`."""
    return postgast.split(text) == []


@pytest.mark.parametrize("name", ACCEPTED)
def test_statements_are_libpg_querys(name: str) -> None:
    text = TEXTS[name]
    encoded, found, expected = text.encode(), parse(text), places(text)
    assert len(found) == len(expected)
    end = 0
    for statement, (first, last) in zip(found, expected, strict=True):
        assert text.startswith(statement.text, statement.offset)
        raw = encoded[first:last].decode()
        assert raw.rstrip(" \t\r\n\f\v").endswith(statement.text)
        assert only_trivia(raw[: raw.rindex(statement.text)])
        begins = len(text[: statement.offset].encode())
        assert first <= begins < last
        assert only_trivia(text[end : statement.offset])
        end = statement.offset + len(statement.text)
    assert only_trivia(text[end:])


@pytest.mark.parametrize("name", sampled(ACCEPTED, 3))
def test_every_statement_parses_alone_to_the_same_tree(name: str) -> None:
    for statement in parse(TEXTS[name]):
        alone = parse(statement.text)
        assert [(s.offset, s.text) for s in alone] == [(0, statement.text)]
        assert semantic_checksum(alone) == semantic_checksum([statement])


@pytest.mark.parametrize("name", sampled(ACCEPTED, 3))
def test_windows_line_ends_and_a_byte_order_mark_change_nothing(name: str, tmp_path: Path) -> None:
    unix = TEXTS[name].replace("\r\n", "\n")
    dos = unix.replace("\n", "\r\n")
    found = parse(dos)
    assert [s.text.replace("\r\n", "\n") for s in found] == [s.text for s in parse(unix)]
    assert all(dos.startswith(s.text, s.offset) for s in found)
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "1_a.sql").write_bytes(b"\xef\xbb\xbf" + dos.encode())
    [file] = read_migrations(tmp_path, "sql")
    assert file.text == unix


@pytest.mark.parametrize("name", sampled(ACCEPTED, 3))
@pytest.mark.parametrize("piece", [100, 5_000])
def test_pieces_of_a_large_file_are_cut_between_statements(name: str, piece: int) -> None:
    text = TEXTS[name]
    assert list(split_large(text, piece)) == [(s.text, s.offset) for s in parse(text)]


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_file_is_told_with_its_place(name: str, tmp_path: Path) -> None:
    text = TEXTS[name]
    error = refusal(text)
    assert error is not None
    offset = error.cursorpos - 1
    with pytest.raises(SqlSyntaxError) as caught:
        parse(text)
    assert caught.value.offset == offset
    near = re.search(r'at or near "(.*?)"?$', str(error.message).partition("\n")[0])
    assert near is None or text.startswith(near.group(1), offset)
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / f"1_{name}.sql").write_bytes(text.encode())
    with pytest.raises(MigrationInvalid) as refused:
        parse_migrations(read_migrations(tmp_path, "sql"))
    [problem] = refused.value.problems
    where = problem.location
    # Rows after a COPY … FROM stdin are read before PostgreSQL's parser sees the file.
    if not any(words in problem.message for words in ("psql", "this row", "end-of-copy marker")):
        lines = text[:offset].split("\n")
        assert (where.line, where.column) == (len(lines), len(lines[-1]) + 1)
    assert where.file == f"sql/1_{name}.sql"
    assert where.line is not None
    assert where.text == text.split("\n")[where.line - 1].rstrip("\r")


def test_there_are_files_of_both_kinds() -> None:
    assert len(ACCEPTED) > 150
    assert len(REFUSED) > 20
