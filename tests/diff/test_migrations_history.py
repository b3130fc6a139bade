"""Folder compared with ledger: each case in tests/cases/history has both sides and the exact outcome.

A migration is written `version file checksum semantic [done/steps]`.
"""

import json
from pathlib import Path

import pytest

from mosaic_deploy.diff.history.matching import MatchKind, match_history, statements_differ
from mosaic_deploy.diff.history.migrations import diff_history, versions_to_parse
from mosaic_deploy.errors import MigrationDiverged
from mosaic_deploy.model.snapshot import Migration
from mosaic_deploy.sql.parse import semantic_checksum

CASES = sorted((Path(__file__).parents[1] / "cases" / "history").glob("*.json"))


def migration(line: str) -> Migration:
    version, file, checksum, semantic, *progress = line.split()
    done, steps = progress[0].split("/") if progress else ("0", "1")
    return Migration(version, file, checksum, semantic, int(steps), int(done))


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


def test_diverged_history_has_next_action_and_the_problems_their_hints() -> None:
    with pytest.raises(MigrationDiverged) as caught:
        diff_history([], [Migration("1", "0001_a.sql", "c", "s", steps_done=1)])
    error = caught.value
    assert error.message == "the migrations folder and the migration history disagree"
    assert error.hint is None, "about edited files only"
    assert error.problems[0].hint == "restore the file; if the folder is an older checkout, update it"
    assert [action.command for action in error.next_actions] == ["mosaic-deploy migrate status"]
    assert error.mutation_state == "none"


def test_files_without_statements_are_not_taken_for_each_other() -> None:
    empty = semantic_checksum([])
    rows = [Migration("1", "0001_a.sql", "c1", empty, steps_done=1)]
    [match] = match_history([Migration("2", "0002_b.sql", "c2", empty)], rows).rows
    assert match.kind is MatchKind.MISSING
    [match] = match_history([Migration("2", "0002_b.sql", "c1", empty)], rows).rows
    assert match.kind is MatchKind.MOVED


@pytest.mark.parametrize(
    ("numbers", "moved"),
    [
        ({"a": "2", "b": "3"}, ["1", "2"]),
        ({"a": "2", "b": "1"}, ["1", "2"]),
        ({"a": "2", "b": "3", "c": "1"}, ["1", "2", "3"]),
        ({"a": "2", "b": "3", "c": "3"}, None),
        ({"a": "5", "b": "2"}, ["1"]),
    ],
)
def test_what_is_renumbered_together(numbers: dict[str, str], moved: list[str] | None) -> None:
    """Row 1 is a, 2 is b, 3 is c. A row in the way moves, too; one that has its own number can't."""
    rows = [
        Migration(str(n), f"{n}_{name}.sql", name, name, steps_done=1) for n, name in enumerate(numbers, 1)
    ]
    folder = [Migration(version, f"{version}_{name}.sql", name, name) for name, version in numbers.items()]
    chain = match_history(folder, rows).renumbering("1")
    assert (chain and [match.row.version for match in chain]) == moved


def test_the_newest_rows_without_files() -> None:
    rows = [Migration(str(n), f"{n}_{n}.sql", f"c{n}", f"s{n}", steps_done=1) for n in range(1, 5)]
    matches = match_history([rows[1]], rows)
    assert [match.row.version for match in matches.trailing_missing] == ["3", "4"]
    assert [match.row.version for match in match_history([rows[3]], rows).trailing_missing] == []


@pytest.mark.parametrize(
    ("done", "semantic", "differ"),
    [(1, "p1", False), (2, "p2", False), (2, "p1", True), (1, "p2", True), (4, "p3", True)],
)
def test_a_partly_applied_file_may_differ_after_its_applied_steps(
    done: int, semantic: str, differ: bool
) -> None:
    file = Migration("1", "1_a.sql", "new", "p3", steps=3, prefix_checksums=("p1", "p2", "p3"))
    row = Migration("1", "1_a.sql", "old", semantic, steps=5, steps_done=done)
    assert statements_differ(file, row) is differ
