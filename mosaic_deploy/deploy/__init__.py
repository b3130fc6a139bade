"""`plan()` compares the project folder with what is live; `apply()` applies a plan and yields events.

May import `source`, `diff` and `live`, which don't import each other. Begin with `planning/plan.py`, then
`applying/apply.py`.
"""

from mosaic_deploy.deploy.applying.apply import apply
from mosaic_deploy.deploy.applying.run import ApplyOptions
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
