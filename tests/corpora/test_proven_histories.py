"""The last third of each real history, planned and rehearsed on the first two thirds, is applied as it was rehearsed."""

from __future__ import annotations

import shutil

import pytest

from mosaic_deploy.deploy.rehearsal import rehearse
from mosaic_deploy.errors import RehearsalFailed
from mosaic_deploy.model.event import ApplyDone
from tests.corpora.conftest import FOLDER, HISTORIES
from tests.deploy.conftest import Site, api, site  # noqa: F401 - fixtures
from tests.deploy.rehearsal.test_schema_check import finds_no_difference, read_groups
from tests.sampling import sampled

pytestmark = [
    pytest.mark.skipif(not HISTORIES, reason="the corpora are not beside the repository"),
    pytest.mark.timeout(600),
]


@pytest.mark.parametrize("corpus", sampled(HISTORIES, 4, [corpus["name"] for corpus in HISTORIES]))
def test_the_last_third_is_applied_as_rehearsed(corpus, site: Site, cluster, project, record_property):  # noqa: F811
    files = sorted((FOLDER / corpus["dir"]).glob("*.sql"))
    (site.root / "sql").mkdir()
    first = corpus["prerequisites"]["corpus_first"]
    before = sorted((FOLDER / first).glob("*.sql")) if first else []
    ours = cluster.prepare(project(site.name), corpus)
    cluster.psql(f"{ours}?options=-csearch_path%3Dauth", before, one_transaction=False)
    for file in files[: len(files) * 2 // 3]:
        shutil.copy(file, site.root / "sql")
    site.manifest(database={"migrations": "sql"})
    site.apply()
    for file in files:
        shutil.copy(file, site.root / "sql")
    try:
        planned = rehearse(site.api, site.api, site.plan(), "mosaic-deploy plan")
    except RehearsalFailed as error:
        pytest.skip(f"needs rows or rights that a rehearsal doesn't have: {error.message}")
    found = planned.plan.rehearsal
    assert found is not None
    record_property("not rehearsed", found.not_rehearsed)
    record_property("touched", sum(len(step.touches) for step in found.steps))
    last = site.run(planned)[-1]
    assert isinstance(last, ApplyDone), last
    finds_no_difference(site, read_groups(site))
    if found.not_rehearsed:
        pytest.skip(found.not_rehearsed)
