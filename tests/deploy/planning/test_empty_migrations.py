"""Pending files without statements are warned about before an apply records them."""

from __future__ import annotations

import pytest

from mosaic_deploy.deploy.planning.pending import empty_file_notes
from mosaic_deploy.model.snapshot import Migration, Project, Snapshot
from mosaic_deploy.source.migrations.files import MigrationFile, parse_migrations

LIVE = Snapshot(Project("p", "shop"), migrations=())


def notes(text: str, live: Snapshot = LIVE) -> list[str]:
    file = MigrationFile(Migration("2", "2_more.sql", "", ""), "sql/2_more.sql", text)
    return [note.code for note in empty_file_notes(parse_migrations([file]), live)]


@pytest.mark.parametrize(
    "text", ["", "-- more\n", "/* later */;\n", "-- migrate:up\n\n-- migrate:down\nDROP TABLE t;\n"]
)
def test_a_file_without_statements(text):
    assert notes(text) == ["migration_empty"]


@pytest.mark.parametrize("text", ["SELECT 1;", "COMMIT; SELECT 1;", "-- migrate:up\nSELECT 1;\n"])
def test_a_file_with_statements(text):
    assert notes(text) == []


def test_a_file_that_an_earlier_run_began():
    """It is empty now: then the history is compared with it, and says so."""
    begun = Migration("2", "2_more.sql", "", "", steps=2, steps_done=1)
    assert notes("-- more", Snapshot(LIVE.project, migrations=(begun,))) == []
