"""The gate: what of a plan a person must approve before somebody may apply it. Every command that writes asks here.

The command line, `watch`, `dev`, `ci apply`, `migrate rollback`, `sql` and the MCP server differ only in the Actor.
"""

from __future__ import annotations

from dataclasses import dataclass

from mosaic_deploy.diff.policy import destructive_hazards
from mosaic_deploy.model.approval import DESTRUCTIVE, PROOF, Approval, agent_approvals, required_approvals
from mosaic_deploy.model.change import RunsSql
from mosaic_deploy.model.manifest import PolicySpec
from mosaic_deploy.model.plan import Plan

AGENT = "agent"
_MAX_EFFECT_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Actor:
    """Who applies a plan.

    `allow` are the values of `--allow`; an agent's are those of the person who started the MCP server. An agent writes
    the files that it applies, so it approves nothing itself.
    """

    allow: frozenset[str] = frozenset()
    is_agent: bool = False


@dataclass(frozen=True, slots=True)
class Consent:
    """How a plan was confirmed, for the deployment history.

    `confirmed`: `answer` (a person in a terminal), `yes` (the option), `ci`, `saved_plan`, `watch`, `agent`; empty if the
    plan has no change. `allow` as in Actor.
    """

    confirmed: str = ""
    allow: frozenset[str] = frozenset()

    def record(self, plan: Plan, policy: PolicySpec | None) -> dict[str, object]:
        """What was approved, for a plan that is applied.

        `by` is `allow` (the option), `policy` (it allows what destroys), or `answer`.
        """
        lenient = (policy or PolicySpec()).destructive == "allow"
        needed = required_approvals(plan.changes, destructive_hazards(plan.hazards), plan.live_counts)
        approved = [(each, lenient and each.kind == DESTRUCTIVE) for each in needed]
        if self.confirmed == AGENT:
            approved += [(each, lenient) for each in _agent_approvals(plan)]
        in_advance = []
        if DESTRUCTIVE in self.allow and not any(each.kind == DESTRUCTIVE for each, _ in approved):
            effect = "whatever the SQL is measured to destroy"
            in_advance = [{"value": DESTRUCTIVE, "effect": effect, "by": "allow"}] if _runs_sql(plan) else []
        return {
            "confirmed": self.confirmed or None,
            "approved": [
                *in_advance,
                *(
                    {
                        "value": each.allow,
                        "effect": each.effect[:_MAX_EFFECT_LENGTH],
                        "by": "policy" if by_policy else "allow" if each.allow in self.allow else "answer",
                    }
                    for each, by_policy in approved
                ),
            ],
        }


def _agent_approvals(plan: Plan) -> tuple[Approval, ...]:
    seen = plan.rehearsal.writes if plan.rehearsal else ()
    return agent_approvals(plan.changes, plan.live_counts, seen, plan.migrations)


def _runs_sql(plan: Plan) -> bool:
    return any(isinstance(change, RunsSql) for change in plan.changes)


def needs_person(plan: Plan, policy: PolicySpec | None, actor: Actor) -> tuple[Approval, ...]:
    """What of the plan a person must approve before `actor` may apply it; empty if nothing.

    For an agent, `policy` must not be one that it can write: see `policies.stricter_policy`. To an agent, deleting or replacing
    any live file destroys, so that needs a person as well unless the policy allows what destroys.
    """
    rule = (policy or PolicySpec()).destructive
    destroying = destructive_hazards(plan.hazards) if rule == "confirm" else ()
    approvals = required_approvals(plan.changes, destroying, plan.live_counts)
    if actor.is_agent and rule != "allow":
        approvals = (*approvals, *_agent_approvals(plan))
    if actor.is_agent and (policy or PolicySpec()).agents == "proven" and (reason := plan.unproven):
        approvals = (Approval(PROOF, PROOF, f"{reason}, and policy.agents is proven"), *approvals)
    return tuple(approval for approval in approvals if approval.allow not in actor.allow)
