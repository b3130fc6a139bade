"""The policy that the last deploys recorded in the tracking tables. It holds here as it does for the command `sql`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mosaic_deploy.platform.postgres.connections import Session

_STRICTNESS = ("allow", "confirm", "deny")


@dataclass(frozen=True, slots=True)
class Policy:
    """`destructive` is `allow`, `confirm` or `deny`; `protected_tables` are names as `schema.table`."""

    destructive: str = "confirm"
    protected_tables: frozenset[str] = frozenset()

    def denial(self, names: Iterable[str]) -> str:
        """Why rows of the table may not be destroyed; empty if they may. `names` are its own and those of its parents."""
        if self.destructive == "deny":
            return "policy.destructive is deny"
        protected = sorted(self.protected_tables.intersection(names))
        return f"{protected[0]} is in policy.protected_tables" if protected else ""


async def read_policy(session: Session) -> Policy:
    """The strictest one that a manifest was deployed with. The default one without tracking tables."""
    found = await session.execute("SELECT pg_catalog.to_regclass('mosaic_deploy.settings') IS NOT NULL")
    if await found.fetchone() != (True,):
        return Policy()
    found = await session.execute("SELECT value::text FROM mosaic_deploy.settings WHERE name = 'policy'")
    row = await found.fetchone()
    return parse_policy(row[0]) if row else Policy()


def parse_policy(text: str | None) -> Policy:
    """What the record says: policies by manifest. What isn't one is left out, as the command does."""
    try:
        record = json.loads(text or "{}")
    except (ValueError, RecursionError):
        record = {}
    values = record.values() if isinstance(record, Mapping) else ()
    policies = [
        each for each in values if isinstance(each, Mapping) and each.get("destructive") in _STRICTNESS
    ]
    if not policies:
        return Policy()
    names = {
        str(name)
        for each in policies
        if isinstance(each.get("protected_tables"), list)
        for name in each["protected_tables"]
    }
    return Policy(
        max((str(each["destructive"]) for each in policies), key=_STRICTNESS.index),
        frozenset(name if "." in name else f"public.{name}" for name in names),
    )
