"""What migrations would do that hurts: one rule, one small function over the parse tree, one code."""

from mosaic_deploy.sql.hazards.facts import Asked, Fact, Facts, Kind
from mosaic_deploy.sql.hazards.review import Review, Script, review
from mosaic_deploy.sql.hazards.rules.registry import RULES

__all__ = ["RULES", "Asked", "Fact", "Facts", "Kind", "Review", "Script", "review"]
