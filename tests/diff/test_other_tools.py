"""Other tools' histories: which files count as applied, and what is refused."""

from __future__ import annotations

import hashlib
import zlib

import pytest

from mosaic_deploy.diff.history.other_tools import applied_files, file_checksums, gap_notes, repeatable_notes
from mosaic_deploy.errors import HistoryImportRefused
from mosaic_deploy.model.migration_history import TOOLS, HistoryState, OtherToolRow
from mosaic_deploy.model.snapshot import Migration

FOLDER = [
    Migration(str(n), name, "c", "s")
    for n, name in ((1, "0001_aaa_a.sql"), (2, "0002_bbb_b.sql"), (3, "0003_ccc.sql"))
]


def rows(*texts: str) -> list[OtherToolRow]:
    """Rows from `version` or `version state`; a version with an underscore is a name (Prisma)."""
    split = [text.partition(" ")[::2] for text in texts]
    return [OtherToolRow(v, v if "_" in v else "", HistoryState(state or "applied")) for v, state in split]


@pytest.mark.parametrize(
    ("tool", "history", "expected"),
    [
        ("dbmate", [], ""),
        ("dbmate", ["0001", "3"], "13"),
        ("supabase", ["2"], "2"),
        ("golang-migrate", ["2"], "12"),
        ("flyway", ["1", "002"], "12"),
        ("flyway", ["2 baseline", "3"], "123"),
        ("flyway", ["1", "2", "2 undone"], "1"),
        ("flyway", ["1", "2", "2 undone", "2"], "12"),
        ("flyway", ["1", " repeatable"], "1"),
        ("prisma", ["0001_aaa_a undone", "0001_aaa_a", "2_BBB_b"], "12"),
        ("prisma", ["7_ccc"], "3"),
        ("alembic", ["bbb"], "12"),
        ("alembic", ["ccc"], "123"),
    ],
)
def test_applied_versions(tool, history, expected):
    assert applied_files(TOOLS[tool], rows(*history), FOLDER, {}).versions == set(expected)


@pytest.mark.parametrize(
    ("tool", "history", "names"),
    [
        ("dbmate", ["1", "4", "x"], ["4", "x"]),
        ("flyway", ["1.1"], ["1.1"]),
        ("flyway", ["1", "2 failed"], ["2"]),
        ("golang-migrate", ["9"], ["9"]),
        ("prisma", ["init_without_number"], ["init_without_number"]),
        ("prisma", ["0001_another"], ["0001_another"]),
        ("prisma", ["0001_aaa_a", "9_aaa_a"], ["9_aaa_a"]),
        ("alembic", ["aa"], ["aa"]),
        ("alembic", ["aaa", "bbb"], ["aaa", "bbb"]),
    ],
)
def test_refused_histories(tool, history, names):
    with pytest.raises(HistoryImportRefused) as caught:
        applied_files(TOOLS[tool], rows(*history), FOLDER, {})
    assert [problem.location.file for problem in caught.value.problems] == names


def test_revision_in_two_file_names_is_refused():
    twice = [*FOLDER, Migration("4", "0004_bbb_again.sql", "c", "s")]
    with pytest.raises(HistoryImportRefused, match="same revision"):
        applied_files(TOOLS["alembic"], rows("bbb"), twice, {})


def test_gaps_and_repeatable_migrations_are_noted():
    assert [n.addresses for n in gap_notes(TOOLS["dbmate"], frozenset("3"), FOLDER)] == [
        ("history:0001_aaa_a.sql",),
        ("history:0002_bbb_b.sql",),
    ]
    [note] = repeatable_notes(TOOLS["flyway"], [OtherToolRow("", "R__views.sql", HistoryState.REPEATABLE)])
    assert "R__views.sql" in note.message


def test_checksums_are_those_of_the_tools():
    text = "create table a (id int);\n-- ü\n"
    assert file_checksums(TOOLS["flyway"], text) == {str(zlib.crc32("create table a (id int);-- ü".encode()))}
    assert file_checksums(TOOLS["prisma"], text) == {
        hashlib.sha256(each.encode()).hexdigest() for each in (text, text.replace("\n", "\r\n"))
    }
    assert file_checksums(TOOLS["dbmate"], text) == frozenset()


def test_the_checksum_outweighs_number_and_name():
    folder = [Migration("1", "1_b.sql", "c", "s"), Migration("2", "2_a.sql", "c", "s")]
    applied = [OtherToolRow("1", "V1__b.sql", HistoryState.APPLIED, "11")]
    sums = {"1_b.sql": frozenset({"22"}), "2_a.sql": frozenset({"11"})}
    assert applied_files(TOOLS["flyway"], applied, folder, sums).versions == {"2"}
    found = applied_files(TOOLS["flyway"], applied, folder, {"1_b.sql": frozenset({"22"})})
    assert (found.versions, [file.file for file in found.different]) == ({"1"}, ["1_b.sql"])
