"""Migration files: names and order, sections and directives, and located errors.

Each tests/cases/sql_errors/NAME.sql (any bytes) has a NAME.expected with the errors reported for it.
"""

import os
from pathlib import Path

import pytest

from mosaic_deploy.errors import ManifestInvalid, MigrationInvalid, Problem, SourceRefused, SourceUnreadable
from mosaic_deploy.model.manifest import DatabaseSpec, Manifest
from mosaic_deploy.source.migrations.files import (
    ParsedFile,
    parse_migrations,
    statement_location,
)
from mosaic_deploy.source.migrations.listing import folder_notes, read_migrations
from mosaic_deploy.source.migrations.seeds import parse_seeds, read_seeds
from mosaic_deploy.sql.execution.split import ExecutionMode

CASES = sorted((Path(__file__).parents[2] / "cases" / "sql_errors").glob("*.sql"))


def write(root: Path, **files: str | bytes) -> Path:
    folder = root / "migrations"
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def manifest_with_seeds(root: Path, *seeds: str) -> Manifest:
    return Manifest(root / "mosaic.yaml", database=DatabaseSpec(seeds=seeds))


def names(root: Path) -> list[tuple[str, str]]:
    return [(f.migration.version, f.migration.file) for f in read_migrations(root, "migrations")]


def problems_of(root: Path) -> list[str]:
    with pytest.raises(MigrationInvalid) as caught:
        parse_migrations(read_migrations(root, "migrations"))
    return [str(problem) for problem in caught.value.problems]


def parsed(root: Path, text: str | bytes) -> ParsedFile:
    [file] = parse_migrations(read_migrations(write(root, **{"1_a.sql": text}), "migrations"))
    return file


def shown(problem: Problem) -> str:
    """The problem in the format of the case files: message, line, and a caret."""
    where = problem.location
    lines = [str(problem)]
    if where.text is not None and where.column is not None:
        lines += [f"  {where.text}", "  " + " " * (where.column - 1) + "^"]
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_errors(case: Path, tmp_path: Path) -> None:
    write(tmp_path, **{"0001_case.sql": case.read_bytes()})
    with pytest.raises(MigrationInvalid) as caught:
        parse_migrations(read_migrations(tmp_path, "migrations"))
    assert "".join(map(shown, caught.value.problems)) == case.with_suffix(".expected").read_text()


def test_there_are_cases() -> None:
    assert len(CASES) >= 10


def test_versions_compare_as_numbers(tmp_path: Path) -> None:
    files = ["10_b.sql", "9_a.sql", "0002_z.sql", "20261123120000_c.SQL", "000_first.sql", "11-dash.sql"]
    write(tmp_path, **dict.fromkeys(files, ""))
    assert names(tmp_path) == [
        ("0", "000_first.sql"),
        ("2", "0002_z.sql"),
        ("9", "9_a.sql"),
        ("10", "10_b.sql"),
        ("11", "11-dash.sql"),
        ("20261123120000", "20261123120000_c.SQL"),
    ]


def test_other_files_are_ignored(tmp_path: Path) -> None:
    others = ["README.md", ".hidden.sql", "0001_a.down.sql", "0001_A.DOWN.SQL", "schema.rb"]
    write(tmp_path, **dict.fromkeys([*others, "0001_a.sql"], ""))
    (tmp_path / "migrations" / "0002_folder.sql").mkdir()
    assert names(tmp_path) == [("1", "0001_a.sql")]


def test_every_misnamed_file_is_reported(tmp_path: Path) -> None:
    bad = ["create.sql", "v1_a.sql", "٣_arabic.sql"]
    write(tmp_path, **dict.fromkeys([*bad, "1_fine.sql"], ""))
    hint = "name it like 0001_create_users.sql or 20261123120000_create_users.sql"
    message = "the name doesn't start with a version number"
    assert problems_of(tmp_path) == [f"migrations/{name}: {message}; {hint}" for name in sorted(bad)]


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("0004 space.sql", "0004_space.sql"),
        ("1a.sql", "1_a.sql"),
        ("12.add email (again).SQL", "12_add_email_again.sql"),
    ],
)
def test_a_missing_separator_is_reported_with_a_better_name(tmp_path: Path, name: str, better: str) -> None:
    write(tmp_path, **{name: ""})
    [problem] = problems_of(tmp_path)
    number = better.partition("_")[0]
    assert problem == (
        f"migrations/{name}: missing _ or - after the version number {number}; rename it to {better}"
    )


def test_a_number_too_long_is_reported(tmp_path: Path) -> None:
    write(tmp_path, **{"1234567890123456789_long.sql": ""})
    [problem] = problems_of(tmp_path)
    assert "the version number has more than 18 digits" in problem


