"""What the reviewed files reveal about one table or view."""

from __future__ import annotations

from dataclasses import dataclass, field

from mosaic_deploy.sql.hazards.syntax.types import ColumnType
from mosaic_deploy.sql.parse import Tree


@dataclass(slots=True)
class Relation:
    """One table or view as the statements so far have created or altered it."""

    columns: dict[str, ColumnType] = field(default_factory=dict)
    added_columns: set[str] = field(default_factory=set)
    """Columns that the pending files add."""
    null_columns: set[str] = field(default_factory=set)
    """Those of them that are null in every row so far."""
    security_invoker: bool = False
    """Whether it is a view that runs with its reader's privileges."""
    unvalidated: dict[str, int] = field(default_factory=dict)
    """Constraints added as NOT VALID, with the number of the step that adds them."""
    not_null_checks: dict[str, str] = field(default_factory=dict)
    """Unvalidated constraints `CHECK (column IS NOT NULL)`, with the column."""
    proven_not_null: set[str] = field(default_factory=set)
    """Columns with a validated constraint of that kind."""
    checks: dict[str, Tree] = field(default_factory=dict)
    """Its validated CHECK constraints that the files create, by name; for a domain, one of its constraints."""
    unvalidated_checks: dict[str, dict[str, Tree]] = field(default_factory=dict)
    """Those added as NOT VALID, in the same form, by name."""
    not_null: set[str] = field(default_factory=set)
    """Columns that the files declare NOT NULL."""
    partitioned: bool = False
    populated: bool | None = None
    """Whether a materialized view holds its query's rows; None if the files don't say."""
    row_security: bool | None = None
    """Whether row-level security is on; None if the files don't say."""
    policies: set[str] = field(default_factory=set)
    """The row-level security policies that the files create."""
    dropped_policies: set[str] = field(default_factory=set)
    renamed_policies: dict[str, str] = field(default_factory=dict)
    """Policies that the files rename, with their live name."""
    created: bool = False
    """Whether the files create it, so that they say everything about it."""

    def mark_applied(self) -> None:
        """From now on, what the files changed counts as live."""
        self.added_columns.clear()
        self.null_columns.clear()
        self.unvalidated.clear()
