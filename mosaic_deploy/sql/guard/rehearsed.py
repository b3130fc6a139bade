"""What a step touched in a rehearsal, as values: names, digests of definitions, and locks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mosaic_deploy.sql.marker import MARKER

DIGEST_LENGTH = 32
"""Hexadecimal digits of a digest."""
OBSERVED = "relations"
STRONG_MODES = (
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)
"""Modes of pg_locks that keep others from changing a table."""


@dataclass(frozen=True, slots=True)
class TouchedName:
    """What a step touches: a `kind` (as of Touched) with its SQL name `key`, and its unquoted names.

    `digest` is of all its objects, "" if there are none; `lock` the mode to lock it in, "" for none. `again`: a later step touches
    it too, so this one records how it left it.
    """

    kind: str
    key: str
    schema: str
    name: str
    digest: str = ""
    lock: str = ""
    again: bool = False

    def as_json(self) -> dict[str, object]:
        facts = {"kind": self.kind, "key": self.key, "schema": self.schema, "name": self.name}
        more = {"digest": self.digest, "lock": self.lock, "again": self.again}
        return {**facts, **{name: value for name, value in more.items() if value}}


@dataclass(frozen=True, slots=True)
class TouchedNames:
    """What a step touches, and the `words` with which it may look up names: nothing else may have such a name. False for nothing.

    `leaves` is what it must have changed of the schema since the step that `notes` it, and nothing else: digests by `object_id`, as
    of StepTouches. None if that isn't compared.
    """

    names: tuple[TouchedName, ...] = ()
    words: tuple[str, ...] = ()
    notes: bool = False
    leaves: Mapping[str, str] | None = None

    def __bool__(self) -> bool:
        return bool(self.names or self.words or self.notes or self.leaves is not None)

    def as_json(self) -> dict[str, object]:
        return {
            "names": [one.as_json() for one in self.names],
            "words": list(self.words),
            **({"notes": True} if self.notes else {}),
            **({"leaves": dict(self.leaves)} if self.leaves is not None else {}),
        }


NOTHING_TOUCHED = TouchedNames()


@dataclass(frozen=True, slots=True)
class SchemaReader:
    """How a run reads definitions: a query by kind, with `{names}` in it, one of what `{words}` mean in the schemas of `{path}`,
    and the settings that they need.

    `unmanaged` is a regular expression of PostgreSQL for the names, `public.cache_1`, of what isn't compared; "" for nothing.
    `watched` are the relations that any step of the run touches; `schemas` the SQL names of those that exist before it. If it
    `records`, each step notes what it left. `every` is a query of all definitions, for the schema that a step leaves. Without queries, nothing is compared; if it `observes`, each step reports what it locked.
    """

    queries: Mapping[str, str] = field(default_factory=dict)
    mentioned: str = ""
    settings: Sequence[tuple[str, str]] = ()
    watched: Sequence[TouchedName] = ()
    schemas: Sequence[str] = ()
    unmanaged: str = ""
    records: bool = False
    observes: bool = False
    every: str = ""


NOTHING_READ = SchemaReader()


def object_id(kind: str, name: str, parent: str) -> str:
    """As `OBJECT_ID` has it."""
    return "\x1f".join((kind, name, parent))


def objects_digest(objects: Mapping[tuple[str, str, str], str]) -> str:
    """The digest of what is touched, from those of its objects by kind, name and parent; "" without any. As `_read_now` has it."""
    lines = sorted("\x1f".join((*each, digest)).encode() for each, digest in objects.items())
    return text_digest(b"\n".join(lines)) if lines else ""


def text_digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:DIGEST_LENGTH]


def parse_observed(message: str) -> tuple[tuple[str, int], Mapping[str, frozenset[str]]] | None:
    """Version and step, and the modes by SQL name, of a message that `observe_sql` raises; None for any other."""
    if not message.startswith(MARKER):
        return None
    try:
        facts = json.loads(message.removeprefix(MARKER))
        found: dict[str, frozenset[str]] = {}
        for name, mode in facts[OBSERVED] or ():
            found[str(name)] = found.get(str(name), frozenset()) | {str(mode)}
        return (str(facts["version"]), int(facts["step"])), found
    except (ValueError, KeyError, TypeError):
        return None
