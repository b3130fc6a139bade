"""The kinds of resources: how each is called in addresses, in `--only`, in a plan's headings and in messages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """`name` begins an address (`static:index.html`); `selector` is the word of `--only`, None if it has none."""

    name: str
    heading: str
    plural: str
    selector: str | None = None


KINDS = (
    Kind("project", "Project", "projects", "project"),
    Kind("extension", "Database", "extensions", "extensions"),
    Kind("migration", "Database", "migrations", "migrations"),
    Kind("rollback", "Database", "rollbacks"),
    Kind("seed", "Database", "seeds", "seeds"),
    Kind("history", "Migration history", "history entries"),
    Kind("static", "Static files", "static files", "static"),
    Kind("storage", "Storage", "storage files", "storage"),
    Kind("auth", "Sign-in", "auth settings", "auth"),
)
BY_NAME = {kind.name: kind for kind in KINDS}
BY_SELECTOR = {kind.selector: kind for kind in KINDS if kind.selector}
"""In the order in which messages list them."""
