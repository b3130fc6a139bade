"""The story: read what is desired, read what is live, compare, and apply as a stream of events."""

from mosaic_deploy.deploy.applying.apply import ApplyOptions, apply
from mosaic_deploy.deploy.planning.plan import compare, plan, read_desired_and_live
from mosaic_deploy.deploy.planning.planned import PlanOptions, PreparedPlan, Target

__all__ = [
    "ApplyOptions",
    "PlanOptions",
    "PreparedPlan",
    "Target",
    "apply",
    "compare",
    "plan",
    "read_desired_and_live",
]
