"""Sections: each tool's markers as the tool reads them, and nothing else is one."""

import contextlib
import time

import pytest

from mosaic_deploy.sql.scripts.mistakes import ScriptInvalid
from mosaic_deploy.sql.scripts.sections import Section, down_section, up_section

UP, DOWN = "SELECT 'up'", "SELECT 'down'"
TOOLS = {
    "dbmate": f"-- migrate:up\n{UP}\n-- migrate:down\n{DOWN}",
    "dbmate, down first": f"-- migrate:down\n{DOWN}\n-- migrate:up\n{UP}",
    "goose": f"-- +goose Up\n{UP}\n-- +goose Down\n{DOWN}",
    "goose, small letters, CRLF": f"--+goose up\r\n{UP}\r\n--  +goose down\r\n{DOWN}",
    "goose, blocks": (
        f"-- +goose Up\n-- +goose StatementBegin\n{UP}\n-- +goose StatementEnd\n"
        f"-- +goose Down\n-- +goose StatementBegin\n{DOWN}\n-- +goose StatementEnd\n"
    ),
    "goose, nothing to substitute": f"-- +goose ENVSUB ON\n-- +goose Up\n{UP}\n-- +goose Down\n{DOWN}",
    "sql-migrate": f"-- license\n\n-- +migrate Up\n{UP}\n-- +migrate Down\n{DOWN}",
    "sql-migrate, blocks": f"-- +migrate Up\n-- +migrate StatementBegin\n{UP}\n-- +migrate StatementEnd\n-- +migrate Down\n{DOWN}",
    "node-pg-migrate": f"-- Up Migration\n{UP}\n-- Down Migration\n{DOWN}",
    "node-pg-migrate, its own way": f"---- DOWN  migration, drops it\n{DOWN}\n  --- up migration ---\n{UP}",
    "tern": f"{UP}\n---- create above / drop below ----\n{DOWN}",
}


def words(section: Section | None) -> str:
    assert section
    return " ".join(line for line in section.text.split("\n") if not line.startswith("--")).strip()


@pytest.mark.parametrize("text", TOOLS.values(), ids=TOOLS)
def test_both_sections_keep_their_offsets(text: str) -> None:
    up, down = up_section(text), down_section(text)
    assert down
    assert (words(up), words(down)) == (UP, DOWN)
    assert (up.text.index(UP), down.text.index(DOWN)) == (text.index(UP), text.index(DOWN))
    assert len(up.text) == len(down.text) == len(text)
    assert not up.no_transaction
    # A section's text has no marker left to be read again.
    assert up_section(down.text).text == down.text


NO_TRANSACTION = {
    "-- migrate:up transaction:false\n{up}\n-- migrate:down\n{down}": ("transaction:false", ""),
    "-- migrate:up\n{up}\n-- migrate:down transaction: false\n{down}": ("", "transaction: false"),
    "-- +goose NO TRANSACTION\n-- +goose Up\n{up}\n-- +goose Down\n{down}": (
        "NO TRANSACTION",
        "NO TRANSACTION",
    ),
    "-- +migrate Up notransaction\n{up}\n-- +migrate Down\n{down}": ("notransaction", ""),
    "-- +migrate Up\n{up}\n-- +migrate Down notransaction\n{down}": ("", "notransaction"),
    "---- tern: disable-tx ----\n{up}\n---- create above / drop below ----\n{down}": ("disable-tx", ""),
    "{up}\n---- create above / drop below ----\n---- tern: disable-tx ----\n{down}": ("", "disable-tx"),
}


@pytest.mark.parametrize(("text", "expected"), NO_TRANSACTION.items())
def test_markers_that_turn_transactions_off(text: str, expected: tuple[str, str]) -> None:
    text = text.format(up=UP, down=DOWN)
    down = down_section(text)
    assert down
    assert (up_section(text).no_transaction, down.no_transaction) == expected


def test_sql_migrate_joins_sections() -> None:
    text = "-- +migrate Up\na;\n-- +migrate Down\nb;\n-- +migrate Up\nc;\n"
    assert words(up_section(text)).split() == ["a;", "c;"]


