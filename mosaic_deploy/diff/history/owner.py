"""Whose migration history a project has: a project has one, of the migrations folder of one manifest.

A deploy that runs migrations records its manifest and folder. A second manifest with a folder of its own contradicts the
history as if files were deleted or edited. So it may change the history only if its folder holds all that was applied: then
the folder may have been moved. Every command that judges or changes the history asks HistoryAccess.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from mosaic_deploy.diff.history.actions import restore_action
from mosaic_deploy.diff.history.matching import Match, Matches, MatchKind
from mosaic_deploy.errors import Location, MigrationDiverged, NextAction, Problem
from mosaic_deploy.model.manifest_identity import (
    identity_of,
    named_manifest,
    other_repository,
    same_manifest,
    vaguer_names,
)
from mosaic_deploy.model.plan import Note
from mosaic_deploy.model.quantities import count_text
from mosaic_deploy.model.snapshot import Migration


@dataclass(frozen=True, slots=True)
class HistoryOwner:
    """A manifest and its migrations folder. In a git repository both are paths in it, else the last two names of a path.

    `repository` tells it from others, as in `model/manifest_identity.py`; empty if unknown.
    """

    manifest: str
    folder: str
    in_repository: bool = False
    repository: str = ""

    def is_other(self, recorded: HistoryOwner | None) -> bool:
        """Whether the repository differs from the one recorded, or both the manifest and the folder do.

        One of these two may have been renamed.
        """
        if recorded is None:
            return False
        if other_repository(self.repository, recorded.repository):
            return True
        same = _equal if self.in_repository and recorded.in_repository else _may_be_equal
        return not same(self.manifest, recorded.manifest) and not same(self.folder, recorded.folder)

    def refines(self, recorded: HistoryOwner | None) -> bool:
        """Whether this is the owner recorded, of which less is known about the repository."""
        if recorded is None or self.is_other(recorded):
            return False
        return vaguer_names(identity_of("", self.repository)).include(identity_of("", recorded.repository))

    def is_of(self, manifest: str) -> bool:
        """Whether the manifest of this identity is this owner's."""
        return same_manifest(identity_of(self.manifest, self.repository), manifest)

    def named_beside(self, other: HistoryOwner | None) -> str:
        """The manifest for people: with its repository if `other` has the same path."""
        alone = other is None or other.manifest != self.manifest
        return named_manifest(self.manifest, self.repository, alone=alone)


def removed_migrations_notes(applied: Sequence[Migration]) -> Iterator[Note]:
    """The note that a manifest has no migrations folder any longer, though it applied these; none if there are none."""
    if not applied:
        return
    files = ", ".join(each.file for each in (*applied[:1], *applied[1:][-1:]))
    message = (
        f"the manifest has no database.migrations; {count_text(len(applied), 'migration')} of earlier deploys "
        f"({files.replace(', ', ' … ') if len(applied) > 2 else files}) stay applied, with their tables and data; to remove "
        "those, add the folder again and undo the migrations with `mosaic-deploy migrate rollback`, or with new ones"
    )
    yield Note("database_section_removed", message)


def _equal(one: str, other: str) -> bool:
    return one == other


def _may_be_equal(one: str, other: str) -> bool:
    """Whether they may be the same path, of which one is only the end."""
    return one == other or one.endswith(f"/{other}") or other.endswith(f"/{one}")


def parse_owner(record: object) -> HistoryOwner | None:
    """The recorded owner; None if there is no record that can be read."""
    if not isinstance(record, Mapping) or not record.get("manifest") or not record.get("folder"):
        return None
    return HistoryOwner(
        str(record["manifest"]),
        str(record["folder"]),
        in_repository=record.get("in_repository") is True,
        repository=str(record.get("repository", "")),
    )


def owner_record(owner: HistoryOwner) -> dict[str, object]:
    return asdict(owner)


@dataclass(frozen=True, slots=True)
class HistoryAccess:
    """What the manifest `own` may do with a history that `recorded` has; `place` is its field of the folder."""

    own: HistoryOwner | None
    recorded: HistoryOwner | None
    matches: Matches
    place: Location

    @property
    def other(self) -> HistoryOwner | None:
        """The other manifest that the history belongs to; None if this one may change it."""
        may_be_moved = not self._not_held
        return None if may_be_moved or not self._is_other else self.recorded

    @property
    def hint(self) -> str:
        """What to do instead of correcting the history, if it is another manifest's."""
        assert self.recorded is not None
        return (
            f"only {self.recorded.named_beside(self.own)} can change this history; if {self.recorded.folder} was moved here, restore its "
            "files as they were applied, and `mosaic-deploy apply` records the move"
        )

    def refuse_reading(self) -> None:
        """Raises MigrationDiverged if the history is another manifest's, and no applied file is in this folder."""
        if self.other and not self._has_any:
            raise self._refusal()

    def refuse_changing(self) -> None:
        """Raises MigrationDiverged if the history is another manifest's, unless all that was applied is in this folder."""
        if self.other:
            raise self._refusal()

    def restore_actions(self, version: str | None = None) -> tuple[NextAction, ...]:
        """The only commands that help if the history is another manifest's: for one row, or for all."""
        rows = [match.row for match in self._not_held]
        return tuple(
            restore_action(row, f"to write {row.file} as it was applied")
            for row in rows
            if version in (None, row.version)
        )

    @property
    def _is_other(self) -> bool:
        return self.own is not None and self.own.is_other(self.recorded)

    @property
    def _begun(self) -> list[Match]:
        return [match for match in self.matches.rows if match.row.begun]

    @property
    def _not_held(self) -> list[Match]:
        """The rows of which something ran, or may have, and whose statements the folder doesn't have in their place."""
        return [match for match in self._begun if not _is_held(match)]

    @property
    def _has_any(self) -> bool:
        kinds = (match.kind for match in self._begun if match.row.steps_done)
        return any(kind not in (MatchKind.MISSING, MatchKind.EDITED) for kind in kinds)

    def _refusal(self) -> MigrationDiverged:
        assert self.own is not None and self.recorded is not None
        applied = f"{self.recorded.named_beside(self.own)} applied them from {self.recorded.folder}"
        first, *more = self.restore_actions()
        if not self._has_any:
            fact = f"none of the applied migrations is in {self.own.folder}: {applied}"
            hint: str = _ONE_HISTORY
            actions = [
                replace(first, description=f"if {self.recorded.folder} was moved here, {first.description}")
            ]
        else:
            names = _enumerated([match.row.file for match in self._not_held])
            fact = f"{self.own.folder} doesn't have these migrations as they were applied: {names}; {applied}"
            hint = self.hint
            actions = [first]
            if more:
                actions.append(NextAction("list the files to restore", "mosaic-deploy migrate status"))
        return MigrationDiverged(
            "another manifest's migrations are applied to this project",
            problems=[Problem(fact, self.place)],
            hint=hint,
            next_actions=actions,
        )


_ONE_HISTORY = (
    "a project has one migration history: put all migrations into one folder, and leave database.migrations out of the "
    "other manifests, or give this one a project of its own"
)
_MAX_NAMES = 5
"""Maximum migrations named in a message."""


def _is_held(match: Match) -> bool:
    """Of a row without a committed step any file of its number counts as the same, so the bytes must be, too."""
    file, row = match.file, match.row
    return not match.diverged and file is not None and (row.steps_done > 0 or file.checksum == row.checksum)


def _enumerated(names: Sequence[str]) -> str:
    more = len(names) - _MAX_NAMES
    return ", ".join([*names[:_MAX_NAMES], *([f"{more} more"] if more > 0 else [])])
