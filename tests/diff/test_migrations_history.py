"""Folder compared with ledger: each case in tests/cases/history has both sides and the exact outcome.

A migration is written `version file checksum semantic [done/units]`.
"""

import json
from pathlib import Path

import pytest

from mosaic_deploy.diff.history.migrations import diff_history, versions_to_parse
from mosaic_deploy.errors import MigrationDiverged
from mosaic_deploy.model.snapshot import Migration

CASES = sorted((Path(__file__).parents[1] / "cases" / "history").glob("*.json"))


def migration(line: str) -> Migration:
    version, file, checksum, semantic, *progress = line.split()
    done, units = progress[0].split("/") if progress else ("0", "1")
    return Migration(version, file, checksum, semantic, int(units), int(done))


def outcome(case: dict[str, list[str]]) -> dict[str, list[str]]:
    desired = [migration(line) for line in case["desired"]]
    live = [migration(line) for line in case["live"]]
    facts = {"unread": versions_to_parse(desired, live)}
    try:
        history = diff_history(desired, live)
    except MigrationDiverged as error:
        return facts | {"problems": [str(problem) for problem in error.problems]}
    return facts | {
        "pending": [f"{c.address} {c.reason}" for c in history.pending],
        "notes": [f"{n.severity} {n.code}: {n.message}" for n in history.notes],
    }


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_history(path: Path) -> None:
    case = json.loads(path.read_text())
    assert outcome(case) == case["expected"]


def test_cases_exist() -> None:
    assert len(CASES) >= 10


def test_diverged_history_has_hint_and_next_action() -> None:
    with pytest.raises(MigrationDiverged) as caught:
        diff_history([], [Migration("1", "0001_a.sql", "c", "s", units_done=1)])
    error = caught.value
    assert error.message == "the migrations folder and the migration history disagree"
    assert error.hint is not None
    assert error.hint.startswith("applied files never run again: restore them")
    assert [action.command for action in error.next_actions] == ["mosaic-deploy migrate status"]
    assert error.mutation_state == "none"
