"""What the steps of a rehearsal touch. An apply compares that with the live schema before each step.

A step touches

- the relations that its transaction locked there, in any mode: PostgreSQL locks whatever it reads, writes or changes;
- what its migration changed;
- what its text names, because without rows not every statement of a block runs, and calls of functions lock nothing;
- the routines and types that the definitions of all these mention, and what the bodies of these routines mention: the functions of
  triggers, defaults and policies;
- of relations that it wrote to, or that its blocks and those routines mention: those that foreign keys change with them, and those
  that inherit from them; if they weren't locked, also what views, rules and policies read;
- all routines and types, if it composes SQL: names may then come from rows;
- what may act on any statement, such as casts, operators and event triggers.

Only names are compared with texts, whatever their case and schema, so a step may touch more than it uses. That is safe: it is
compared, and not locked. Words that name nothing are kept too: an object that has such a name live is one that the rehearsal
didn't have.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from string import ascii_lowercase, ascii_uppercase

from mosaic_deploy.diff.schema import Unmanaged
from mosaic_deploy.live.catalog.schema_results import digest_of, has_version, is_unfinished
from mosaic_deploy.live.catalog.touched_digests import (
    EVERYWHERE,
    LOCKS,
    RELATION,
    ROUTINE,
    SCHEMA,
    TYPE,
    digests_of,
    group_by_touched,
    search_path_setting,
)
from mosaic_deploy.model.catalog import Catalog, SchemaObject
from mosaic_deploy.model.effects import ANY_DEFINITION, ObjectKey, StepTouches, Touched
from mosaic_deploy.sql.execution.step import Step
from mosaic_deploy.sql.guard.rehearsed import STRONG_MODES

_NO_LOCK, _READS, _WRITES, _CHANGES = LOCKS
_PLAIN = re.compile(r"[^\W\d][\w$]*")
_QUOTED = re.compile(r'"((?:[^"]|"")+)"')
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
_MAX_NAME = 63
"""Bytes of an identifier: PostgreSQL cuts longer ones."""
_COMPOSES = "execute"
_CASCADES = re.compile("ON (?:DELETE|UPDATE) (?:CASCADE|SET)")
_QUERIES = frozenset({"view", "materialized view", "rule", "policy"})
"""Kinds whose definitions read relations."""
_WRITE_MODE = "RowExclusiveLock"
_MAX_TEXT = 100_000
"""Characters of a statement in which names are looked for: longer ones hold rows, after the names."""
Groups = Mapping[Touched, Mapping[SchemaObject, str]]


@dataclass
class TouchWatch:
    """Follows the steps of a rehearsal that began with the schema `base`.

    `search_path` is what the role or the database sets for new live sessions. None if there is no live database: then nothing
    is known of what the new one has that may act on any statement. What is `unmanaged` isn't compared, so it isn't touched.
    `printed` are definitions of the base that the live server prints differently, as it prints them; it may print what the steps make
    differently, too, if it is of an `other_major`.
    """

    base: Catalog
    search_path: str | None
    unmanaged: Unmanaged = field(default_factory=Unmanaged)
    printed: Catalog = field(default_factory=dict)
    other_major: bool = False
    steps: list[StepTouches] = field(default_factory=list)
    _now: Groups = field(default_factory=dict, init=False)
    _groups: dict[Touched, dict[SchemaObject, str]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._add(self.base)

    def read(
        self,
        steps: Sequence[tuple[str, Step]],
        locked: Mapping[tuple[str, int], Mapping[str, Collection[str]]],
        after: Catalog,
        left: Mapping[tuple[str, int], tuple[Catalog, Catalog]],
    ) -> None:
        """Adds committed steps, each with its address. `after` is the schema that they made together, `left` as in FollowedSchema.

        `locked` are the modes of the relations that a step locked, by its version and number.
        """
        before = self._now
        self._add(after)
        names = _Names(self._groups)
        every = before.keys() | self._now.keys()
        changed = {one for one in every if before.get(one) != self._now.get(one)}
        for address, step in steps:
            held = locked.get((step.version, step.number), {})
            touches = self._touches(names, address, step, held, changed)
            sides = left.get((address, step.number)) if self.search_path is not None else None
            self.steps.append(replace(touches, leaves=self._leaves(*sides)) if sides else touches)

    def _leaves(self, before: Catalog, after: Catalog) -> Mapping[ObjectKey, str]:
        """As in StepTouches."""
        before, after = self.unmanaged.without(before), self.unmanaged.without(after)
        changed = [item for item in before.keys() | after.keys() if before.get(item) != after.get(item)]
        return {
            (item.kind, item.name, item.parent): self._digest(item, after.get(item))
            for item in sorted(changed)
            if not is_unfinished(item, after.get(item, before.get(item, "")))
        }

    def _digest(self, item: SchemaObject, definition: str | None) -> str:
        if definition is None:
            return ""
        return ANY_DEFINITION if self.other_major or has_version(item) else digest_of(definition)

    def _touches(
        self,
        names: _Names,
        address: str,
        step: Step,
        held: Mapping[str, Collection[str]],
        changed: Collection[Touched],
    ) -> StepTouches:
        modes = {Touched(RELATION, name): _lock_of(each) for name, each in held.items()}
        written = {Touched(RELATION, name) for name, each in held.items() if _WRITE_MODE in each}
        words, everywhere = _words_of(step), {EVERYWHERE} if self.search_path is not None else set[Touched]()
        named = set(names.named(words))
        begun = named | (({*modes, *changed} - {EVERYWHERE} | everywhere) & self._groups.keys())
        in_blocks = _words_of_blocks(step)
        found = names.reached(begun, written | {*names.named(in_blocks)}, modes.keys())
        in_bodies = names.words_of_bodies(found)
        composed = names.of_kinds(ROUTINE, TYPE) if _COMPOSES in in_blocks | in_bodies else set[Touched]()
        touches = {one: modes.get(one, _NO_LOCK) for one in sorted(found | composed | everywhere)}
        unseen = {one for one in named if one.kind != RELATION or not modes}
        strong = {one for one, mode in touches.items() if mode == _CHANGES}
        # With live rows, a block may change what it doesn't change here.
        unseen |= everywhere if in_blocks or composed else set()
        changes = frozenset(strong | {*changed} | unseen | composed)
        return StepTouches(
            address, step.number, touches, changes & touches.keys(), frozenset(words | in_bodies)
        )

    @property
    def objects(self) -> Groups:
        """Of all that the steps touch, and of all schemas, the objects of the base with the digests of their live definitions."""
        every = {touched for step in self.steps for touched in step.touches}
        return {
            touched: digests_of(objects)
            for touched, objects in sorted(self._grouped({**self.base, **self.printed}).items())
            if touched in every or touched.kind == SCHEMA
        }

    def _add(self, catalog: Catalog) -> None:
        """Also definitions from before: a step may have used what it then changed or dropped."""
        self._now = self._grouped(catalog)
        for touched, objects in self._now.items():
            self._groups.setdefault(touched, {}).update(objects)

    def _grouped(self, catalog: Catalog) -> Groups:
        setting = search_path_setting(self.search_path or "")
        groups = group_by_touched({**self.unmanaged.without(catalog), **setting})
        # A foreign key of a managed table also counts for the table that it references.
        return {one: objects for one, objects in groups.items() if not self._is_unmanaged(one)}

    def _is_unmanaged(self, touched: Touched) -> bool:
        return touched.kind == RELATION and self.unmanaged.includes_name(touched.name)


class _Names:
    """Finds what texts mention."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self._by_word: dict[str, list[Touched]] = {}
        for touched in groups:
            if touched != EVERYWHERE:
                self._by_word.setdefault(_last_word(touched.name), []).append(touched)
        self._mentioned: dict[Touched, frozenset[Touched]] = {}
        self._followed: dict[tuple[Touched, bool], frozenset[Touched]] = {}
        self._words: dict[Touched, frozenset[str]] = {}

    def reached(
        self, begun: Collection[Touched], may_write: Collection[Touched], locked: Collection[Touched]
    ) -> set[Touched]:
        """These and what their definitions mention, directly and through others.

        Of relations that the step `may_write`, and those that routines mention, also what changes with them, and unless they were
        `locked`, what their queries read.
        """
        waiting = [(one, one in may_write) for one in begun]
        found = {*waiting}
        while waiting:
            one, written = waiting.pop()
            new = {(each, one.kind == ROUTINE) for each in self._mentions(one)}
            if written and one.kind == RELATION:
                new |= {(each, True) for each in self._follows(one, is_locked=one in locked)}
            new -= found
            found |= new
            waiting += new
        return {one for one, _ in found}

    def of_kinds(self, *kinds: str) -> set[Touched]:
        return {touched for touched in self._groups if touched.kind in kinds}

    def words_of_bodies(self, found: Collection[Touched]) -> set[str]:
        """What the bodies of these routines mention: PostgreSQL looks the names up when they run."""
        return {word for one in found if one.kind == ROUTINE for word in self._words_of(one)}

    def named(self, words: Collection[str]) -> Iterator[Touched]:
        for word in words:
            yield from self._by_word.get(word, ())

    def _mentions(self, touched: Touched) -> frozenset[Touched]:
        """What its definitions mention. Of those that aren't routines, only routines and types: tables lock what they need."""
        if touched not in self._mentioned:
            self._mentioned[touched] = frozenset(
                one
                for one in self.named(self._words_of(touched))
                if touched.kind == ROUTINE or one.kind in (ROUTINE, TYPE)
            )
        return self._mentioned[touched]

    def _words_of(self, touched: Touched) -> frozenset[str]:
        if touched not in self._words:
            texts = self._groups[touched].values()
            self._words[touched] = frozenset(word for text in texts for word in _words(text))
        return self._words[touched]

    def _follows(self, relation: Touched, *, is_locked: bool) -> frozenset[Touched]:
        """The relations that change with it, and if it wasn't locked, those that its own queries read."""
        if (relation, is_locked) not in self._followed:
            found = self._related(relation, is_locked=is_locked)
            self._followed[relation, is_locked] = frozenset(found) & self._groups.keys()
        return self._followed[relation, is_locked]

    def _related(self, relation: Touched, *, is_locked: bool) -> Iterator[Touched]:
        for item, definition in self._groups[relation].items():
            if item.kind == "constraint" and item.parent != relation.name and _CASCADES.search(definition):
                yield Touched(RELATION, item.parent)
            elif not item.parent and item.name != relation.name:
                yield Touched(RELATION, item.name)
            elif item.kind in _QUERIES and not is_locked:
                yield from (one for one in self.named(_words(definition)) if one.kind == RELATION)


