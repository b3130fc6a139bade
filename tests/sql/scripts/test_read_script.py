"""psql's scripts and dumps as statements; tests/deploy/migrations/test_psql_scripts.py runs them."""

import time

import pytest

from mosaic_deploy.sql.dump import read_script
from mosaic_deploy.sql.execution.cut_rows import PIECE_ROWS, WHOLE_ROWS, cut_rows
from mosaic_deploy.sql.execution.split import split_steps
from mosaic_deploy.sql.parse import parse, semantic_checksum
from mosaic_deploy.sql.scripts.copy_batches import BATCH_LENGTH, CopyBatch, without_rows
from mosaic_deploy.sql.scripts.mistakes import ScriptInvalid
from mosaic_deploy.sql.scripts.scan import is_copy_from_stdin

DUMP = "--\n-- PostgreSQL database dump\n--\n"


def texts(sql: str) -> list[str]:
    return [statement.text for statement in read_script(sql)]


def rows(copy: str) -> str:
    """The rows that a COPY becomes; one is an INSERT, several are in a block with the same text."""
    [statement] = read_script(copy)
    found = statement.written.removeprefix("VALUES\n")
    assert found in statement.text
    assert statement.kind == "InsertStmt"
    return found


@pytest.mark.parametrize(
    "line",
    ["\\restrict abc", "\\unrestrict abc", "\\set ON_ERROR_STOP 1", "\\set ON_ERROR_STOP on", "\\set ON_ERROR_STOP",
     "\\set VERBOSITY verbose", "\\encoding UTF8", "\\set ON_ERROR_STOP true\r", "\\set QUIET on \\\\ -- quietly",
     "\\set PROMPT1 '%n\\\\x' \"y\"", "\\set QUIET on \\set ECHO all", "\\restrict 'a\\\\ b'"],
)  # fmt: skip
def test_commands_without_effect_are_left_out(line: str) -> None:
    found = read_script(f"SELECT 1;\n{line}\nSELECT 2;\n")
    assert [(one.text, one.offset) for one in found] == [("SELECT 1", 0), ("SELECT 2", 11 + len(line))]


TEXT_ROWS = {
    "1\ta": "('1', 'a')",
    "\\N\t\\\\N": r"(NULL, E'\\N')",
    "\t": "('', '')",
    r"a\tb	c\nd\re\\f\x41\101\xc3\xa9\q": r"""('a	b', E'c\nd\re\\fAAéq')""",
    "it's\t\\\t": "",
    r"a\\.	\\\\.é": r"(E'a\\.', E'\\\\.é')",
    "a\\\nb\tc": r"(E'a\nb', 'c')",
    r"a\rb	c": r"(E'a\rb', 'c')",
}


@pytest.mark.parametrize(("text", "expected"), [item for item in TEXT_ROWS.items() if item[1]])
def test_the_text_format(text: str, expected: str) -> None:
    assert rows(f"COPY t (a, b) FROM stdin;\n{text}\n\\.\n") == expected


CSV_ROWS = [
    ("", "1,a", "('1', 'a')"),
    ("", ',""', "(NULL, '')"),
    ("", '"a ""b"", c\nd",x"y,z"w', r"""(E'a "b", c\nd', 'xy,zw')"""),
    (", HEADER", "x,y\n1,2", "('1', '2')"),
    (", DELIMITER ';', NULL 'nil'", 'nil;"nil"', "(NULL, 'nil')"),
    (", QUOTE '''', ESCAPE '\\'", r"'a\'b\\','c\d'", r"""(E'a''b\\', E'c\\d')"""),
    (", FORCE_NULL (a), FORCE_NOT_NULL (b)", '"",', "(NULL, '')"),
    (", DEFAULT '\\D'", '\\D,"\\D"', r"(DEFAULT, E'\\D')"),
    ("", "1,a\r\n2,b\r", "('1', 'a'),\n('2', 'b')"),
]


@pytest.mark.parametrize(("options", "text", "expected"), CSV_ROWS)
def test_the_csv_format(options: str, text: str, expected: str) -> None:
    assert rows(f"COPY t (a, b) FROM stdin WITH (FORMAT csv{options});\n{text}\n\\.\n") == expected


def test_rows_are_read_like_psql_reads_them() -> None:
    found = read_script(
        "COPY a (x) FROM stdin;\nselect;it's $$ /*\n\\.\ncopy b from stdin csv;\n\\.\nSELECT 1;"
    )
    assert [one.kind for one in found] == ["InsertStmt", "SelectStmt"]
    assert texts("SELECT 'COPY a FROM stdin;\n\\restrict';") == ["SELECT 'COPY a FROM stdin;\n\\restrict'"]
    # Without an end, the rest of the file is rows.
    assert rows("COPY a (x) FROM stdin;\n1\nSELECT 1;") == "('1'),\n('SELECT 1;')"


def test_rows_of_a_file_from_windows_end_at_their_mark() -> None:
    found = read_script("COPY t (a) FROM stdin;\r\n1\r\n\\.\r\nSELECT 1;\r\n")
    assert [one.text.partition("VALUES\n")[2] or one.text for one in found] == ["('1')", "SELECT 1"]


