"""Other tools' histories: which files count as applied, what is refused, and the tools' checksums."""

from __future__ import annotations

import hashlib

import pytest

from mosaic_deploy.diff.other_tools.applied import applied_files
from mosaic_deploy.errors import HistoryImportRefused
from mosaic_deploy.model.other_tools.checksums import flyway_checksums
from mosaic_deploy.model.other_tools.liquibase import liquibase_changesets
from mosaic_deploy.model.other_tools.tool import OtherToolRow, RowState, ToolFile
from mosaic_deploy.model.other_tools.tools import TOOLS
from mosaic_deploy.model.snapshot import Migration

CONTENT = b"create table a (id int);\n-- \xc3\xbc\n"
EDITED = b"create table a (id bigint);\n"
SHA = {name: hashlib.new(name, CONTENT).hexdigest() for name in ("sha1", "sha256", "sha384")}


def file(version: str, name: str, content: bytes = b"", time: str = "") -> ToolFile:
    return ToolFile(Migration(version, name, "c", "s"), f"sql/{name}", content, time)


def files(text: str) -> list[ToolFile]:
    """Files from `version=name`, or names whose version is their position."""
    split = [each.rpartition("=")[::2] for each in text.split()]
    return [file(version or str(at), name) for at, (version, name) in enumerate(split, 1)]


def rows(*texts: str) -> list[OtherToolRow]:
    """Rows from `version|name|state|part`."""
    found = []
    for text in texts:
        version, name, state, part = (*text.split("|"), "", "", "")[:4]
        found.append(OtherToolRow(version, name, RowState(state or "applied"), part=part))
    return found


FOLDER = "0001_aaa_a.sql 0002_bbb_b.sql 0003_ccc.sql"
PRISMA = "20240101000000_a/migration.sql 20240101000001_b/migration.sql"
DOTTED = "1=V1__a.sql 1.1=V1.1__b.sql 1.10=sub/V1_10__c.sql 2=V2__d.sql"
TWICE = "0/0000_z=0000_z.sql 0/0000_a=0000_a.sql"


@pytest.mark.parametrize(
    ("tool", "folder", "history", "expected"),
    [
        ("dbmate", FOLDER, [], ""),
        ("dbmate", FOLDER, ["0001", "3"], "1 3"),
        ("rails", FOLDER, ["2"], "2"),
        ("diesel", "20240101000000=2024-01-01-000000_a/up.sql", ["20240101000000"], "20240101000000"),
        ("supabase", FOLDER, ["2", "3|CCC"], "2 3"),
        ("supabase", TWICE, ["0|a"], "0/0000_a"),
        ("golang-migrate", FOLDER, ["2"], "1 2"),
        ("golang-migrate", FOLDER, ["-1||ignored"], ""),
        ("tern", FOLDER, ["3"], "1 2 3"),
        ("goose", FOLDER, ["0||ignored", "1", "2", "2||undone"], "1"),
        ("goose", FOLDER, ["1", "2", "2||undone", "2"], "1 2"),
        ("flyway", FOLDER, ["1", "002"], "1 2"),
        ("flyway", FOLDER, ["2||baseline", "3"], "1 2 3"),
        ("flyway", "2=V2__a.sql 3=V3__b.sql", ["1|<< Flyway Baseline >>|baseline", "2|V2__a.sql"], "2"),
        ("flyway", FOLDER, ["1", "9|V9__gone.sql", "9|U9__gone.sql|undone"], "1"),
        ("flyway", FOLDER, ["1", "|R__v.sql|repeatable"], "1"),
        ("flyway", DOTTED, ["1|V1__a.sql", "1.10|sub/V1_10__c.sql"], "1 1.10"),
        ("flyway", DOTTED, ["1.1||baseline"], "1 1.1"),
        ("flyway", "17=17_add.sql", ["17.1|V17.1__add.sql"], "17"),
        ("prisma", PRISMA, ["|20240101000000_a", "|gone|ignored"], "1"),
        ("prisma", FOLDER, ["|0001_aaa_a|ignored", "|0001_aaa_a", "|2_BBB_b"], "1 2"),
        ("prisma", FOLDER, ["|7_ccc"], "3"),
        ("sqlx", "0001_2_factor.sql 0002_b.up.sql", ["1|2 factor", "2|b"], "1 2"),
        ("sql-migrate", FOLDER, ["|0001_aaa_a.sql", "|0003_ccc.sql"], "1 3"),
        ("sql-migrate", TWICE, ["|0000_a.sql"], "0/0000_a"),
        ("node-pg-migrate", "0001_a.up.sql 0002_b.sql", ["|0001_a.up", "|0002_b"], "1 2"),
        ("graphile-migrate", "committed/000001.sql committed/000002-b.sql", ["|000001.sql", "|000002.sql"], "1 2"),
        ("sqitch", "0001_users.sql 0002_functions_add.sql", ["|users", "|functions/add"], "1 2"),
        ("liquibase", "001_a.sql 002_b.sql", ["|classpath:db/changelog/001_a.sql||me:1"], "1"),
        ("drizzle", TWICE, ["5|0000_a"], "0/0000_a"),
        ("alembic", FOLDER, ["bbb"], "1 2"),
        ("alembic", FOLDER, ["ccc"], "1 2 3"),
        ("django", "0001_shop_0001_initial.sql 2_auth_0002_x.sql", ["|shop.0001_initial", "|auth.0002_x"], "1 2"),
        ("django", "0001_initial.sql 0002_tags.sql", ["|shop.0001_initial", "|shop.0002_tags"], "1 2"),
    ],
)  # fmt: skip
def test_applied_versions(tool, folder, history, expected):
    found = applied_files(TOOLS[tool], rows(*history), files(folder))
    assert (found.versions, found.different) == (set(expected.split()), ())


