"""The story: read what is desired, read what is live, compare, and apply as a stream of events."""

from mosaic_deploy.deploy.applying.apply import ApplyOptions, apply
from mosaic_deploy.deploy.planning.plan import compare, plan, read_both
from mosaic_deploy.deploy.planning.planned import Planned, PlanOptions, Target

__all__ = ["ApplyOptions", "PlanOptions", "Planned", "Target", "apply", "compare", "plan", "read_both"]
