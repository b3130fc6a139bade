"""What a migration would do that a person should know before it is done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mosaic_deploy.errors import Location


class HazardSeverity(StrEnum):
    """How bad a hazard is. In the order of definition: the worst first."""

    DESTRUCTIVE = "destructive"
    """Data is gone afterwards."""
    SECURITY = "security"
    """Somebody may read or do more than before."""
    BLOCKING = "blocking"
    """Reads or writes of a table wait while the statement runs, or the table is rewritten."""
    RISKY = "risky"
    """It may fail on live data, or break the program that is running now."""
    ADVICE = "advice"
    """It works, and is regretted later."""

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(HazardSeverity).index(self)


@dataclass(frozen=True, slots=True)
class Hazard:
    """One statement's finding. `code` is the rule's name, `object` what it is about, as the file names it.

    `table` says whose rows a destructive hazard destroys: `public.orders`, `app.*` for everything in a schema,
    `*` where it can't be told; it is empty for other hazards. `cascades_to` are further tables whose rows or values go
    with them, of the same form. `instead` is what to write, in a few words.
    """

    code: str
    severity: HazardSeverity
    message: str
    object: str
    location: Location
    table: str = ""
    instead: str = ""
    ignored: str = ""
    """The reason that a `mosaic-ignore` gives; empty where nobody silenced it."""

    @property
    def suppressed(self) -> bool:
        """Whether a plan needn't speak of it: what destroys data is always told, with the reason that was given."""
        return bool(self.ignored) and self.severity is not HazardSeverity.DESTRUCTIVE

    cascades_to: tuple[str, ...] = ()


def reaches(table: str, protected: str) -> bool:
    """Whether what destroys `table` (see Hazard) may destroy the rows of the protected table, `orders` or `app.orders`."""
    name = protected if "." in protected else f"public.{protected}"
    schema = table.removesuffix(".*")
    return table in ("*", name) or (schema != table and name.startswith(f"{schema}."))


def worst_first(hazards: tuple[Hazard, ...]) -> list[Hazard]:
    """By severity; within one severity in the order in which they would happen."""
    return sorted(hazards, key=lambda hazard: hazard.severity.rank)