def test_a_backslash_escapes_only_in_strings_that_begin_with_e() -> None:
    """`date'…'` is a string without escapes, whose type ends with an e."""
    assert texts("SELECT date'\\';\n\\restrict x\nSELECT '2';") == ["SELECT date'\\'", "SELECT '2'"]
    assert texts("SELECT e'\\';\n\\restrict x\n';\nSELECT 2;") == [
        "SELECT e'\\';\n\\restrict x\n'",
        "SELECT 2",
    ]


@pytest.mark.parametrize(
    ("sql", "reads"),
    [
        ("COPY t FROM stdin", True),
        ("COPY t FROM '/tmp/from stdin'", False),
        ("COPY t TO stdout", False),
        ("SELECT 1", False),
    ],
)
def test_copies_that_read_from_the_client(sql: str, reads: bool) -> None:
    [statement] = parse(sql)
    assert is_copy_from_stdin(statement) is reads


def test_large_rows_are_batches_and_errors_point_at_their_row() -> None:
    line = "x" * 1000
    text = "COPY t (a) FROM stdin;\n" + "".join(f"{n}{line}\n" for n in range(600)) + "\\.\n"
    batches = read_script(text)
    assert len(batches) == 3
    assert all(isinstance(one, CopyBatch) and one.size <= BATCH_LENGTH for one in batches)
    middle = batches[1]
    at = middle.written.index("'300x") + 5
    assert text[middle.file_offset(at) :].startswith("300x")


def test_the_checksum_covers_the_rows() -> None:
    one, same, other = (
        semantic_checksum(read_script(f"COPY t (a) FROM stdin;\n{row}\n\\.\n{end}"))
        for row, end in [("1", ""), ("1", "-- x"), ("2", "")]
    )
    assert one == same != other


def test_what_does_not_fit_in_a_request_is_cut() -> None:
    line = "x" * 99_999 + "\n"
    text = f"SET search_path = s;\nCOPY t (a) FROM stdin;\n{line * 60}\\.\nSELECT 1;"
    steps = cut_rows(split_steps(read_script(text)))
    sizes = [sum(s.size for s in step.statements if isinstance(s, CopyBatch)) for step in steps]
    assert sum(sizes) == 60 * len(line) > WHOLE_ROWS
    assert max(sizes) <= PIECE_ROWS
    assert [one.name for one in steps[1].session.assigned] == ["search_path"]
    recorded = without_rows(text, [s for step in steps for s in step.statements])
    assert (
        recorded
        == "SET search_path = s;\nCOPY t (a) FROM stdin;\n-- mosaic-deploy: rows left out\n\\.\nSELECT 1;"
    )
    for whole in (f"BEGIN; {text}\nCOMMIT;", text.replace(line * 60, line * 30)):
        assert len(cut_rows(split_steps(read_script(whole)))) == 1


def test_a_dump_belongs_to_the_executing_role() -> None:
    sql = """ALTER TABLE public."Ünï" OWNER TO tenant_pod_1;
GRANT ALL ON SCHEMA public TO "tenant_pod_1", PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE tenant_pod_1 REVOKE ALL ON TABLES FROM tenant_pod_1;
SET SESSION AUTHORIZATION 'tenant_pod_1';
GRANT SELECT ON TABLE t TO pg_monitor;"""
    assert texts(DUMP + sql) == [
        'ALTER TABLE public."Ünï" OWNER TO CURRENT_USER',
        "GRANT ALL ON SCHEMA public TO CURRENT_USER, PUBLIC",
        "ALTER DEFAULT PRIVILEGES FOR ROLE CURRENT_USER REVOKE ALL ON TABLES FROM CURRENT_USER",
        "GRANT SELECT ON TABLE t TO pg_monitor",
    ]
    assert texts(f"{DUMP}SET SESSION AUTHORIZATION 'tenant_pod_1'; SELECT 1;") == ["SELECT 1"]
    # Only a dump is adapted.
    assert texts(sql)[0].endswith("tenant_pod_1")


def test_settings_of_other_versions_are_set_if_they_exist() -> None:
    found = texts(
        f"{DUMP}SET transaction_timeout = 0;\nSET statement_timeout = 0;\nSET default_with_oids = false;"
    )
    assert found == [
        "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = 'transaction_timeout'",
        "SET statement_timeout = 0",
    ]


