"""Two manifests of one project: each counts only the seeds that it ran itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mosaic_deploy.errors import SourceRefused
from tests.deploy.faults import Dying, is_write
from tests.deploy.recovery.test_crashes import free_lease


def numbers(site) -> list[object]:
    return [row["n"] for row in site.sql("select n from t order by n")]


def seeding(site, name: str, **seeds: str):
    """The manifest in the folder `name`, with its seeds."""
    found = replace(site, root=site.root / name)
    for seed, text in seeds.items():
        found.write(f"seeds/{seed}.sql", text)
    found.manifest(database={"seeds": ["seeds"]})
    return found


@pytest.fixture
def web(site):
    """A manifest with migrations and a seed, deployed."""
    web = replace(site, root=site.root / "web")
    web.write("sql/1_t.sql", "create table t (n int);")
    web.write("seeds/demo.sql", "insert into t values (1);")
    web.manifest(database={"migrations": "sql", "seeds": ["seeds"]})
    web.apply()
    return web


@pytest.mark.parametrize("text", ["insert into t values (2);", "insert into t values (1);"])
def test_a_name_that_another_manifest_used_is_refused(site, web, text):
    admin = seeding(site, "admin", demo=text)
    with pytest.raises(SourceRefused) as caught:
        admin.plan()
    [problem] = caught.value.problems
    assert (str(problem.location), problem.message) == (
        "seeds/demo.sql",
        "web/mosaic.yaml has run its own seeds/demo.sql; give this one another name",
    )
    (admin.root / "seeds/demo.sql").rename(admin.root / "seeds/admin.sql")
    admin.apply()
    assert len(numbers(web)) == 2
    for each in (web, admin):
        planned = each.plan()
        assert (planned.plan.changes, planned.plan.notes, planned.has_leftover_work) == ((), (), False)


def test_equal_content_under_another_name_is_another_seed(site, web):
    admin = seeding(site, "admin", other="insert into t values (1);")
    planned = admin.plan()
    assert [(change.address, change.reason) for change in planned.plan.changes] == [
        ("seed:seeds/other.sql", "not run yet")
    ]
    admin.apply()
    assert numbers(web) == [1, 1]
    (web.root / "seeds/demo.sql").rename(web.root / "seeds/first.sql")
    assert [note.code for note in web.plan().plan.notes] == ["seed_renamed"]
    web.apply()
    rows = web.sql("select path, manifest from mosaic_deploy.objects where kind = 'seed' order by path")
    assert [tuple(row.values()) for row in rows] == [
        ("seeds/first.sql", "web/mosaic.yaml"),
        ("seeds/other.sql", "admin/mosaic.yaml"),
    ]
    assert not admin.plan().has_work
    assert not web.plan().has_work


def test_rows_without_a_manifest_count_for_all(site, web):
    web.sql("update mosaic_deploy.objects set manifest = '' where kind = 'seed'")
    assert not web.plan().has_work
    assert seeding(site, "admin", demo="insert into t values (1);").plan().plan.changes == ()


def test_two_manifests_of_one_folder_share_its_seeds(web):
    (web.root / "mosaic.yaml").rename(web.root / "mosaic.yml")
    planned = web.plan()
    assert (planned.plan.changes, planned.moved_seeds) == ((), ())
    web.write("seeds/demo.sql", "insert into t values (5);")
    web.apply()
    assert numbers(web) == [1, 5]


def test_a_folder_that_becomes_a_repository_keeps_its_seeds(web):
    (web.root / ".git").mkdir()
    planned = web.plan()
    assert planned.plan.changes == ()
    assert planned.has_leftover_work
    web.apply()
    assert web.plan().moved_seeds == ()
    rows = web.sql("select manifest from mosaic_deploy.objects where kind = 'seed'")
    assert rows == [{"manifest": "mosaic.yaml"}]


@pytest.mark.parametrize("point", range(1, 6))
def test_a_moved_folder_keeps_its_seeds_through_a_crash(site, web, api_over, point):
    (site.root / ".git").mkdir()
    web.apply()
    web.root.rename(site.root / "shop")
    shop = replace(site, root=site.root / "shop")
    planned = shop.plan()
    assert (planned.plan.changes, len(planned.moved_seeds)) == ((), 1)
    shop.run(api=api_over(Dying(point, is_write, after=True)))
    free_lease(shop)
    shop.apply()
    assert numbers(shop) == [1]
    assert not shop.plan().has_work
    rows = shop.sql("select manifest from mosaic_deploy.objects where kind = 'seed'")
    assert rows == [{"manifest": "shop/mosaic.yaml"}]


def test_the_offered_command_records_a_renamed_manifest(site, web):
    admin = seeding(site, "admin", demo="insert into t values (1);")
    with pytest.raises(SourceRefused) as caught:
        admin.plan()
    [action] = caught.value.next_actions
    assert action.needs_person
    import shlex

    web.sql(shlex.split(action.command)[-1])
    assert admin.plan().plan.changes == ()
