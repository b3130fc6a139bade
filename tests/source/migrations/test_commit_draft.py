"""Committing a draft turns it into the next migration and changes no other file."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mosaic_deploy.errors import DraftMissing, FileExists
from mosaic_deploy.source.migrations import draft
from mosaic_deploy.source.migrations.draft import commit_draft
from mosaic_deploy.source.migrations.layouts.layout import NewFile
from mosaic_deploy.source.migrations.listing import read_migrations

NOW = datetime(2026, 11, 23, 20, 45, 1, tzinfo=UTC)
TEXT = "create table x (id int);"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql/0001_a.sql").write_text("select 1")
    (tmp_path / "sql/draft.sql").write_text(TEXT)
    return tmp_path


def names(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "sql").iterdir())


def test_the_draft_gets_the_next_number(root: Path) -> None:
    assert commit_draft(root, "sql", "Add x", NOW) == root / "sql/0002_add_x.sql"
    assert names(root) == ["0001_a.sql", "0002_add_x.sql"]
    assert (root / "sql/0002_add_x.sql").read_text() == TEXT
    with pytest.raises(DraftMissing, match=r"sql/draft\.sql doesn't exist"):
        commit_draft(root, "sql", "Again", NOW)


def test_the_first_migration_from_an_upper_case_draft(root: Path) -> None:
    (root / "sql/0001_a.sql").unlink()
    (root / "sql/draft.sql").rename(root / "sql/DRAFT.SQL")
    assert [file.relative_path for file in read_migrations(root, "sql")] == []
    assert commit_draft(root, "sql", "x", NOW).name == "0001_x.sql"


@pytest.mark.parametrize("links", [True, False], ids=["with hard links", "without"])
def test_nothing_is_overwritten(root: Path, links: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The target is created after the folder was read: simulated by a number that doesn't count it."""
    (root / "sql/0002_x.sql").write_text("other")
    monkeypatch.setattr(draft, "next_files", lambda *_: [NewFile("0002_x.sql", "")])
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(FileExists, match=r"sql/0002_x\.sql already exists"):
        commit_draft(root, "sql", "x", NOW)
    assert (root / "sql/0002_x.sql").read_text() == "other"
    assert (root / "sql/draft.sql").read_text() == TEXT


def no_links(*_: object) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def test_file_systems_without_hard_links_work(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", no_links)
    assert commit_draft(root, "sql", "x", NOW).read_text() == TEXT
    assert names(root) == ["0001_a.sql", "0002_x.sql"]


def test_symlinks_are_kept(root: Path) -> None:
    (root / "drafts.sql").write_text(TEXT)
    (root / "sql/draft.sql").unlink()
    (root / "sql/draft.sql").symlink_to("../drafts.sql")
    assert commit_draft(root, "sql", "x", NOW).is_symlink()
    assert names(root) == ["0001_a.sql", "0002_x.sql"]