def _words(text: str) -> set[str]:
    """All names in a text, in lower case: a name that isn't quoted is, and one in a string may be meant in any case."""
    quoted = (name.replace('""', '"') for name in _QUOTED.findall(text) if not _PLAIN.fullmatch(name))
    return {_as_name(word) for word in (*_PLAIN.findall(text), *quoted)}


def _as_name(word: str) -> str:
    lower = word.translate(_LOWER)
    return lower if len(lower) * 4 <= _MAX_NAME else lower.encode()[:_MAX_NAME].decode(errors="ignore")


def _last_word(name: str) -> str:
    """The name without its schema, in lower case."""
    quoted = re.search(r'"((?:[^"]|"")+)"$', name)
    return _as_name(quoted[1].replace('""', '"') if quoted else name.rpartition(".")[2])


def _words_of(step: Step) -> set[str]:
    """Also those of the settings that its session begins with, such as the search_path."""
    texts = (*(one.text for one in step.sql.statements), *step.sql.session.statements)
    return {word for text in texts for word in _words(text[:_MAX_TEXT])}


def _words_of_blocks(step: Step) -> set[str]:
    """Of statements that don't run all that they say."""
    return {word for one in step.sql.statements if one.kind == "DoStmt" for word in _words(one.text)}


def _lock_of(modes: Collection[str]) -> str:
    """The mode that keeps others from changing a relation, no stronger than the one that the step took."""
    if not {*STRONG_MODES}.isdisjoint(modes):
        return _CHANGES
    return _WRITES if _WRITE_MODE in modes else _READS
