"""What a policy denies, and what needs confirmation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mosaic_deploy.diff.policy import apply_policy, refuse_denied, table_is_affected
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


def test_denial_names_the_environment() -> None:
    manifest = Manifest(
        Path("mosaic.yaml"), policy=PolicySpec("deny", ("orders",), 1), environment="production"
    )
    where = "in environment production"
    assert [problem.hint for problem in apply_policy(PLAN, (hazard(),), manifest).denied] == [
        f"change the statement, or set policy.destructive to confirm {where}",
        f"change the statement, or remove orders from policy.protected_tables {where}",
        f"restore the files, or raise policy.max_deletes to 3 {where}",
    ]


def test_tables_affected_indirectly_are_protected_too() -> None:
    indirect = replace(hazard(table="public.order_list"), cascades_to=("public.orders",))
    [problem] = judge(PolicySpec("allow", ("orders",)), indirect).denied
    assert problem.message == "drops table orders; this affects orders, which is protected"


def judge(policy: PolicySpec | None, *hazards: Hazard) -> Plan:
    return apply_policy(PLAN, hazards, Manifest(Path("mosaic.yaml"), policy=policy))


def test_destructive_hazards_need_confirmation_by_default() -> None:
    plan = judge(None, hazard(), hazard(HazardSeverity.BLOCKING))
    assert (plan.denied, plan.to_confirm) == ((), (hazard(),))
    assert plan.hazards == (hazard(), hazard(HazardSeverity.BLOCKING))
    refuse_denied(plan)


def test_allow_needs_no_confirmation() -> None:
    plan = judge(PolicySpec("allow"), hazard())
    assert (plan.denied, plan.to_confirm) == ((), ())


def test_deny_needs_no_confirmation() -> None:
    plan = judge(PolicySpec("deny"), hazard(), hazard(HazardSeverity.SECURITY))
    assert [str(p) for p in plan.denied] == [
        "sql/1.sql:1:1 policy.destructive: drops table orders; change the statement, or set policy.destructive to confirm"
    ]
    assert plan.to_confirm == ()
    with pytest.raises(PolicyDenied) as caught:
        refuse_denied(plan)
    assert caught.value.problems == plan.denied


def test_ignore_comment_lifts_neither_confirmation_nor_denial() -> None:
    ignored = hazard(ignored="nobody reads it")
    assert judge(None, ignored).to_confirm == (ignored,)
    assert judge(PolicySpec("deny"), ignored).denied
    assert judge(PolicySpec("allow", ("orders",)), ignored).denied


@pytest.mark.parametrize(("most", "denied"), [(None, 0), (0, 1), (2, 1), (3, 0), (4, 0)])
def test_max_deletes_counts_static_and_storage(most: int | None, denied: int) -> None:
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
def test_reaches(table: str, protected: str, reached: bool) -> None:
    assert table_is_affected(table, protected) is reached
