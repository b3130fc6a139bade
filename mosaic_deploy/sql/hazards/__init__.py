"""What migrations would do that hurts: one rule, one small function over the parse tree, one code."""

from mosaic_deploy.sql.hazards.facts import Facts, ObjectFacts, ObjectKind, ObjectRef
from mosaic_deploy.sql.hazards.review import Review, Script, review
from mosaic_deploy.sql.hazards.rules.registry import RULES

__all__ = ["RULES", "Facts", "ObjectFacts", "ObjectKind", "ObjectRef", "Review", "Script", "review"]
