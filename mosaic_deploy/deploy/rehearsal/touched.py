"""What the steps of a rehearsal touch. An apply compares that with the live schema before each step.

A step touches

- the relations that its transaction locked there, in any mode: PostgreSQL locks whatever it reads, writes or changes;
- the relations, routines and types whose objects its migration changed;
- those whose names its text mentions, because without rows not every statement of a block runs, and calls of functions lock nothing;
- the routines and types that the definitions of all these mention, and what the bodies of these routines mention: the functions of
  triggers, defaults and policies.

Only names are compared with texts, so a step may touch more than it uses. That is safe: it is compared, and not locked.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mosaic_deploy.diff.schema import Unmanaged
from mosaic_deploy.live.catalog.touched_digests import (
    LOCKS,
    RELATION,
    ROUTINE,
    digests_of,
    group_by_touched,
    touched_of,
)
from mosaic_deploy.model.catalog import Catalog, SchemaChange, SchemaObject
from mosaic_deploy.model.effects import StepTouches, Touched
from mosaic_deploy.sql.execution.step import Step
from mosaic_deploy.sql.guard.rehearsed import STRONG_MODES

_NO_LOCK, _READS, _WRITES, _CHANGES = LOCKS
_WORD = re.compile(r'"((?:[^"]|"")+)"|([^\W\d][\w$]*)')
_MAX_TEXT = 100_000
"""Characters of a statement in which names are looked for: longer ones hold rows, after the names."""
Groups = Mapping[Touched, Mapping[SchemaObject, str]]


@dataclass
class TouchWatch:
    """Follows the steps of a rehearsal that began with the schema `base`. What is `unmanaged` isn't compared, so it isn't touched."""

    base: Catalog
    unmanaged: Unmanaged = field(default_factory=Unmanaged)
    steps: list[StepTouches] = field(default_factory=list)
    _groups: dict[Touched, dict[SchemaObject, str]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._add(self.base)

    def read(
        self,
        steps: Sequence[tuple[str, Step]],
        locked: Mapping[tuple[str, int], Mapping[str, Collection[str]]],
        changes: Iterable[SchemaChange],
        after: Catalog,
    ) -> None:
        """Adds committed steps, each with its address. `changes` are theirs together, `after` is the schema they made.

        `locked` are the modes of the relations that a step locked, by its version and number.
        """
        self._add(after)
        names = _Names(self._groups)
        changed = {
            touched for change in changes for touched in touched_of(change.object)
        } & self._groups.keys()
        for address, step in steps:
            modes = {
                Touched(RELATION, name): _lock_of(held)
                for name, held in locked.get((step.version, step.number), {}).items()
            }
            named = set(names.named(_words_of(step)))
            found = names.reached(named | ({*modes, *changed} & self._groups.keys()))
            compared = (one for one in sorted(found) if not self.unmanaged.includes_name(one.name))
            touches = {one: modes.get(one, _NO_LOCK) for one in compared}
            unseen = {one for one in named if one.kind != RELATION or not modes}
            strong = {one for one, mode in touches.items() if mode == _CHANGES}
            changing = frozenset(strong | changed | unseen) & touches.keys()
            self.steps.append(StepTouches(address, step.number, touches, changing))

    @property
    def objects(self) -> Groups:
        """Of all that the steps touch, the objects of the base with the digests of their definitions."""
        every = {touched for step in self.steps for touched in step.touches}
        return {
            touched: digests_of(objects)
            for touched, objects in sorted(group_by_touched(self.base).items())
            if touched in every
        }

    def _add(self, catalog: Catalog) -> None:
        """Also definitions from before: a step may have used what it then changed or dropped."""
        for touched, objects in group_by_touched(catalog).items():
            self._groups.setdefault(touched, {}).update(objects)


class _Names:
    """Finds what texts mention."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self._by_word: dict[str, list[Touched]] = {}
        for touched in groups:
            last = list(_words(touched.name))[-1:]
            self._by_word.setdefault("".join(last), []).append(touched)
        self._mentioned: dict[Touched, frozenset[Touched]] = {}

    def reached(self, begun: Collection[Touched]) -> set[Touched]:
        """These and what their definitions mention, directly and through others."""
        found = {*begun}
        waiting = list(found)
        while waiting:
            new = self._mentions(waiting.pop()) - found
            found |= new
            waiting += new
        return found

    def named(self, words: Collection[str]) -> Iterator[Touched]:
        for word in words:
            yield from self._by_word.get(word, ())

    def _mentions(self, touched: Touched) -> frozenset[Touched]:
        """What its definitions mention. Of relations only routines and types: foreign keys and views lock what they need."""
        if touched not in self._mentioned:
            words = {word for text in self._groups[touched].values() for word in _words(text)}
            self._mentioned[touched] = frozenset(
                one for one in self.named(words) if touched.kind == ROUTINE or one.kind != RELATION
            )
        return self._mentioned[touched]


def _words(text: str) -> Iterator[str]:
    for quoted, plain in _WORD.findall(text):
        yield quoted.replace('""', '"') if quoted else plain.lower()


def _words_of(step: Step) -> set[str]:
    return {word for one in step.sql.statements for word in _words(one.text[:_MAX_TEXT])}


def _lock_of(modes: Collection[str]) -> str:
    """The mode that keeps others from changing a relation, no stronger than the one that the step took."""
    if not {*STRONG_MODES}.isdisjoint(modes):
        return _CHANGES
    return _WRITES if "RowExclusiveLock" in modes else _READS