@pytest.mark.parametrize(
    ("tool", "folder", "history", "problems"),
    [
        ("dbmate", FOLDER, ["1", "4", "x"], {"4": "has no file", "x": "has no file"}),
        ("dbmate", TWICE, ["0"], {"0": "may be any of several files: 0000_z.sql, 0000_a.sql"}),
        ("flyway", FOLDER, ["1.1"], {"1.1": "has no file"}),
        ("flyway", FOLDER, ["1", "2||failed"], {"2": "failed"}),
        ("flyway", FOLDER, ["1|com.acme.V1__Java.java"], {"com.acme.V1__Java.java": "isn't an SQL file"}),
        ("golang-migrate", FOLDER, ["9"], {"9": "has no file"}),
        ("golang-migrate", FOLDER, ["2||failed"], {"2": "failed"}),
        ("prisma", FOLDER, ["|init_without_number"], {"init_without_number": "has no file"}),
        ("prisma", FOLDER, ["|0001_other"], {"0001_other": "0001_aaa_a.sql has its number, but another name"}),
        ("prisma", FOLDER, ["|0001_aaa_a", "|9_aaa_a"], {"9_aaa_a": "has no file"}),
        ("sqlx", FOLDER, ["1|other"], {"other": "0001_aaa_a.sql has its number, but another name"}),
        ("sqitch", "1_users.sql 5_users.sql", ["|users"], {"users": "has no file"}),
        ("node-pg-migrate", FOLDER, ["|0002_x"], {"0002_x": "0002_bbb_b.sql has its number, but another name"}),
        ("liquibase", FOLDER, ["|db/all.xml||me:1", "|db/all.xml||me:2"], {"db/all.xml": "isn't an SQL file"}),
        ("alembic", FOLDER, ["aa"], {"aa": "has no file"}),
        ("alembic", FOLDER, ["aaa", "bbb"], {"aaa": "several heads", "bbb": "several heads"}),
        ("alembic", "1_bbb.sql 2_bbb_again.sql", ["bbb"], {"bbb": "several files: 1_bbb.sql, 2_bbb_again.sql"}),
        ("django", "0001_initial.sql", ["|shop.0001_initial", "|shop.0002_x"], {"shop.0002_x": "has no file"}),
    ],
)  # fmt: skip
def test_refused_histories(tool, folder, history, problems):
    with pytest.raises(HistoryImportRefused) as caught:
        applied_files(TOOLS[tool], rows(*history), files(folder))
    found = {problem.location.file: problem.message for problem in caught.value.problems}
    assert len(found) == len(caught.value.problems)
    assert found.keys() == problems.keys()
    assert all(problems[name] in message for name, message in found.items()), found


def test_gaps_are_noted():
    notes = applied_files(TOOLS["dbmate"], rows("3"), files(FOLDER)).notes
    assert [note.addresses for note in notes] == [("history:0001_aaa_a.sql",), ("history:0002_bbb_b.sql",)]


def test_repeatable_files_have_run_if_they_are_as_flyway_ran_them_last():
    texts = {"kept": "a", "edited": "c", "old": "d", "new": "e", "unknown": "f"}
    repeatables = [file(f"R{n}", f"db/R__{n}.sql", text.encode()) for n, text in texts.items()]

    def row(name: str, text: str | None) -> OtherToolRow:
        [checksum] = flyway_checksums(text.encode()) if text is not None else [""]
        return OtherToolRow("", f"R__{name}.sql", RowState.REPEATABLE, checksum)

    history = [row("kept", "x"), row("kept", "a"), row("edited", "b"), row("old", "d"), row("old", "z")]
    history += [row("gone", "y"), row("unknown", None)]
    found = applied_files(TOOLS["flyway"], [*rows("1"), *history], files(FOLDER), repeatables)
    assert found.versions == {"1", "Rkept"}
    [note] = found.notes
    assert note.message.endswith(": sql/db/R__edited.sql, sql/db/R__old.sql, sql/db/R__unknown.sql")


