"""No real history names a table or column that the check for unknown names takes for missing."""

from __future__ import annotations

import pytest

from mosaic_deploy.source.migrations.files import parse_migrations
from mosaic_deploy.source.migrations.lint import script
from mosaic_deploy.source.migrations.listing import read_migrations
from mosaic_deploy.sql.hazards import review
from tests.corpora.conftest import FOLDER, HISTORIES

pytestmark = pytest.mark.skipif(not HISTORIES, reason="the corpora are not beside the repository")
# The tables of the tools that applied these histories.
OF_OTHER_TOOLS = {"__diesel_schema_migrations", "_sqlx_migrations"}


@pytest.mark.parametrize("corpus", HISTORIES, ids=[corpus["name"] for corpus in HISTORIES])
def test_a_real_history_has_no_unknown_names(corpus) -> None:
    first = corpus["prerequisites"]["corpus_first"]
    folders = [FOLDER / first] if first else []
    files = [
        file for folder in (*folders, FOLDER / corpus["dir"]) for file in read_migrations(FOLDER, folder)
    ]
    scripts = [script(each) for each in parse_migrations(files)]
    found = review(scripts, {}).unknown
    assert [
        (str(location), str(one.table), one.column)
        for one, location in found
        if one.table.name not in OF_OTHER_TOOLS
    ] == []
