"""Real histories in the folders of their tools, as they are: run in the tool's order, and the schema is that of psql."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.corpora.conftest import FOLDER
from tests.deploy.conftest import Site, api, site  # noqa: F401 - fixtures

LAYOUTS = FOLDER / "layouts"
pytestmark = [
    pytest.mark.skipif(not LAYOUTS.exists(), reason="the corpora are not beside the repository"),
    pytest.mark.timeout(900),
]
DOWN = re.compile(r"^-- \+(?:goose|migrate) Down", re.MULTILINE)


def numbers(path: Path) -> tuple[int, ...]:
    """The number in a file's or folder's name, as Flyway and people compare it."""
    found = re.match(r"[Vv]?([0-9]+(?:[._][0-9]+)*)(?=__|[-_.]|$)", path.name)
    return tuple(int(part) for part in re.split(r"[._]", found[1])) if found else ()


def by_name(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.sql") if not path.name.endswith(".down.sql"))


def by_journal(folder: Path) -> list[Path]:
    journal = json.loads((folder / "meta/_journal.json").read_text())
    return [folder / f"{entry['tag']}.sql" for entry in journal["entries"]]


def by_flyway(folder: Path) -> list[Path]:
    """Repeatable ones at the end: those of this history in the order in which they use each other."""
    names = ("R__Datasets_view.sql", "R__Jobs_view_and_rewrite_function.sql", "R__Runs_view.sql")
    return [*sorted(folder.glob("V*.sql"), key=numbers), *(folder / name for name in names)]


def by_version(folder: Path) -> list[Path]:
    """As Temporal's schema tool: its manifest lists the files of a version."""
    listed = []
    for version in sorted(folder.glob("v*"), key=lambda path: [int(n) for n in path.name[1:].split(".")]):
        names = json.loads((version / "manifest.json").read_text())["SchemaUpdateCqlFiles"]
        listed += [version / name for name in names]
    return listed


@dataclass(frozen=True)
class History:
    folder: str
    layout: str
    order: Callable[[Path], Sequence[Path]]


HISTORIES = [
    History("goose-openfga/assets/migrations/postgres", "numbered", by_name),
    History("sqlmigrate-nakama/migrate/sql", "numbered", by_name),
    History("sqlx-docsrs/crates/lib/docs_rs_database/migrations", "numbered", by_name),
    History("flyway-marquez/api/src/main/resources/marquez/db/migration", "flyway", by_flyway),
    History("versioned-temporal/schema/postgresql/v12/temporal/versioned", "versioned", by_version),
    History("versioned-temporal/schema/postgresql/v12/visibility/versioned", "versioned", by_version),
    History("drizzle-sim/packages/db/migrations", "drizzle", by_journal),
]


@pytest.mark.exhaustive
@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history.folder.partition("/")[0])
def test_a_history_as_it_is(history: History, site: Site, cluster, project, tmp_path: Path):  # noqa: F811
    """Unchanged files run in the order of their tool; afterwards there is nothing left to do."""
    folder = LAYOUTS / history.folder
    shutil.copytree(folder, site.root / history.folder)
    wanted = history.order(folder)
    reference = str(cluster.credentials(project(f"{history.folder} by psql"))["database_url"])
    for file in wanted:
        text = file.read_text()
        up = tmp_path / "up.sql"
        up.write_text(DOWN.split(text)[0])
        # The tools run a file in a transaction: two files of nakama end it themselves, and leave one open.
        outside = "+goose NO TRANSACTION" in text or "CONCURRENTLY" in text
        cluster.psql(reference, [up], one_transaction=not outside)
    site.manifest(database={"migrations": history.folder, "extensions": ["vector"]})
    last = site.apply()
    names = [name for name in last.done if name.startswith(("migration:", "repeatable:"))]
    assert [name.rpartition("/")[2].partition(":")[2] or name.rpartition("/")[2] for name in names] == [
        path.name for path in wanted
    ]
    ours = str(cluster.credentials(site.project_id)["database_url"])
    assert cluster.dump(ours) == cluster.dump(reference)
    assert not site.plan().has_work