ENCLOSED = [
    "'\n{mark}\n'",
    '"\n{mark}\n"',
    "E'\\'\n{mark}\n'",
    "$$\n{mark}\n$$",
    "$a$ $$\n{mark}\n$a$",
    "/* /* */\n{mark}\n*/",
    "COPY t FROM stdin;\n{mark}\n\\.\n",
    "1 {mark}",
]
MARKS = ["-- migrate:down", "-- +goose Down", "-- +migrate Down", "-- Down Migration"]


@pytest.mark.parametrize("mark", [*MARKS, "---- create above / drop below ----"])
@pytest.mark.parametrize("enclosed", ENCLOSED[:-1])
def test_enclosed_markers_are_text(enclosed: str, mark: str) -> None:
    text = f"SELECT 1;\n{enclosed.format(mark=mark)};\nSELECT 2;"
    assert (up_section(text).text, down_section(text)) == (text, None)


@pytest.mark.parametrize("mark", MARKS)
def test_markers_behind_sql_are_comments(mark: str) -> None:
    text = f"SELECT 1; {mark}\nSELECT 2;"
    assert (up_section(text).text, down_section(text)) == (text, None)


REMARKS = [
    "-- the up migration\nSELECT 1;",
    "-- Down migration isn't possible\nSELECT 1;",
    "SELECT 1;\n-- Down Migration\n-- none",
    "-- see https://github.com/pressly/goose\nSELECT 1;",
    "-- as migrate:down\nSELECT 1;",
]


@pytest.mark.parametrize("text", REMARKS)
def test_remarks_are_no_markers(text: str) -> None:
    assert (up_section(text).text, down_section(text)) == (text, None)


def test_a_remark_beside_another_tools_markers() -> None:
    text = (
        f"-- migrate:up\n-- up migration of users\n{UP}\n-- migrate:down\n-- down migration of users\n{DOWN}"
    )
    assert words(up_section(text)) == UP


def test_an_unbalanced_quote_hides_no_marker() -> None:
    text = f"-- migrate:down\nthis isn't read\n-- migrate:up\n{UP}"
    assert words(up_section(text)) == UP


REFUSED = {
    "-- migrate:up\na;\n-- +goose Down\nb;": "-- +goose Down is a marker of goose, but line 1 has one of dbmate (-- migrate:up)",
    "-- +migrate Up\na;\n-- Down Migration\nb;": "-- Down Migration is a marker of node-pg-migrate, but line 1 has one of sql-migrate (-- +migrate Up)",
    "a;\n---- create above / drop below ----\nb;\n-- migrate:down\nc;": "-- migrate:down is a marker of dbmate, but line 2 has one of tern (---- create above / drop below ----)",
    "-- +goose Down\na;\n-- +goose Up\nb;": "-- +goose Down must come after -- +goose Up",
    "SELECT 1;\n-- +goose Up\nb;": "this statement is before -- +goose Up and would be skipped",
    "SELECT 1;\n-- Up Migration\nb;": "this statement is before -- Up Migration and would be skipped",
    "-- +goose Up\na;\n-- +goose Up\nb;": "-- +goose Up is in the file twice, first in line 1",
    "-- migrate:up\na;\n-- migrate:down\nb;\n-- migrate:up\nc;": "-- migrate:up is in the file twice, first in line 1",
    "-- +goose Up\n-- +goose StatementEnd\nb;": "-- +goose StatementEnd without -- +goose StatementBegin",
    "-- +goose Up\n-- +goose StatementBegin\nb;": "-- +goose StatementBegin without -- +goose StatementEnd",
    " -- +goose Up\nb;": "goose's annotations must start in the first column",
    "-- +goose Upp\nb;": "unknown goose annotation 'Upp'",
    "-- +goose Up\n-- +goose ENVSUB ON\nSELECT '${HOME}';": "goose would replace environment variables here, which isn't supported",
    "-- +migrate up\nb;": "unknown sql-migrate command 'up'",
    "--+migrate Up\nb;": "sql-migrate doesn't recognize this marker",
    "-- +migrate Up\n-- +migrate StatementBegin\nb;": "-- +migrate StatementBegin without -- +migrate StatementEnd",
    "-- +migrate Down\nb;": "-- +migrate Down without a -- +migrate Up section",
    "-- Down Migration\nSELECT 1;": "-- Down Migration without a -- Up Migration section",
    '{{ template "x" }};\n---- create above / drop below ----\n': "tern would expand the template {{ template… here, which isn't supported",
}


