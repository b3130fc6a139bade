"""What the manifest's policy says to a plan: what it denies, and what a person has to agree to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mosaic_deploy.errors import NextAction, PolicyDenied, Problem
from mosaic_deploy.model.change import Delete
from mosaic_deploy.model.hazard import Danger, Hazard
from mosaic_deploy.model.manifest import Manifest, PolicySpec
from mosaic_deploy.model.plan import Plan


def judged(plan: Plan, hazards: tuple[Hazard, ...], manifest: Manifest) -> Plan:
    """The plan with its hazards and what the policy says to them.

    A `mosaic-ignore` spares the question, not the denial: who may destroy data is the manifest's to say.
    """
    policy = manifest.policy or PolicySpec()
    destructive = tuple(hazard for hazard in hazards if hazard.severity is Danger.DESTRUCTIVE)
    denied = (*_destroyed(destructive, policy), *_protected(destructive, policy), *_deleted(plan, manifest))
    asks = policy.destructive == "confirm"
    to_confirm = tuple(hazard for hazard in destructive if asks and not hazard.ignored)
    return replace(plan, hazards=hazards, denied=denied, to_confirm=to_confirm)


def refuse_denied(plan: Plan) -> None:
    """Raises PolicyDenied where the policy doesn't let the plan be applied; no option of apply passes it."""
    if plan.denied:
        raise PolicyDenied(
            "the manifest's policy doesn't let this plan be applied",
            problems=plan.denied,
            hint="change the migration or, if this is meant, the policy of this environment in the manifest",
            next_actions=[NextAction("see the plan", "mosaic-deploy plan")],
        )


def _destroyed(destructive: tuple[Hazard, ...], policy: PolicySpec) -> Iterator[Problem]:
    if policy.destructive == "deny":
        for hazard in destructive:
            yield Problem(hazard.message, hazard.location, "policy.destructive")


def _protected(destructive: tuple[Hazard, ...], policy: PolicySpec) -> Iterator[Problem]:
    for hazard in destructive:
        for name in policy.protected_tables:
            if reaches(hazard.table, name):
                message = f"{hazard.message}, and {name} is protected"
                yield Problem(message, hazard.location, "policy.protected_tables")
                break


def _deleted(plan: Plan, manifest: Manifest) -> Iterator[Problem]:
    most = manifest.policy.max_deletes if manifest.policy else None
    count = sum(isinstance(change, Delete) for change in plan.changes)
    if most is not None and count > most:
        message = f"{count} {'file' if count == 1 else 'files'} would be deleted, and at most {most} may be"
        yield Problem(message, manifest.locate("policy.max_deletes"), "policy.max_deletes")


def reaches(table: str, protected: str) -> bool:
    """Whether what destroys `table` (see Hazard) may destroy the protected table's rows."""
    name = protected if "." in protected else f"public.{protected}"
    schema = table.removesuffix(".*")
    return table in ("*", name) or (schema != table and name.startswith(f"{schema}."))
