"""What of a plan needs a person, by who applies it."""

from __future__ import annotations

from mosaic_deploy.diff.gate import Actor, needs_person
from mosaic_deploy.diff.policies import stricter_policy
from mosaic_deploy.errors import Location
from mosaic_deploy.model.catalog import Rehearsal, RehearsedChange
from mosaic_deploy.model.change import (
    Action,
    ApplyMigration,
    Change,
    DeleteStatic,
    DeleteStorageFile,
    PutStatic,
    PutStorageFile,
    RunSeed,
)
from mosaic_deploy.model.hazard import Hazard, HazardSeverity, RowCheck
from mosaic_deploy.model.manifest import PolicySpec
from mosaic_deploy.model.plan import Plan
from mosaic_deploy.model.snapshot import Project

DROP = Hazard(
    "drop_table", HazardSeverity.DESTRUCTIVE, "drops table t", "t", Location("1.sql", 1, 1), "public.t",
    ignored="its author says so",
)  # fmt: skip
OWN_DELETED = DeleteStatic("a.html", "no longer in the folder")
OTHERS_DELETED = DeleteStorageFile("u.png", "not deployed by this project", unmanaged=True)
OWN_REPLACED = PutStatic("b.html", "0" * 64, 1, Action.CHANGE, "content changed")
OTHERS_REPLACED = PutStorageFile("c.png", "0" * 64, 1, Action.CHANGE, "overwrites", overwrites=True)
NEW = PutStatic("d.html", "0" * 64, 1, Action.ADD, "new")
LIVE = {"static": 10, "storage": 10}


def needed(
    *what: Change | Hazard, agent: bool = False, rule: str = "confirm", allow: tuple[str, ...] = ()
) -> list[str]:
    changes = tuple(each for each in what if not isinstance(each, Hazard))
    hazards = tuple(each for each in what if isinstance(each, Hazard))
    plan = Plan(Project("p", "p"), changes, (), "d", "l", 1, hazards=hazards, live_counts=LIVE)
    actor = Actor(frozenset(allow), agent)
    return [each.allow for each in needs_person(plan, PolicySpec(rule), actor)]


def test_people_and_scripts_need_approval_for_what_is_lost() -> None:
    assert needed(OWN_DELETED, OWN_REPLACED, NEW) == []
    assert needed(DROP, OTHERS_DELETED, OTHERS_REPLACED) == ["overwrite=1", "prune=1", "destructive"]
    assert needed(DROP, OTHERS_DELETED, allow=("prune=1",)) == ["destructive"]
    assert needed(OTHERS_DELETED, allow=("prune=2", "prune", "destructive")) == ["prune=1"]
    assert needed(DROP, OTHERS_DELETED, rule="allow") == ["prune=1"]


def test_an_agent_may_add_and_nothing_else() -> None:
    assert needed(NEW, agent=True) == []
    assert needed(OWN_DELETED, agent=True) == ["prune"]
    assert needed(OWN_REPLACED, agent=True) == ["overwrite"]
    assert needed(DROP, agent=True) == ["destructive"]
    assert needed(OTHERS_DELETED, agent=True) == ["prune=1"]
    assert needed(OTHERS_REPLACED, agent=True) == ["overwrite=1"]


def test_the_server_or_the_policy_allow_an_agent_what_is_this_projects() -> None:
    everything = ("destructive", "prune", "overwrite")
    for given in ({"allow": everything}, {"rule": "allow"}):
        assert needed(DROP, OWN_DELETED, OWN_REPLACED, agent=True, **given) == []
        assert needed(OTHERS_DELETED, OTHERS_REPLACED, agent=True, **given) == ["overwrite=1", "prune=1"]


def test_the_stricter_policy_forbids_what_either_forbids() -> None:
    one, other = PolicySpec("allow", ("a",), 5), PolicySpec("deny", ("b", "a"), None)
    assert stricter_policy(one, other) == PolicySpec("deny", ("a", "b"), 5)
    assert stricter_policy(other, one) == PolicySpec("deny", ("b", "a"), 5)
    assert stricter_policy(one, None) == PolicySpec("confirm", ("a",), 5)
    assert stricter_policy(None, None) == PolicySpec()


def test_problems_have_paths_relative_to_the_manifest() -> None:
    migration = ApplyMigration("1", "1.sql", "c", "s", updates=("t (table has 2 rows)",))
    seed = RunSeed("seeds/1.sql", "0" * 64, 1, Action.ADD, "new", updates=("u (table has 2 rows)",))
    plan = Plan(Project("p", "p"), (migration, seed), (), "d", "l", 1, migrations="db/sql")
    [approval] = needs_person(plan, None, Actor(is_agent=True))
    assert [problem.location.file for problem in approval.problems] == ["db/sql/1.sql", "seeds/1.sql"]


MIGRATION = ApplyMigration("1", "1.sql", "c", "s", 1)
SEED = RunSeed("seeds/1.sql", "0" * 64, 1, Action.ADD, "new")


def unproven(*changes: Change, checks: tuple[RowCheck, ...] = (), done: tuple[str, ...] = ()) -> str:
    """Why a person must apply the plan, if only proven ones are for agents; people may apply all."""
    rehearsal = Rehearsal((RehearsedChange(done, ()),), row_checks=checks) if done else None
    plan = Plan(Project("p", "p"), changes, (), "d", "l", 1, rehearsal=rehearsal)
    policy = PolicySpec(agents="proven")
    assert needs_person(plan, policy, Actor()) == ()
    assert needs_person(plan, PolicySpec(), Actor(is_agent=True)) == ()
    return ", ".join(
        each.effect for each in needs_person(plan, policy, Actor(frozenset({"destructive"}), is_agent=True))
    )


def test_an_agent_may_apply_only_proven_plans() -> None:
    ran = (MIGRATION.address, SEED.address)
    assert unproven(NEW) == ""
    assert unproven(MIGRATION, SEED, done=ran) == ""
    assert "no rehearsal was made" in unproven(MIGRATION)
    assert "the rehearsal was of other migrations" in unproven(MIGRATION, done=("migration:2.sql",))
    assert "seeds that weren't rehearsed" in unproven(MIGRATION, SEED, done=ran[:1])
    for check, reason in (
        (RowCheck("UNIQUE", "unique", "t", 0), ""),
        (RowCheck("UNIQUE", "unique", "t", 2), "live rows violate"),
        (RowCheck("UNIQUE", "unique", "t", 2, written=True), "live rows violate"),
        (RowCheck("EXCLUDE", "exclude", "t", reason="isn't checked"), "wasn't checked on the live rows"),
    ):
        found = unproven(MIGRATION, done=ran, checks=(check,))
        assert (reason in found) if reason else found == ""