@pytest.mark.parametrize(
    ("texts", "title"),
    [
        (["select 1 +;"], "SQL syntax error in 1 migration"),
        (
            ["drop schema mosaic_deploy cascade;", "\\connect other"],
            "2 migrations can't be applied as written",
        ),
        (
            ["drop schema mosaic_deploy cascade;", "selec 1;", "\\connect other", "selec 2;"],
            "SQL syntax error in 2 migrations; 2 migrations can't be applied as written",
        ),
    ],
)
def test_only_syntax_errors_are_called_so(tmp_path: Path, texts: list[str], title: str) -> None:
    write(tmp_path, **{f"{number}_m.sql": text for number, text in enumerate(texts, 1)})
    with pytest.raises(MigrationInvalid) as caught:
        parse_migrations(read_migrations(tmp_path, "migrations"))
    assert caught.value.message == title


def test_seeds_cannot_change_the_tracking_tables(tmp_path: Path) -> None:
    (tmp_path / "seed.sql").write_text("insert into t values (1);\nDELETE FROM mosaic_deploy.migrations;")
    with pytest.raises(MigrationInvalid) as caught:
        parse_seeds(read_seeds(manifest_with_seeds(tmp_path, "seed.sql")))
    assert caught.value.message == "1 seed can't be applied as written"
    [problem] = caught.value.problems
    assert (str(problem.location), "changes schema mosaic_deploy" in problem.message) == (
        "seed.sql:2:1",
        True,
    )


def test_a_seed_must_be_a_sql_file(tmp_path: Path) -> None:
    (tmp_path / "seed.csv").touch()
    with pytest.raises(ManifestInvalid) as caught:
        read_seeds(manifest_with_seeds(tmp_path, "seed.csv"))
    [problem] = caught.value.problems
    assert str(problem) == "mosaic.yaml: database.seeds[0]: seed.csv isn't a .sql file"


def test_equal_numbers_are_ordered_by_name_and_told_apart(tmp_path: Path) -> None:
    write(tmp_path, **dict.fromkeys(["1_a.sql", "0001_b.sql", "01_c.sql", "2.sql"], ""))
    assert names(tmp_path) == [
        ("1/0001_b", "0001_b.sql"),
        ("1/01_c", "01_c.sql"),
        ("1/1_a", "1_a.sql"),
        ("2", "2.sql"),
    ]


def test_files_whose_names_differ_only_in_marks_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path, **dict.fromkeys(["1_a b.sql", "1_a+b.sql", "1_a_b.sql", "1_a  b.sql"], ""))
    versions = {one.migration.version for one in read_migrations(tmp_path, "migrations")}
    assert versions == {"1/1_a%20b", "1/1_a%2Bb", "1/1_a_b", "1/1_a%20%20b"}


def test_errors_of_several_files_are_reported_together(tmp_path: Path) -> None:
    write(tmp_path, **{"1_a.sql": "SELEC 1", "2_b.sql": "SELECT 1", "3_c.sql": "PREPARE TRANSACTION 'x'"})
    assert problems_of(tmp_path) == [
        'migrations/1_a.sql:1:1 syntax error at or near "SELEC"',
        "migrations/3_c.sql:1:1 two-phase transactions aren't supported in migrations",
    ]


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match="migrations folder can't be read"):
        read_migrations(tmp_path, "migrations")


