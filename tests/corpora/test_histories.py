"""Real histories, files unmodified, through `mosaic-deploy apply`: the schema is psql's, a second plan is empty."""

from __future__ import annotations

import shutil

import pytest

from tests.corpora.conftest import FOLDER, HISTORIES
from tests.deploy.conftest import Site, api, site  # noqa: F401 - fixtures

pytestmark = [
    pytest.mark.skipif(not HISTORIES, reason="the corpora are not beside the repository"),
    pytest.mark.timeout(600),
]


def psql_needs_one_transaction(corpus: dict) -> bool:
    """How psql has to be told to apply this history without an error or lost work."""
    return (
        "unbalanced-begin" in corpus["features"]
        or corpus["files_failing_on_postgresql_18"]["psql_f_autocommit"] > 0
    )


@pytest.mark.parametrize("corpus", HISTORIES, ids=[corpus["name"] for corpus in HISTORIES])
def test_a_real_history(corpus, site: Site, cluster, project, record_property):  # noqa: F811
    files = sorted((FOLDER / corpus["dir"]).glob("*.sql"))
    (site.root / "sql").mkdir()
    first = corpus["prerequisites"]["corpus_first"]
    before = sorted((FOLDER / first).glob("*.sql")) if first else []
    reference = cluster.prepare(project(f"{corpus['name']} by psql"), corpus)
    ours_id = project(site.name)
    ours = cluster.prepare(ours_id, corpus)
    for file in before:
        for url in (reference, ours):
            cluster.psql(f"{url}?options=-csearch_path%3Dauth", file, one_transaction=False)
    for file in files:
        cluster.psql(reference, file, one_transaction=psql_needs_one_transaction(corpus))
        shutil.copy(file, site.root / "sql")
    site.manifest(database={"migrations": "sql"})
    requests = site.api.traffic.requests
    last = site.apply()
    record_property("requests", site.api.traffic.requests - requests)
    assert len(last.done) == len(files)
    assert cluster.dump(ours) == cluster.dump(reference)
