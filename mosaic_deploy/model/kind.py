"""The kinds of resources: how each is called in addresses, in `--only`, in a plan's headings and in messages."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from mosaic_deploy.model.quantities import count_text


class Part(Enum):
    """What a Snapshot has under a kind's selector."""

    NAMES = "names"
    """A frozenset of names."""
    MIGRATIONS = "migrations"
    FILES = "files"
    """Objects by path."""
    VALUE = "value"
    """One JSON value."""


@dataclass(frozen=True, slots=True)
class Kind:
    """`name` begins an address (`static:index.html`). `selector`, if it has one, is the word of `--only`, and the
    attribute of Snapshot that has the `part`. A VALUE has one address, `name:member`."""

    name: str
    heading: str
    plural: str
    selector: str | None = None
    part: Part | None = None
    member: str = ""


KINDS = (
    Kind("project", "Project", "projects", "project"),
    Kind("extension", "Database", "extensions", "extensions", Part.NAMES),
    Kind("migration", "Database", "migrations", "migrations", Part.MIGRATIONS),
    Kind("rollback", "Database", "rollbacks"),
    Kind("repeatable", "Database", "repeatable files", "repeatable", Part.NAMES),
    Kind("seed", "Database", "seeds", "seeds", Part.FILES),
    Kind("history", "Migration history", "history entries"),
    Kind("schema", "Recorded schema", "recorded schemas"),
    Kind("static", "Static files", "static files", "static", Part.FILES),
    Kind("storage", "Storage", "storage files", "storage", Part.FILES),
    Kind("policy", "Policy", "policy changes"),
    Kind("auth", "Sign-in", "auth settings", "auth", Part.VALUE, "magic_link"),
)
BY_NAME = {kind.name: kind for kind in KINDS}
BY_SELECTOR = {kind.selector: kind for kind in KINDS if kind.selector}
"""In the order in which messages list them."""


def kind_count_text(name: str, count: int) -> str:
    """`1 static file`, `3 migrations`; without a number for a kind with one address: `auth settings`.

    A name that isn't in KINDS, as of a newer version, stays as it is: `2 buckets`, for the name `bucket`.
    """
    kind = BY_NAME.get(name)
    if kind is None:
        return count_text(count, name)
    if kind.part is Part.VALUE:
        return kind.plural
    return f"{count:,} {kind.plural}" if count != 1 else f"1 {_singular(kind.plural)}"


def _singular(plural: str) -> str:
    return f"{plural[:-3]}y" if plural.endswith("ies") else plural.removesuffix("s")
