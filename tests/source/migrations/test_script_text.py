"""Large files, whose rows stay on disk: the same checksums, places and errors as for a file that is read whole."""

from __future__ import annotations

import random

import pytest

from mosaic_deploy.errors import MigrationInvalid, SourceChanged
from mosaic_deploy.source.migrations import script_text
from mosaic_deploy.source.migrations.files import ParsedFile, parse_migrations
from mosaic_deploy.source.migrations.listing import read_migrations

ROWS = "".join(f"{n}\t{'é' * (n % 9)}\n" for n in range(20_000))
COPY = f"COPY t (a, b) FROM stdin;\n{ROWS}\\.\n"
HEAD, TAIL = "-- ünï\nCREATE TABLE t (a int, b text);\n", "SELECT 'after';\n"
WHOLE = HEAD + COPY + TAIL


def read(tmp_path, content: str | bytes) -> ParsedFile:
    (tmp_path / "sql").mkdir(exist_ok=True)
    (tmp_path / "sql/1_a.sql").write_bytes(content if isinstance(content, bytes) else content.encode())
    [parsed] = parse_migrations(read_migrations(tmp_path, "sql"))
    return parsed


@pytest.fixture
def large(monkeypatch):
    monkeypatch.setattr(script_text, "LARGE_FILE", 1000)


CONTENTS = {
    "rows": (WHOLE, True),
    "lower case": (WHOLE.replace("COPY t", "copy t"), True),
    "two tables": (WHOLE + COPY + TAIL, True),
    "few rows": (HEAD + "COPY t (a, b) FROM stdin;\n1\tx\n\\.\n" + TAIL * 100, False),
    "no rows": (HEAD + TAIL * 100, False),
    "in a goose section": (f"-- +goose Up\n{WHOLE}-- +goose Down\n{COPY}{TAIL}", True),
    "carriage returns": (WHOLE.replace("\n", "\r\n"), False),
    "a byte order mark": ("\ufeff" + WHOLE, False),
    "without an end": (HEAD + COPY.removesuffix("\\.\n"), False),
    "in a comment": (f"/*\n{COPY}*/\n{TAIL}", False),
    "in a string": (f"SELECT '\n{COPY}';\n{TAIL}", False),
    "in a dollar quote": (f"SELECT $$\n{COPY}$$;\n{TAIL}", False),
    "after an unfinished statement": (f"{HEAD}SELECT 1\n;{COPY}{TAIL}", False),
}


@pytest.mark.parametrize(("content", "stays"), CONTENTS.values(), ids=CONTENTS)
def test_a_large_file_is_read_like_any_other(content, stays, tmp_path, monkeypatch) -> None:
    whole = read(tmp_path, content)
    monkeypatch.setattr(script_text, "LARGE_FILE", 1000)
    parsed = read(tmp_path, content)
    assert bool(parsed.file.outside) == stays
    assert parsed.file.migration == whole.file.migration
    assert parsed.prefix_checksums == whole.prefix_checksums
    assert parsed.recorded_text == whole.recorded_text
    assert parsed.file.size == whole.file.size
    assert texts(parsed) == texts(whole)


@pytest.mark.parametrize("size", [1, 10_000_000])
def test_line_ends_of_a_dump(size, tmp_path, monkeypatch) -> None:
    """pg_dump writes CRLF as it is in values; a checkout has it at all lines."""
    monkeypatch.setattr(script_text, "LARGE_FILE", size)
    dump = "--\n-- PostgreSQL database dump\n--\nINSERT INTO t VALUES ('a\r\nb');\n"
    assert texts(read(tmp_path, dump)) == ["INSERT INTO t VALUES ('a\r\nb')"]
    checkout = dump.replace("\r\n", "\n").replace("\n", "\r\n")
    assert texts(read(tmp_path, checkout)) == ["INSERT INTO t VALUES ('a\nb')"]


def texts(parsed: ParsedFile) -> list[str]:
    return [statement.text for step in parsed.steps for statement in step.statements]


def test_characters_that_are_not_utf8_have_their_place(large, tmp_path) -> None:
    content = WHOLE.encode()
    for at in (content.index(b"19000\t") + 5, 3, len(content) - 3):
        with pytest.raises(MigrationInvalid, match="isn't UTF-8") as caught:
            read(tmp_path, content[:at] + b"\xff" + content[at + 1 :])
        [problem] = caught.value.problems
        assert problem.location.line == content.count(b"\n", 0, at) + 1


def test_a_mistake_in_a_row_has_its_line_and_text(large, tmp_path) -> None:
    with pytest.raises(MigrationInvalid) as caught:
        read(tmp_path, WHOLE.replace("\n15000\t", "\n15000\ttoo\tmany\t"))
    [problem] = caught.value.problems
    assert (problem.location.line, problem.location.text[:15]) == (15_004, "15000\ttoo\tmany\t")


@pytest.mark.parametrize("change", ["edited", "shorter", "not UTF-8", "deleted", "replaced"])
def test_a_file_that_changes_is_not_applied(change, large, tmp_path) -> None:
    parsed = read(tmp_path, WHOLE)
    path = tmp_path / "sql/1_a.sql"
    content = path.read_bytes()
    at = content.index(b"10000\t")
    changes = {
        "edited": content[:at] + b"9" + content[at + 1 :],
        "shorter": content[:at],
        "not UTF-8": content[:at] + b"\xff" + content[at + 1 :],
        "replaced": random.Random(1).randbytes(len(content)),
    }
    path.unlink()
    if change in changes:
        path.write_bytes(changes[change])
    with pytest.raises(SourceChanged, match=r"sql/1_a\.sql changed"):
        texts(parsed)
    with pytest.raises(SourceChanged):
        parse_migrations([parsed.file])
