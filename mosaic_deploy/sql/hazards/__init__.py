"""The linter for migrations: finds statements that destroy data, weaken security, block others or may fail.

It reads what files say directly. What functions, triggers and composed SQL do is left to the guard, which measures it.

`review` is the entry point. `syntax` reads parse trees, `effects` works out what statements do and to which objects,
and `rules` judge it; each may import the ones before it. May import sql, model and errors; does no I/O.
"""

from mosaic_deploy.sql.hazards.declared_updates import DeclaredUpdate, UpdatesInvalid, declared_updates
from mosaic_deploy.sql.hazards.effects.expected import StepWrites, agreement
from mosaic_deploy.sql.hazards.effects.statement_effects import written_names
from mosaic_deploy.sql.hazards.effects.unknown_names import UnknownName
from mosaic_deploy.sql.hazards.ignore import IgnoreComments, ignore_reason
from mosaic_deploy.sql.hazards.live_objects import Dependent, Facts, ObjectFacts, ObjectKind, ObjectRef
from mosaic_deploy.sql.hazards.review import review
from mosaic_deploy.sql.hazards.rules.registry import RULES
from mosaic_deploy.sql.hazards.rules.rule import FROM_REHEARSALS, UNREPORTED_LOCK, UNREPORTED_ROWS
from mosaic_deploy.sql.hazards.rules.unmeasured import may_run_code
from mosaic_deploy.sql.hazards.script import Review, Script

__all__ = [
    "FROM_REHEARSALS",
    "RULES",
    "UNREPORTED_LOCK",
    "UNREPORTED_ROWS",
    "DeclaredUpdate",
    "Dependent",
    "Facts",
    "IgnoreComments",
    "ObjectFacts",
    "ObjectKind",
    "ObjectRef",
    "Review",
    "Script",
    "StepWrites",
    "UnknownName",
    "UpdatesInvalid",
    "agreement",
    "declared_updates",
    "ignore_reason",
    "may_run_code",
    "review",
    "written_names",
]