CHECKSUMS = {
    "flyway": "1938451619",
    "prisma": SHA["sha256"],
    "drizzle": SHA["sha256"],
    "sqlx": SHA["sha384"],
    "sqitch": SHA["sha1"],
    "supabase": hashlib.md5(b"createtablea(idint)--\xc3\xbc").hexdigest(),
}
"""What each tool has recorded for CONTENT."""


@pytest.mark.parametrize("tool", CHECKSUMS)
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "BOM"])
def test_a_file_is_the_same_after_a_checkout_and_not_after_an_edit(tool, ends, mark):
    row = OtherToolRow("1", "0001_a.sql" if tool == "flyway" else "a", RowState.APPLIED, CHECKSUMS[tool])
    folder = [file("1", "0001_a.sql", mark + CONTENT.replace(b"\n", ends), time="1"), file("2", "0002_b.sql")]
    found = applied_files(TOOLS[tool], [row], folder)
    assert (found.versions, found.different) == ({"1"}, ())
    folder[0] = file("1", "0001_a.sql", EDITED, time="1")
    found = applied_files(TOOLS[tool], [row], folder)
    assert (found.versions, [each.file for each in found.different]) == ({"1"}, ["0001_a.sql"])
    folder[0] = file("1", "0001_other.sql", CONTENT)
    found = applied_files(TOOLS[tool], [row], [file("2", "0001_x.sql"), folder[0]])
    assert (found.versions, found.different) == ({"1"}, ()), "the content outweighs the name"


def test_a_checksum_without_leading_zeros_is_the_same():
    digest = hashlib.sha256(CONTENT).digest()
    short = "".join(f"{byte:x}" for byte in digest)
    assert len(short) < 64
    row = OtherToolRow("", "0001_a", RowState.APPLIED, short)
    assert applied_files(TOOLS["prisma"], [row], [file("1", "0001_a.sql", CONTENT)]).different == ()


def test_of_files_with_equal_content_the_name_decides():
    """Empty migrations, and one whose own file was edited to be like another."""
    same = [
        file("1", "0001_a.sql", CONTENT),
        file("2", "0002_b.sql", CONTENT),
        file("3", "0003_c.sql", CONTENT),
    ]
    applied = [OtherToolRow("", name, RowState.APPLIED, SHA["sha256"]) for name in ("0002_b", "0003_c")]
    assert applied_files(TOOLS["prisma"], applied, same).versions == {"2", "3"}
    applied = [OtherToolRow("", name, RowState.APPLIED, SHA["sha256"]) for name in ("0001_gone", "0002_b")]
    assert applied_files(TOOLS["prisma"], applied, same[1:]).versions == {"2", "3"}


def test_drizzle_finds_files_by_name_and_time():
    times = {
        "20240101000000_a": "1704067200000",
        "20240101000000_b": "1704067200000",
        "20240102000000_c": "1704153600000",
    }
    folder = [
        file(str(n), f"{name}/migration.sql", time=time) for n, (name, time) in enumerate(times.items(), 1)
    ]
    applied = rows("1704067200000|20240101000000_b", "1704153600789")
    assert applied_files(TOOLS["drizzle"], applied, folder).versions == {"2", "3"}
    with pytest.raises(HistoryImportRefused) as caught:
        applied_files(TOOLS["drizzle"], rows("1704067200000", "5"), folder)
    assert [str(problem) for problem in caught.value.problems] == [
        "1704067200000: may be any of several files: 20240101000000_a/migration.sql, 20240101000000_b/migration.sql",
        "5: has no file in the migrations folder",
    ]


def test_changesets_of_a_file_are_applied_together():
    text = b'--liquibase formatted sql\n\n--changeset me:1 runOnChange:true\nselect 1;\n-- changeset "Jane Doe":"b 2"\nselect 2;\n'
    folder = [file("1", "001_a.sql", text)]
    one = "|db/001_a.sql|applied|me:1"
    assert applied_files(
        TOOLS["liquibase"], rows(one, "|db/001_a.sql|applied|Jane Doe:b 2"), folder
    ).versions == {"1"}
    with pytest.raises(HistoryImportRefused) as caught:
        applied_files(TOOLS["liquibase"], rows(one), folder)
    assert [str(problem) for problem in caught.value.problems] == [
        "sql/001_a.sql: is applied only in part: liquibase hasn't run Jane Doe:b 2"
    ]


