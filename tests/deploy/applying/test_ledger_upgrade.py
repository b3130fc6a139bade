"""Tracking tables of an older layout: a plan reads them as they are, and an apply upgrades them."""

from __future__ import annotations

import pytest

from mosaic_deploy.errors import TrackingTablesNewer
from mosaic_deploy.live.ledger.tables import LEDGER_VERSION, OLDEST_LEDGER_VERSION, install_sql
from tests.deploy.recovery.test_crashes import small

_COLUMNS = "select column_name as c, data_type as t from information_schema.columns where table_schema = 'mosaic_deploy' order by table_name, 1"
_TO_VERSION_2 = """
alter table mosaic_deploy.objects drop column manifest, drop column proof, drop column source;
alter table mosaic_deploy.migrations alter column version type bigint using version::bigint;
update mosaic_deploy.ledger set version = 2"""


def _version(site) -> object:
    return site.sql("select version from mosaic_deploy.ledger")[0]["version"]


def test_an_older_layout_is_read_and_then_upgraded(site):
    small(site, "first")
    site.apply()
    newest = site.sql(_COLUMNS)
    site.sql(_TO_VERSION_2)
    assert site.plan().plan.changes == ()
    assert _version(site) == OLDEST_LEDGER_VERSION, "a plan writes nothing"
    small(site, "second")
    site.apply()
    assert (_version(site), site.sql(_COLUMNS)) == (LEDGER_VERSION, newest)
    found = site.sql(
        "select kind = 'seed' as seed, manifest as m, proof <> '' as proven from mosaic_deploy.objects group by 1, 2, 3"
    )
    assert {tuple(row.values()) for row in found if not row["seed"]} == {(False, "site/mosaic.yaml", True)}
    assert not site.plan().has_work


def test_an_upgrade_can_be_sent_again_and_late(site):
    """Also after a newer program has upgraded the tables further."""
    small(site, "first")
    site.apply()
    site.sql(_TO_VERSION_2)
    for _ in range(2):
        site.api.sql(site.project_id, install_sql())
        assert _version(site) == LEDGER_VERSION
    project = site.project_id
    newer = "alter table mosaic_deploy.objects rename column manifest to placed_by; update mosaic_deploy.ledger set version = 99"
    site.api.sql(project, newer)
    before = site.api.sql(project, _COLUMNS)
    site.api.sql(project, install_sql())
    assert site.api.sql(project, _COLUMNS) == before
    with pytest.raises(TrackingTablesNewer):
        site.plan()
