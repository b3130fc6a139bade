"""What the manifest's policy says to a plan: what it denies, and what a person has to agree to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mosaic_deploy.errors import NextAction, PolicyDenied, Problem
from mosaic_deploy.model.change import Delete
from mosaic_deploy.model.hazard import Hazard, HazardSeverity, reaches
from mosaic_deploy.model.manifest import Manifest, PolicySpec
from mosaic_deploy.model.plan import Plan


def apply_policy(plan: Plan, hazards: tuple[Hazard, ...], manifest: Manifest) -> Plan:
    """The plan with its hazards and what the policy says to them.

    A `mosaic-ignore` spares neither the denial nor the question: who may destroy data is the manifest's and a person's
    to say, and whoever writes the statement writes the comment.
    """
    policy = manifest.policy or PolicySpec()
    destructive = tuple(hazard for hazard in hazards if hazard.severity is HazardSeverity.DESTRUCTIVE)
    denied = (
        *_destructive_problems(destructive, manifest),
        *_protected_table_problems(destructive, manifest),
        *_max_deletes_problems(plan, manifest),
    )
    to_confirm = destructive if policy.destructive == "confirm" else ()
    return replace(plan, hazards=hazards, denied=denied, to_confirm=to_confirm)


def refuse_denied(plan: Plan) -> None:
    """Raises PolicyDenied where the policy doesn't let the plan be applied; no option of apply passes it."""
    if plan.denied:
        raise PolicyDenied(
            "the manifest's policy doesn't let this plan be applied",
            problems=plan.denied,
            hint="each problem says what lifts it; no option and no comment in a file does",
            next_actions=[NextAction("see the plan", "mosaic-deploy plan")],
        )


def _destructive_problems(destructive: tuple[Hazard, ...], manifest: Manifest) -> Iterator[Problem]:
    if manifest.policy and manifest.policy.destructive == "deny":
        lifts = f"change the statement, or set policy.destructive{_environment_text(manifest)} to confirm"
        for hazard in destructive:
            yield Problem(hazard.message, hazard.location, "policy.destructive", lifts)


def _protected_table_problems(destructive: tuple[Hazard, ...], manifest: Manifest) -> Iterator[Problem]:
    for hazard in destructive:
        for name in manifest.policy.protected_tables if manifest.policy else ():
            if any(reaches(table, name) for table in (hazard.table, *hazard.cascades_to)):
                itself = reaches(hazard.table, name)
                behind = f", and {name}" if itself else f"; that reaches {name}, which"
                message = f"{hazard.message}{behind} is protected"
                away = f"take {name} out of policy.protected_tables{_environment_text(manifest)}"
                lifts = f"change the statement, or {away}"
                yield Problem(message, hazard.location, "policy.protected_tables", lifts)
                break


def _max_deletes_problems(plan: Plan, manifest: Manifest) -> Iterator[Problem]:
    most = manifest.policy.max_deletes if manifest.policy else None
    count = sum(isinstance(change, Delete) for change in plan.changes)
    if most is not None and count > most:
        message = f"{count} {'file' if count == 1 else 'files'} would be deleted, and at most {most} may be"
        lifts = f"put the files back, or raise policy.max_deletes{_environment_text(manifest)} to {count}"
        yield Problem(message, manifest.locate("policy.max_deletes"), "policy.max_deletes", lifts)


def _environment_text(manifest: Manifest) -> str:
    return f" of the environment {manifest.environment}" if manifest.environment else ""
