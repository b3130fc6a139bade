"""Real histories, files unmodified, through `mosaic-deploy apply`: the schema is psql's, a second plan is empty.

A baseline of what psql made finds all that the files create.
"""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from mosaic_deploy.deploy.history.adopt import plan_baseline
from mosaic_deploy.diff.gate import Consent
from mosaic_deploy.model.catalog import SchemaState
from tests.corpora.conftest import FOLDER, HISTORIES, psql_needs_one_transaction
from tests.deploy.conftest import Site, api, site  # noqa: F401 - fixtures
from tests.deploy.histories import known
from tests.sampling import sampled

pytestmark = [
    pytest.mark.skipif(not HISTORIES, reason="the corpora are not beside the repository"),
    pytest.mark.timeout(600),
]


@pytest.mark.parametrize("corpus", sampled(HISTORIES, 2, [corpus["name"] for corpus in HISTORIES]))
def test_a_real_history(corpus, site: Site, cluster, project, record_property):  # noqa: F811
    files = sorted((FOLDER / corpus["dir"]).glob("*.sql"))
    (site.root / "sql").mkdir()
    first = corpus["prerequisites"]["corpus_first"]
    before = sorted((FOLDER / first).glob("*.sql")) if first else []
    by_psql = f"{corpus['name']} by psql"
    reference = cluster.prepare(project(by_psql), corpus)
    ours_id = project(site.name)
    ours = cluster.prepare(ours_id, corpus)
    for url in (reference, ours):
        cluster.psql(f"{url}?options=-csearch_path%3Dauth", before, one_transaction=False)
    cluster.psql(reference, files, one_transaction=psql_needs_one_transaction(corpus))
    for file in files:
        shutil.copy(file, site.root / "sql")
    assert_baseline_finds_all(replace(site, name=by_psql))
    site.manifest(database={"migrations": "sql"})
    requests = site.api.traffic.requests
    last = site.apply()
    record_property("requests", site.api.traffic.requests - requests)
    assert len(last.done) == len(files)
    assert cluster.dump(ours) == cluster.dump(reference)
    drift = site.plan().plan.drift
    assert drift is not None
    assert (drift.state, drift.changes) == (SchemaState.UNCHANGED, ())


def assert_baseline_finds_all(made: Site) -> None:
    """In a project in which psql ran the files of the folder."""
    made.manifest(database={"migrations": "sql"})
    context = known(made)
    planned = plan_baseline(made.api, context, context.files[-1].migration.version)
    assert len(planned.plan.changes) == len(context.files)


_DEPLOYS = 4


@pytest.mark.parametrize("corpus", sampled(HISTORIES, 4, [corpus["name"] for corpus in HISTORIES]))
def test_no_deploy_makes_drift(corpus, site: Site, cluster, project):  # noqa: F811
    """A history in several deploys: after each, the schema is the recorded one, and what drifted before stays drift."""
    files = sorted((FOLDER / corpus["dir"]).glob("*.sql"))
    (site.root / "sql").mkdir()
    ours = cluster.prepare(project(site.name), corpus)
    first = corpus["prerequisites"]["corpus_first"]
    before = sorted((FOLDER / first).glob("*.sql")) if first else []
    cluster.psql(f"{ours}?options=-csearch_path%3Dauth", before, one_transaction=False)
    site.manifest(database={"migrations": "sql"})
    size = -(-len(files) // _DEPLOYS)
    drifted = False
    for start in range(0, len(files), size):
        for file in files[start : start + size]:
            shutil.copy(file, site.root / "sql")
        # What functions destroy isn't in the plan.
        site.apply(consent=Consent("yes", frozenset({"destructive"})))
        drift = site.plan().plan.drift
        assert drift is not None
        assert [each.summary for each in drift.changes] == (_BY_HAND if drifted else [])
        if not drifted:
            site.sql("create table public.made_by_hand (id int)")
            drifted = True


_BY_HAND = ["table made_by_hand (id integer)"]
