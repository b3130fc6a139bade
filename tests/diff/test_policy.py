"""What a policy denies and what it asks about, from hazards and deletions alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mosaic_deploy.diff.policy import apply_policy, reaches, refuse_denied
from mosaic_deploy.errors import Location, PolicyDenied
from mosaic_deploy.model.change import DeleteStatic, DeleteStorageFile
from mosaic_deploy.model.hazard import Hazard, HazardSeverity
from mosaic_deploy.model.manifest import Manifest, PolicySpec
from mosaic_deploy.model.plan import Plan
from mosaic_deploy.model.snapshot import Project

CHANGES = (DeleteStatic("a", "gone"), DeleteStatic("b", "gone"), DeleteStorageFile("c", "gone"))
PLAN = Plan(Project("p", "p"), CHANGES, (), "d", "l", 1)
WHERE = Location("sql/1.sql", 1, 1)


def hazard(
    severity: HazardSeverity = HazardSeverity.DESTRUCTIVE, table: str = "public.orders", ignored: str = ""
) -> Hazard:
    return Hazard("drop_table", severity, "drops table orders", "orders", WHERE, table, ignored=ignored)


def test_a_denial_names_the_environment_whose_policy_it_is() -> None:
    manifest = Manifest(
        Path("mosaic.yaml"), policy=PolicySpec("deny", ("orders",), 1), environment="production"
    )
    where = "of the environment production"
    assert [problem.hint for problem in apply_policy(PLAN, (hazard(),), manifest).denied] == [
        f"change the statement, or set policy.destructive {where} to confirm",
        f"change the statement, or take orders out of policy.protected_tables {where}",
        f"put the files back, or raise policy.max_deletes {where} to 3",
    ]


def test_what_lies_behind_the_table_is_protected_too() -> None:
    through = replace(hazard(table="public.order_list"), cascades_to=("public.orders",))
    [problem] = judge(PolicySpec("allow", ("orders",)), through).denied
    assert problem.message == "drops table orders; that reaches orders, which is protected"


def judge(policy: PolicySpec | None, *hazards: Hazard) -> Plan:
    return apply_policy(PLAN, hazards, Manifest(Path("mosaic.yaml"), policy=policy))


def test_without_a_policy_what_destroys_data_is_asked_about() -> None:
    plan = judge(None, hazard(), hazard(HazardSeverity.BLOCKING))
    assert (plan.denied, plan.to_confirm) == ((), (hazard(),))
    assert plan.hazards == (hazard(), hazard(HazardSeverity.BLOCKING))
    refuse_denied(plan)


def test_allow_asks_nothing() -> None:
    plan = judge(PolicySpec("allow"), hazard())
    assert (plan.denied, plan.to_confirm) == ((), ())


def test_deny_denies_and_asks_nothing() -> None:
    plan = judge(PolicySpec("deny"), hazard(), hazard(HazardSeverity.SECURITY))
    assert [str(p) for p in plan.denied] == [
        "sql/1.sql:1:1 policy.destructive: drops table orders; change the statement, or set policy.destructive to confirm"
    ]
    assert plan.to_confirm == ()
    with pytest.raises(PolicyDenied) as caught:
        refuse_denied(plan)
    assert caught.value.problems == plan.denied


def test_a_reason_spares_neither_the_question_nor_the_denial() -> None:
    silent = hazard(ignored="nobody reads it")
    assert judge(None, silent).to_confirm == (silent,)
    assert judge(PolicySpec("deny"), silent).denied
    assert judge(PolicySpec("allow", ("orders",)), silent).denied


@pytest.mark.parametrize(("most", "denied"), [(None, 0), (0, 1), (2, 1), (3, 0), (4, 0)])
def test_deletions_of_both_kinds_are_counted(most: int | None, denied: int) -> None:
    assert len(judge(PolicySpec(max_deletes=most)).denied) == denied


@pytest.mark.parametrize(
    ("table", "protected", "reached"),
    [
        ("public.orders", "orders", True),
        ("public.orders", "public.orders", True),
        ("app.orders", "orders", False),
        ("app.orders", "app.orders", True),
        ("public.orders_old", "orders", False),
        ("app.*", "app.orders", True),
        ("app.*", "orders", False),
        ("app.*", "app2.orders", False),
        ("public.*", "orders", True),
        ("*", "orders", True),
        ("", "orders", False),
    ],
)
def test_what_reaches_a_protected_table(table: str, protected: str, reached: bool) -> None:
    assert reaches(table, protected) is reached