@pytest.mark.parametrize(("text", "message"), REFUSED.items())
def test_refused(text: str, message: str) -> None:
    with pytest.raises(ScriptInvalid) as caught:
        up_section(text)
    assert caught.value.mistakes[0].message == message


@pytest.mark.parametrize(
    ("up", "down"),
    [
        ("-- rambler up", "-- rambler down"),
        ("-- +micrate Up", "-- +micrate Down"),
        ("-- !Ups", "-- !Downs"),
        ("-- up", "-- down"),
        ("--UP", "--DOWN"),
        ("-- @up", "-- @down"),
        ("-- do", "-- undo"),
        ("-- ====  UP  ====", "-- ==== DOWN ===="),
        ("-- +++ UP +++", "-- --- DOWN ---\r"),
        ("-- apply", "-- revert"),
        ("-- // creates it", "-- //@UNDO"),
        ("", "-- @DOWN"),
        ("-- MIGRATE:UP", "-- MIGRATE:DOWN"),
        ("-- migrate:up", "-- MIGRATE:DOWN"),
        ("-- UP: makes it", "-- DOWN: drops it"),
        ("/* UP */", "/* DOWN */"),
        ("/*\n * Up: makes it\n */", "/* Down */"),
        ("-- Forward", "-- Backward"),
        ("-- step", "-- rollback:"),
        ("", "----  create above / drop below  ----"),
        ("", "-- Create above / drop below"),
    ],
)
def test_markers_of_other_tools_are_refused(up: str, down: str) -> None:
    text = f"{up}\n{UP};\n  {down}\n{DOWN}"
    for read in (up_section, down_section):
        with pytest.raises(ScriptInvalid) as caught:
            read(text)
        [mistake] = caught.value.mistakes
        assert text[mistake.offset :].startswith(down.rstrip())


@pytest.mark.parametrize(
    "text",
    [
        "-- up\nSELECT 1;\n-- down",
        "-- down\nSELECT 1",
        "-- rollback\nSELECT 1",
        "--rollback DROP TABLE a\nSELECT 1",
        "-- up: makes it\n-- down: drops it\nSELECT 1",
        "/* up: makes it\n   down: drops it */\nSELECT 1",
        "-- step 1: fill\nSELECT 1;\n-- rollback: drop it\nSELECT 2",
        "-- clean up\nSELECT 1;\n-- tear down the old index\nSELECT 2",
        "-- clean up:\nSELECT 1;\n-- tear down:\nSELECT 2",
        "SELECT /* up */ 1;\nSELECT /* down */ 2",
        "-- migrate data\nSELECT 1;\n-- rollback isn't needed\nSELECT 2",
        "-- back up\nSELECT 1;\n-- scale down\nSELECT 2",
        "-- up to here\nSELECT 1;\n-- down from here\nSELECT 2",
        "SELECT '\n-- up\n-- down\n'",
        "SELECT $$\n-- up\n-- down\n$$",
        "/*\n-- up\n-- down\n*/ SELECT 1",
    ],
)
def test_remarks_about_ups_and_downs_are_no_markers(text: str) -> None:
    assert up_section(text).text == text


@pytest.mark.parametrize(
    "comment", ["-" * 200_000, "-- a" + " " * 200_000 + "b", "-- +goose up" + " " * 100_000 + "\x00"]
)
def test_a_long_comment_takes_linear_time(comment: str) -> None:
    began = time.process_time()
    with contextlib.suppress(ScriptInvalid):
        assert up_section(f"{comment}\nselect 1;").mark == ""
    assert time.process_time() - began < 12
