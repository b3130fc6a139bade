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
    """What a step touches: a `kind` (relation, routine, type) with its SQL name `key`, and its unquoted names.

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
class SchemaReader:
    """How a run reads definitions: a query by kind, with `{names}` in it, and the settings that it needs.

    `watched` are the relations that any step of the run touches. Without queries, nothing is compared; if it `observes`, each
    step reports what it locked.
    """

    queries: Mapping[str, str] = field(default_factory=dict)
    settings: Sequence[tuple[str, str]] = ()
    watched: Sequence[TouchedName] = ()
    observes: bool = False


NOTHING_READ = SchemaReader()


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
