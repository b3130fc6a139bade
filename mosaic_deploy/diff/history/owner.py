"""Whose migration history a project has: a project has one, of the migrations folder of one manifest.

A deploy that runs migrations records its manifest and folder. A second manifest with a folder of its own contradicts the
history as if all files were deleted; then it must not forget or repair the rows of the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from mosaic_deploy.diff.history.matching import Matches, MatchKind
from mosaic_deploy.errors import Location, MigrationDiverged, NextAction, Problem


@dataclass(frozen=True, slots=True)
class HistoryOwner:
    """A manifest and its migrations folder. In a git repository both are paths in it, else the last two names of a path."""

    manifest: str
    folder: str
    in_repository: bool = False

    def is_other(self, recorded: HistoryOwner | None) -> bool:
        """Whether both the manifest and the folder differ from those recorded; one of them may have been renamed."""
        if recorded is None:
            return False
        same = _equal if self.in_repository and recorded.in_repository else _may_be_equal
        return not same(self.manifest, recorded.manifest) and not same(self.folder, recorded.folder)


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
        str(record["manifest"]), str(record["folder"]), in_repository=record.get("in_repository") is True
    )


def owner_record(owner: HistoryOwner) -> dict[str, object]:
    return asdict(owner)


def refuse_other_history(
    own: HistoryOwner, recorded: HistoryOwner | None, matches: Matches, place: Location
) -> None:
    """Raises MigrationDiverged if the history is another manifest's, and no applied file is in this folder.

    `place` is the folder's field in the manifest.
    """
    applied = [match for match in matches.rows if match.row.steps_done]
    in_common = any(match.kind not in (MatchKind.MISSING, MatchKind.EDITED) for match in applied)
    if recorded is None or not own.is_other(recorded) or not applied or in_common:
        return
    raise MigrationDiverged(
        "another manifest's migrations are applied to this project",
        problems=[
            Problem(
                f"none of the applied migrations is in {own.folder}: {recorded.manifest} applied them from {recorded.folder}",
                place,
            )
        ],
        hint="a project has one migration history: put all migrations into one folder, and leave database.migrations out "
        "of the other manifests, or give this one a project of its own",
        next_actions=[
            NextAction(
                f"if {recorded.folder} was moved here, to write {applied[0].row.file} as it was applied",
                f"mosaic-deploy migrate restore-file {applied[0].row.version}",
            )
        ],
    )
