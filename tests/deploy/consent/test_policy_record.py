"""The policy of the last deploy is recorded, and one that forbids less is a change that a person approves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mosaic_deploy import deploy
from mosaic_deploy.deploy import PlanOptions
from mosaic_deploy.deploy.history.read import read_history_context
from mosaic_deploy.deploy.history.rollback import plan_rollback
from mosaic_deploy.deploy.planning.deferred import without_unapproved
from mosaic_deploy.diff.gate import Actor, needs_person
from mosaic_deploy.diff.policies import loosened, record_with, recorded_policy
from mosaic_deploy.diff.selection import Selection, parse_selector
from mosaic_deploy.model.change import LoosenPolicy
from mosaic_deploy.model.event import ApplyDone
from mosaic_deploy.model.manifest import PolicySpec
from mosaic_deploy.source.manifest.read import read_manifest

STRICT = {"destructive": "deny", "protected_tables": ["t"], "max_deletes": 2, "agents": "proven"}


@pytest.fixture
def strict(site):
    site.write("sql/1_t.sql", "create table t (id int); insert into t values (1);")
    site.write("www/index.html", "x")
    policy(site, STRICT)
    site.apply()
    return site


def policy(site, rules) -> None:
    site.manifest(
        database={"migrations": "sql"}, static={"dir": "www"}, **({} if rules is None else {"policy": rules})
    )


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ({**STRICT, "destructive": "confirm"}, "destructive: deny → confirm"),
        ({**STRICT, "protected_tables": ["other"]}, "protected_tables: without t"),
        ({**STRICT, "max_deletes": 3}, "max_deletes: 2 → 3"),
        ({**STRICT, "agents": "any"}, "agents: proven → any"),
        (
            None,
            "destructive: deny → confirm; protected_tables: without t; max_deletes: 2 → no limit; agents: proven → any",
        ),
    ],
)
def test_a_looser_policy_is_a_change_of_its_own(strict, rules, reason):
    policy(strict, rules)
    planned = strict.plan()
    assert planned.plan.changes == (LoosenPolicy(reason),)
    assert [each.allow for each in planned.plan.approvals] == ["policy"]
    for actor in (Actor(), Actor(frozenset({"destructive", "prune", "overwrite"}), is_agent=True)):
        assert [each.kind for each in needs_person(planned.plan, PolicySpec("allow"), actor)] == ["policy"]
    assert not needs_person(planned.plan, None, Actor(frozenset({"policy"})))
    strict.apply()
    assert not strict.plan().has_work


def test_selecting_a_part_does_not_leave_it_out(strict):
    policy(strict, None)
    strict.write("www/index.html", "y")
    plan = strict.plan(options=PlanOptions(selection=Selection(only=(parse_selector("static"),)))).plan
    assert [change.address for change in plan.changes] == ["policy:manifest", "static:index.html"]


def test_files_that_are_deployed_before_the_approval_do_not_record_it(strict):
    """As `watch` deploys them while its question is open."""
    policy(strict, None)
    strict.write("www/index.html", "y")
    planned = strict.plan()
    missing = needs_person(planned.plan, planned.desired.manifest.policy, Actor())
    partial = replace(planned, plan=without_unapproved(planned.plan, missing))
    assert [change.address for change in partial.plan.changes] == ["static:index.html"]
    assert isinstance(strict.run(partial)[-1], ApplyDone)
    assert [change.kind for change in strict.plan().plan.changes] == ["policy"]


@pytest.mark.parametrize("rules", [{**STRICT, "max_deletes": 1}, {**STRICT, "protected_tables": ["t", "u"]}])
def test_a_stricter_policy_is_only_recorded(strict, rules):
    policy(strict, rules)
    planned = strict.plan()
    assert (planned.plan.changes, planned.has_work) == ((), True)
    assert [note.code for note in planned.plan.notes] == ["policy_not_recorded"]
    strict.apply()
    assert not strict.plan().has_work
    policy(strict, STRICT)
    assert [change.kind for change in strict.plan().plan.changes] == ["policy"]


def test_another_manifest_begins_with_what_the_strictest_forbids(strict):
    strict.manifest(static={"dir": "www"})
    (strict.root / "mosaic.yaml").rename(strict.root / "other.yaml")
    manifest = read_manifest(strict.root / "other.yaml", environ={})
    plan = deploy.plan(strict.api, manifest, deploy.Target(None, strict.name), deploy.PlanOptions()).plan
    assert [change.kind for change in plan.changes] == ["policy"]


@pytest.mark.parametrize(("recorded", "denied"), [("deny", True), ("confirm", False)])
def test_rollback_goes_by_the_stricter_policy(site, recorded, denied):
    site.write("sql/1_t.sql", "create table t (id int); insert into t values (1);")
    site.write("sql/1_t.down.sql", "drop table t;")
    site.manifest(database={"migrations": "sql"}, policy={"destructive": recorded})
    site.apply()
    site.manifest(database={"migrations": "sql"}, policy={"destructive": "allow"})
    manifest = read_manifest(site.root, environ={})
    context = read_history_context(site.api, manifest, deploy.Target(None, site.name))
    planned = plan_rollback(site.api, context)
    assert bool(planned.plan.denied) is denied
    missing = needs_person(planned.plan, planned.desired.manifest.policy, Actor())
    assert [each.allow for each in missing] == ([] if denied else ["destructive"])


def test_records_that_cannot_be_read_count_as_none(tmp_path: Path) -> None:
    for record in (None, 1, [], {"m": 1}, {"m": {}}, {"m": {"destructive": "perhaps"}}):
        assert recorded_policy(record, "m") is None
    record = record_with({"a": 1}, "m", PolicySpec("deny", ("t",), 3))
    assert recorded_policy(record, "m") == PolicySpec("deny", ("t",), 3)
    assert recorded_policy(record_with(record, "n", None), "new") == PolicySpec("deny", ("t",), 3)
    assert loosened(PolicySpec(), PolicySpec("deny", ("t",), 3)) == ""