LIQUIBASE = b"""--liquibase formatted sql
--property name:tab value:zz
--changeset ann:1
--validCheckSum: 9:aaa
CREATE TABLE d (id int);

--changeset ann:2
CREATE TABLE ${tab} (id int);

--changeset ann:3
-- comment: with space
-- plain comment
CREATE TABLE e (id int);
/* liquibase rollback
DROP TABLE e;
*/
--changeset ann:4
SELECT 1;
--ignoreLines:1
SELECT 99;
SELECT 2;
--ignoreLines:start
SELECT 3;
--ignoreLines:end
SELECT 4;
-- changeset ann:5 labels:"x or y"
--rollback DROP TABLE f;
--rollback DROP TABLE g;
CREATE TABLE f (id int);
SELECT 'a b \xc3\xa9';
--changeset "ann b":"6 c"
SELECT $$x$$;
--rollback empty
--changeset Ann Lee:7
--preconditions onFail:CONTINUE
--precondition-table-exists table:f
SELECT 7;
"""


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_liquibases_checksums(end):
    """As Liquibase 4.28 has written them for this file."""
    assert liquibase_changesets(LIQUIBASE.replace(b"\n", end)) == {
        "ann:1": "9:32a50dd9eed181eeb8659b66e452f3c0",
        "ann:2": "",
        "ann:3": "9:15869ef5609413b6ac77e33c79afb3c6",
        "ann:4": "9:92afb5c9b09080d94041e508ba60ac35",
        "ann:5": "9:ca14147779fc96af1dab4878aac73cfb",
        "ann b:6 c": "9:9e1526dc0dea1582b4ec2d30b4200a9a",
        "Ann Lee:7": "9:8cad782fac918fd6deb1201e0e8cf6ea",
    }


@pytest.mark.parametrize(
    ("checksum", "expected"),
    [("9:8cad782fac918fd6deb1201e0e8cf6ea", 0), ("9:" + "0" * 32, 1), ("", 0)],
)
def test_an_edited_changeset_makes_its_file_different(checksum, expected):
    """The query leaves out checksums of versions before 4.22, as if there were none."""
    folder = [file("1", "001_a.sql", b"--liquibase formatted sql\n--changeset ann:7\nSELECT 7;\n")]
    ran = [OtherToolRow("", "001_a.sql", RowState.APPLIED, checksum, "ann:7")]
    assert len(applied_files(TOOLS["liquibase"], ran, folder).different) == expected


def test_sqitch_tells_a_reworked_change_by_its_content():
    folder = [file("1", "0001_users.sql", CONTENT), file("2", "0002_users.sql", EDITED)]
    applied = [OtherToolRow("", "users", RowState.APPLIED, SHA["sha1"])]
    assert applied_files(TOOLS["sqitch"], applied, folder).versions == {"1"}


def test_alembic_reads_revisions_from_the_sql():
    written = "{};\nUPDATE alembic_version SET version_num='{}' WHERE alembic_version.version_num = 'x';\n"
    first = (
        b"INSERT INTO alembic_version (version_num) VALUES ('ae10') RETURNING alembic_version.version_num;"
    )
    folder = [
        file("1", "0001_users.sql", first),
        file("2", "0002_ae10_is_not_it.sql", written.format("select 1", "1975").encode()),
        file("3", "0003_more.sql", written.format("select 1", "27c6").encode()),
    ]
    for revision, versions in {"ae10": "1", "1975": "12", "27c6": "123"}.items():
        assert applied_files(TOOLS["alembic"], rows(revision), folder).versions == set(versions)


def test_django_apps_are_told_apart_by_their_tables():
    applied = rows("|auth.0001_initial", "|shop.0001_initial", "|shop_api.0001_initial", "|shop.0002_tags")
    shop = b'CREATE TABLE "shop_item" ("id" int);\nALTER TABLE "shop_item" ADD FOREIGN KEY (u) REFERENCES "auth_user" ("id");'
    folder = [
        file("1/0001_initial", "0001_initial.sql", shop),
        file("1/0001_other", "0001_shop_api_0001_initial.sql", b'CREATE TABLE "shop_api_key" ()'),
        file("2", "0002_tags.sql"),
    ]
    found = applied_files(TOOLS["django"], applied, folder)
    assert found.versions == {"1/0001_initial", "1/0001_other", "2"}
    assert [note.message for note in found.notes] == [
        "django has also applied migrations of auth, of which the folder has no file"
    ]
