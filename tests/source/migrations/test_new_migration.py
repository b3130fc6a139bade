"""Number, name and content of new migrations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from mosaic_deploy.errors import FileExists, UsageInvalid, WriteFailed
from mosaic_deploy.source.migrations.layouts.numbered import next_version
from mosaic_deploy.source.migrations.listing import read_migrations
from mosaic_deploy.source.migrations.new import slugify, write_new_migration

NOW = datetime(2026, 11, 23, 20, 45, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        ([], "0001"),
        (["0001_a.sql"], "0002"),
        (["1_a.sql", "9_b.sql"], "10"),
        (["0009_a.sql"], "0010"),
        (["99_a.sql"], "100"),
        (["0099-a.sql"], "0100"),
        (["20240101120000_a.sql"], "20261123204501"),
        (["20261123204501_a.sql"], "20261123204502"),
        (["20991231235959_a.sql"], "20991231235960"),
        (["0001_a.sql", "20240101120000_b.sql"], "20261123204501"),
        (["20241301120000_no_month.sql"], "20241301120001"),
        (["202401011200_minutes.sql"], "202401011201"),
    ],
)
def test_the_next_number_keeps_the_format_of_the_newest(existing, expected):
    assert next_version(existing, NOW) == expected


def test_timestamps_are_utc():
    east = NOW.astimezone(timezone(timedelta(hours=9)))
    assert next_version(["20240101120000_a.sql"], east) == "20261123204501"


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Add orders", "add_orders"),
        ("  a -- b/../c.sql ", "a_b_c_sql"),
        ("Größe", "größe"),
        ("注文", "注文"),
        ("x" * 300, "x" * 100),
        ("é" * 99, "é" * 50),
        ("snake_case_already", "snake_case_already"),
    ],
)
def test_names_are_safe(title, expected):
    assert slugify(title) == expected


@pytest.mark.parametrize("title", ["", "..", "///", "__"])
def test_a_title_without_letters_is_rejected(title):
    with pytest.raises(UsageInvalid):
        slugify(title)


def test_a_new_migration_is_valid_and_never_overwritten(tmp_path: Path):
    folder = tmp_path / "sql"
    folder.mkdir()
    [path] = write_new_migration(tmp_path, "sql", "a\n; drop table x", NOW)
    assert path.name == "0001_a_drop_table_x.sql"
    assert [file.migration.version for file in read_migrations(tmp_path, "sql")] == ["1"]
    assert path.read_text().startswith("-- a ; drop table x\n-- ")
    (folder / "0002_b.sql").mkdir()
    with pytest.raises(FileExists, match="already exists"):
        write_new_migration(tmp_path, "sql", "b", NOW)
    [nested] = write_new_migration(tmp_path, "new/sql", "a", NOW)
    assert nested.is_file()
    with pytest.raises(WriteFailed):
        write_new_migration(tmp_path, "new/sql/0001_a.sql/sql", "a", NOW)
