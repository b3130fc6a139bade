"""The schema of a rehearsal's database, as its migrations change it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mosaic_deploy.diff.renames import changes_with_renames, find_renames, names_changed
from mosaic_deploy.diff.schema import schema_changes
from mosaic_deploy.live.database.relations import Relations
from mosaic_deploy.model.catalog import Catalog, SchemaChange


@dataclass
class FollowedSchema:
    """`base` is the schema before the migrations, with its `relations`. `read_relations` reads those that are there now."""

    base: Catalog
    relations: Relations
    read_schema: Callable[[], Catalog]
    read_relations: Callable[[], Relations]
    now: Catalog = field(init=False)
    left: dict[tuple[str, int], tuple[Catalog, Catalog]] = field(default_factory=dict, init=False)
    """By a change's address and the number of its step: the schema when it was last read before, and after the step."""
    relations_now: Relations = field(init=False)
    _read: Catalog = field(init=False)

    def __post_init__(self) -> None:
        self.now, self.relations_now, self._read = self.base, self.relations, self.base

    def note(self, address: str, step: int) -> None:
        """Reads the schema after this step."""
        before, self._read = self._read, self.read_schema()
        self.left[address, step] = before, self._read

    def advance(self) -> tuple[SchemaChange, ...]:
        """What changed since the last time until the step that was noted last."""
        before, names_before = self.now, self.relations_now
        self.now = self._read
        changes = schema_changes(before, self.now)
        if not changes:
            return ()
        if names_changed(changes):
            self.relations_now = self.read_relations()
        renames = find_renames(names_before.names, self.relations_now.names)
        return changes_with_renames(before, self.now, renames)

    @property
    def net(self) -> tuple[SchemaChange, ...]:
        """What changed since the base."""
        renames = find_renames(self.relations.names, self.relations_now.names)
        return changes_with_renames(self.base, self.now, renames)
