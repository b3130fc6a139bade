"""Real histories with other tools' section markers: the schema is that of the up sections through psql."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.corpora.conftest import FOLDER
from tests.deploy.conftest import Site, api, site  # noqa: F401 - fixtures

LAYOUTS = FOLDER / "layouts"
pytestmark = [
    pytest.mark.skipif(not LAYOUTS.exists(), reason="the corpora are not beside the repository"),
    pytest.mark.timeout(300),
]
DOWN = re.compile(r"^-- \+(?:goose|migrate) Down", re.MULTILINE)


def up_half(file: Path) -> str:
    """Both histories have one Up section, before the Down section."""
    return DOWN.split(file.read_text())[0]


@pytest.mark.parametrize(
    "folder", ["goose-openfga/assets/migrations/postgres", "sqlmigrate-nakama/migrate/sql"]
)
def test_a_history_with_sections(folder: str, site: Site, cluster, project, tmp_path: Path):  # noqa: F811
    files = sorted((LAYOUTS / folder).glob("*.sql"))
    assert len(files) > 5
    reference = str(cluster.credentials(project(f"{folder} by psql"))["database_url"])
    for number, file in enumerate(files, 1):
        up = tmp_path / "up.sql"
        up.write_text(up_half(file))
        # The tools run a file in a transaction: two files of nakama end it themselves, and leave one open.
        cluster.psql(reference, [up], one_transaction="+goose NO TRANSACTION" not in file.read_text())
        # Two files of nakama have the same number.
        site.write(f"sql/{number:04}_{file.stem}.sql", file.read_bytes())
    site.manifest(database={"migrations": "sql"})
    last = site.apply()
    assert len([name for name in last.done if name.startswith("migration:")]) == len(files)
    ours = str(cluster.credentials(site.project_id)["database_url"])
    assert cluster.dump(ours) == cluster.dump(reference)
