"""Versions that people write, and names of files in the layouts of tools."""

from __future__ import annotations

import pytest

from mosaic_deploy.diff.history.identity import find_version, placed_rows, recorded_versions
from mosaic_deploy.diff.history.matching import name_without_number
from mosaic_deploy.errors import UsageInvalid
from mosaic_deploy.model.snapshot import Migration

KNOWN = {
    "1": "0001_a.sql",
    "1.2": "V1.2__b.sql",
    "20240101000000": "20240101000000_init/migration.sql",
    "12/0012_x": "0012_x.sql",
    "12/0012_y": "0012_y.sql",
    "1.10/c": "v1.10/c.sql",
    "first": "first/migration.sql",
}


def migration(version: str, file: str, **more: object) -> Migration:
    return Migration(version, file, f"c{file}", "s", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "version"),
    [
        ("1", "1"),
        ("0001", "1"),
        ("0001_a.sql", "1"),
        ("sql/0001_a.sql", "1"),
        ("0001_renamed.sql", "1"),
        ("V1.2", "1.2"),
        ("1.2.0", "1.2"),
        ("V1.2__b", "1.2"),
        ("20240101000000_init", "20240101000000"),
        ("20240101000000_init/migration.sql", "20240101000000"),
        ("12/0012_x", "12/0012_x"),
        ("0012_y.sql", "12/0012_y"),
        ("v1.10", "1.10/c"),
        ("first", "first"),
        ("13", "13"),
        ("0013_new.sql", "13"),
        ("nothing", "nothing"),
    ],
)
def test_what_a_person_means(given: str, version: str) -> None:
    assert find_version(given, [migration(*each) for each in KNOWN.items()]) == version


def test_a_number_of_several_files_is_ambiguous_unless_it_is_an_end() -> None:
    known = [migration(*each) for each in KNOWN.items()]
    with pytest.raises(UsageInvalid) as caught:
        find_version("0012", known)
    assert [str(problem) for problem in caught.value.problems] == [
        "0012_x.sql: has the version 12/0012_x",
        "0012_y.sql: has the version 12/0012_y",
    ]
    assert find_version("12", known, last=True) == "12/0012_y"


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("0002_add_price.sql", "add_price"),
        ("0002-Add.up.sql", "add"),
        ("2.sql", ""),
        ("V1_2__add_price.sql", "add_price"),
        ("R__totals.sql", "totals"),
        ("1.2_x.sql", "x"),
        ("20240101000000_init/migration.sql", "init"),
        ("v1.0/event.sql", "event"),
        ("committed/000001-a.sql", "a"),
    ],
)
def test_names_without_numbers(file: str, name: str) -> None:
    assert name_without_number(file) == name


def test_a_file_keeps_the_version_that_the_history_has_for_it() -> None:
    rows = [migration("2", "2_a.sql"), migration("3/3_x", "3_x.sql")]
    folder = [migration("2/2_a", "2_a.sql"), migration("2/2_b", "2_b.sql"), migration("3", "3_x.sql")]
    assert recorded_versions(folder, rows) == {"2_a.sql": "2", "3_x.sql": "3/3_x"}
    assert recorded_versions(rows, rows) == {}


def test_rows_are_in_the_order_of_the_folder() -> None:
    place = ((10,), (-1, ""), 1)
    folder = [migration("10", "10_b.sql"), migration("9", "9_a.sql", place=place)]
    rows = [migration("9", "9_a.sql"), migration("10", "10_b.sql"), migration("8", "8_gone.sql")]
    assert [row.version for row in placed_rows(folder, rows)] == ["8", "10", "9"]
