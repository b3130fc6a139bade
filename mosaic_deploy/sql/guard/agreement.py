"""What existed before a run, and what a step may do to it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from mosaic_deploy.model.effects import EffectKind, Effects, TableEffect
from mosaic_deploy.sql.guard.own_code import StepCode

EXCEEDED = "effects_exceed_consent"
NOT_MEASURED = "effects_not_measured"
ANY_EFFECT = "".join(EffectKind)
MOVED = "m"
"""The letter for rows that an update moves to another partition. They count as deleted in the old one, but nothing is lost."""
_KIND = re.compile(r"^(?:materialized view|composite type|[a-z]+) ")


def object_key(name: str) -> str:
    """An object's name without its kind, schema public and arguments: `function public.f(integer)` is `f`."""
    return _KIND.sub("", name.partition("(")[0].replace(" public.", " "))


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a step may do to what existed before.

    `tables` has for names of tables (`public.orders`) the letters of EffectKind, and MOVED; `objects` are `object_key`s.
    In `schemas` it may do anything to all tables, and with `anything` whatever it is, but not to protected ones. That is what a
    plan's text says, and has no numbers.

    `exactly` and `dropped` are what a person saw measured: for names of tables the effects, instead of what `tables` says of them,
    and objects with kind and arguments (`function public.f(integer)`).

    MOVED counts only if the step runs no other code than that of `code`.
    """

    tables: Mapping[str, str] = field(default_factory=dict)
    objects: tuple[str, ...] = ()
    anything: bool = False
    schemas: tuple[str, ...] = ()
    exactly: Mapping[str, TableEffect] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    code: StepCode | None = None

    @property
    def measured(self) -> Effects:
        """All that a person saw measured and agreed to."""
        return Effects(tuple(self.exactly.values()), self.dropped)

    def as_json(self) -> dict[str, object]:
        return {
            **({"tables": dict(self.tables)} if self.tables else {}),
            **({"objects": list(self.objects)} if self.objects else {}),
            **({"anything": True} if self.anything else {}),
            **({"schemas": list(self.schemas)} if self.schemas else {}),
            **({"exactly": {name: one.facts for name, one in self.exactly.items()}} if self.exactly else {}),
            **({"dropped": list(self.dropped)} if self.dropped else {}),
            **({"code": self.code.as_json()} if self.code else {}),
        }


NOTHING_AGREED = Agreement()


def agreed_to(effects: Effects, before: Agreement) -> Agreement:
    """What was agreed to before, and exactly these measured effects: for their tables no more than they say."""
    return replace(
        before,
        exactly={**before.exactly, **{one.table: one for one in effects.tables}},
        dropped=(*before.dropped, *effects.objects),
    )


@dataclass(frozen=True, slots=True)
class Existing:
    """What existed before the run: OIDs of tables that held rows, with their names and those of their parents, and of objects
    that hold none.

    `columns` has for tables the number of their last column. `protected` are tables of `policy.protected_tables`, with rows or without.
    """

    tables: Mapping[str, Sequence[str]] = field(default_factory=dict)
    objects: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, int] = field(default_factory=dict)
    protected: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.tables or self.objects)

    def protects(self, table: str) -> bool:
        """Whether the table, or one that it is a partition or child of, is protected."""
        names = next((names for names in self.tables.values() if names[0] == table), (table,))
        return not self.protected.isdisjoint(names)

    def as_json(self) -> str:
        facts = {
            "tables": self.tables,
            "objects": self.objects,
            "columns": self.columns,
            "protected": sorted(self.protected),
        }
        return json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