def test_the_tracking_tables_of_the_dumped_project_are_left_out() -> None:
    sql = """CREATE SCHEMA mosaic_deploy;
ALTER SCHEMA mosaic_deploy OWNER TO tenant_a;
CREATE TABLE mosaic_deploy.migrations (version bigint NOT NULL);
COPY mosaic_deploy.migrations (version) FROM stdin;
1
\\.
SELECT pg_catalog.setval('mosaic_deploy.s', 1, true);
ALTER TABLE ONLY mosaic_deploy.migrations ADD CONSTRAINT p PRIMARY KEY (version);
CREATE TABLE public.notes (about text DEFAULT 'mosaic_deploy');
COPY public.notes (about) FROM stdin;
mosaic_deploy
\\.
"""
    assert [one.partition("\n")[0] for one in texts(DUMP + sql)] == [
        "CREATE TABLE public.notes (about text DEFAULT 'mosaic_deploy')",
        'INSERT INTO "public"."notes" ("about") OVERRIDING SYSTEM VALUE VALUES',
    ]


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("INSERT INTO t VALUES (9);", 22),
        ("  COPY t FROM stdin;", 24),
        ("/* x */ SELECT 1", 30),
        ("SELECT ';", 22),
    ],
)
def test_sql_behind_a_copy_is_refused(line: str, column: int) -> None:
    with pytest.raises(ScriptInvalid) as caught:
        read_script(f"SELECT 1;\nCOPY t (a) FROM stdin;{line}\n1\n\\.\n")
    assert [(one.message, one.offset) for one in caught.value.mistakes] == [
        ("SQL on the line of COPY … FROM stdin, behind it", len("SELECT 1;\n") + column)
    ]


@pytest.mark.parametrize("line", ["", "  ", " -- all of them", "/* x */"])
def test_comments_behind_a_copy(line: str) -> None:
    assert len(texts(f"COPY t (a) FROM stdin;{line}\n1\n\\.\n")) == 1


def test_rows_end_as_the_first_line_that_isnt_part_of_a_value() -> None:
    text = "COPY t (a, b) FROM stdin;\nx\\\ny\t1\r\nz\t2\r\n\\.\r\n"
    assert "(E'x\\ny', '1'),\n('z', '2')" in read_script(text)[0].text


def test_many_escaped_delimiters_take_linear_time() -> None:
    text = "COPY t (a) FROM stdin;\n" + "\\\t" * 600_000 + "\n\\.\n"
    began = time.process_time()
    assert "\t" * 600_000 in read_script(text)[0].text
    assert time.process_time() - began < 12


BEHIND, COMMAND = "SQL on the line of a psql command, behind it", "psql meta-commands aren't SQL"


@pytest.mark.parametrize(
    ("line", "mistakes"),
    [
        ("\\set QUIET on \\\\ «INSERT INTO t VALUES (1);", [BEHIND]),
        ("\\unrestrict abc \\\\«INSERT INTO t VALUES (1);", [BEHIND]),
        ("\\set VERBOSITY verbose \\\\ «DROP TABLE t;", [BEHIND]),
        ("\\set ON_ERROR_STOP on \\\\ «INSERT INTO t VALUES (1);", [BEHIND]),
        ("\\set PROMPT1 '\\\\' \\\\ «/* x", [BEHIND]),
        ("\\set QUIET on «\\echo a \\\\ «SELECT 1;", [COMMAND, BEHIND]),
        ("«\\echo 'a \\\\ b' «\\g", [COMMAND, COMMAND]),
        ("«\\unset ON_ERROR_STOP \\\\ «DROP TABLE t;", ["a deploy always stops", BEHIND]),
        ("«\\! ls \\\\ SELECT", [COMMAND]),
        ("«\\set QUIET on; DROP TABLE t;", [COMMAND]),
        ("«\\set PROMPT1 'x", [COMMAND]),
    ],
)
def test_what_follows_a_command_on_its_line_is_not_lost(line: str, mistakes: list[str]) -> None:
    with pytest.raises(ScriptInvalid) as caught:
        read_script("SELECT 1;\n" + line.replace("«", "") + "\nSELECT 2;")
    parts = line.split("«")
    places = [10 + len("".join(parts[:number])) for number in range(1, len(parts))]
    assert [one.offset for one in caught.value.mistakes] == places
    for mistake, message in zip(caught.value.mistakes, mistakes, strict=True):
        assert mistake.message.startswith(message)
    assert (BEHIND not in mistakes) or all(
        "remove the line" not in (one.hint or "") for one in caught.value.mistakes
    )


@pytest.mark.parametrize(
    ("copy", "row", "message"),
    [
        ("t (a, b) FROM stdin", "1\t2\t3", "extra data after last expected column"),
        ("t (a, b) FROM stdin", "1", 'missing data for column "b"'),
        ("t (a, b) FROM stdin", "", 'missing data for column "b"'),
        ("t (a, b) FROM stdin CSV", "1,2,3", "extra data after last expected column"),
        ("t (a, b) FROM stdin CSV", "1", 'missing data for column "b"'),
        ("t FROM stdin", "1\t2\t3", "this row has 3 values instead of 2, as the first one"),
        ("t FROM stdin", "\\.x\t1", "end-of-copy marker is not alone on its line"),
        ("t FROM stdin", "x\\\\\\.\t1", "end-of-copy marker is not alone on its line"),
    ],
)
def test_rows_that_copy_refuses(copy: str, row: str, message: str) -> None:
    first = "a,b" if copy.endswith("CSV") else "a\tb"
    text = f"COPY {copy};\n{first}\n{row}\n\\.\n"
    with pytest.raises(ScriptInvalid) as caught:
        read_script(text)
    [mistake] = caught.value.mistakes
    assert (mistake.message, text[mistake.offset :].startswith(f"{row}\n")) == (message, True)