def test_links(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    root = write(tmp_path / "project")
    (root / "shared.sql").write_text("SELECT 1")
    folder = root / "migrations"
    (folder / "1_inside.sql").symlink_to("../shared.sql")
    assert names(root) == [("1", "1_inside.sql")]
    (folder / "2_lost.sql").symlink_to("nowhere.sql")
    with pytest.raises(SourceUnreadable, match=r"2_lost\.sql"):
        read_migrations(root, "migrations")
    (tmp_path / "outside.sql").write_text("SELECT 1")
    (folder / "3_outside.sql").symlink_to(tmp_path / "outside.sql")
    with pytest.raises(SourceRefused) as caught:
        read_migrations(root, "migrations")
    problem, lost = caught.value.problems
    assert (lost.location.file, lost.code) == ("migrations/2_lost.sql", "source_unreadable")
    expected = "links out of the project folder, or to a file that isn't .sql; copy the file"
    assert str(problem) == f"migrations/3_outside.sql: {expected}"


def test_a_link_to_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    """Its first line would be shown as a syntax error."""
    root = write(tmp_path)
    (root / ".env").write_text("STRIPE=sk_live_4242")
    (root / "migrations/1_a.sql").symlink_to("../.env")
    with pytest.raises(SourceRefused) as caught:
        read_migrations(root, "migrations")
    assert "sk_live" not in str(caught.value.problems)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_reported(tmp_path: Path) -> None:
    (write(tmp_path, **{"1_a.sql": ""}) / "migrations" / "1_a.sql").chmod(0)
    with pytest.raises(SourceUnreadable, match=r"migrations/1_a\.sql can't be read: Permission denied"):
        read_migrations(tmp_path, "migrations")


@pytest.mark.parametrize("text", ["", "-- nothing\n", "\ufeff", "/* */;;", b"\r\n"])
def test_files_without_statements_are_fine(tmp_path: Path, text: str | bytes) -> None:
    assert parsed(tmp_path, text).steps == ()


def test_checksums_of_bytes_and_of_statements(tmp_path: Path) -> None:
    unix, dos = parsed(tmp_path, "SELECT\n1;"), parsed(tmp_path, b"\xef\xbb\xbfSELECT\r\n1;\r\n")
    assert unix.semantic == dos.semantic
    assert unix.file.migration.checksum != dos.file.migration.checksum


@pytest.mark.parametrize(
    ("directive", "shown"),
    {
        "-- mosaic: transaction=false": "transaction=false",
        "--mosaic:transaction=false": "transaction=false",
        "  -- mosaic: transaction = false  ": "transaction = false",
        "-- mosaic: transaction: false": "transaction: false",
        "-- mosaic: Transaction=FALSE\r": "Transaction=FALSE",
        "-- migrate:up transaction:false": "transaction:false",
        "-- migrate:up transaction: false\r": "transaction: false",
        "-- no-transaction": "-- no-transaction",
        "--! no-transaction": "--! no-transaction",
        "--! Previous: -\n--! no-transaction\n": "--! no-transaction",
        "-- +goose NO TRANSACTION\n-- +goose Up": "NO TRANSACTION",
        "-- +migrate Up notransaction": "notransaction",
        "---- tern: disable-tx ----": "disable-tx",
    }.items(),
)
def test_a_step_per_statement_names_what_the_file_says(tmp_path: Path, directive: str, shown: str) -> None:
    one = parsed(tmp_path, f"{directive}\nSELECT 1;\nSELECT 2;\n")
    assert [(len(u.statements), u.reason) for u in one.steps] == [(1, shown)] * 2


@pytest.mark.parametrize(
    "text",
    [
        "-- transaction=false\nSELECT 1;",
        "-- mosaic: transaction=true\nSELECT 1;",
        "SELECT '\n-- mosaic: transaction=false\n';",
        "/*\n-- mosaic: transaction=false\n*/ SELECT 1;",
        "SELECT $$\n-- mosaic: bogus\n$$;",
    ],
)
def test_other_comments_are_no_directives(tmp_path: Path, text: str) -> None:
    assert [step.execution_mode for step in parsed(tmp_path, text).steps] == [ExecutionMode.BATCH]


SECTIONS = {
    "up and down": "-- migrate:up\nSELECT 1;\n\n-- migrate:down\nDROP TABLE t;\n",
    "down first": "-- migrate:down\nDROP TABLE t;\n-- migrate:up\nSELECT 1;\n",
    "up alone": "-- header é\n-- migrate:up\nSELECT 1;\n",
    "crlf": "-- migrate:up\r\nSELECT 1;\r\n-- migrate:down\r\nDROP TABLE t;\r\n",
}


@pytest.mark.parametrize("text", SECTIONS.values(), ids=SECTIONS)
def test_only_the_up_section_is_applied_and_keeps_its_lines(tmp_path: Path, text: str) -> None:
    one = parsed(tmp_path, text.encode())
    [step] = one.steps
    [statement] = step.statements
    assert statement.text == "SELECT 1"
    where = statement_location(one.file, statement, 7)
    line = text[: text.index("SELECT")].count("\n") + 1
    assert (where.file, where.line, where.column, where.text) == ("migrations/1_a.sql", line, 8, "SELECT 1;")


def test_text_and_checksum_cover_the_whole_file(tmp_path: Path) -> None:
    text = SECTIONS["up and down"]
    one = parsed(tmp_path, text)
    other = parsed(tmp_path, text.replace("DROP TABLE t", "DROP TABLE u"))
    assert one.file.text == text
    assert one.semantic == other.semantic
    assert one.file.migration.checksum != other.file.migration.checksum


def test_files_that_look_like_migrations_and_are_ignored(tmp_path):
    for name in (
        "1_a.sql", "1_a.down.sql", "2_b.up.sql", "2_b.down.sql", "3_gone.down.sql", "old/1_x.sql", "notes/x.sql",
        ".git/1_x.sql",
    ):  # fmt: skip
        path = tmp_path / "sql" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("select 1;")
    found = {note.message.split()[0] for note in folder_notes(tmp_path, DatabaseSpec(migrations="sql"))}
    assert found == {"sql/3_gone.down.sql", "sql/old"}


def test_a_dangling_link_is_called_one(tmp_path):
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql/1_p.sql").symlink_to("nowhere")
    with pytest.raises(SourceRefused) as caught:
        read_migrations(tmp_path, "sql")
    assert [p.message for p in caught.value.problems] == ["links to nowhere, which doesn't exist"]
