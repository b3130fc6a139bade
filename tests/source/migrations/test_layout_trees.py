"""Folders in the layouts of migration tools: tests/cases/layouts/cases.yaml."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mosaic_deploy.errors import MigrationInvalid, UsageInvalid
from mosaic_deploy.model.manifest import DatabaseSpec
from mosaic_deploy.model.snapshot import natural_order
from mosaic_deploy.source.migrations.down import read_down_migrations
from mosaic_deploy.source.migrations.draft import find_draft
from mosaic_deploy.source.migrations.layouts.detect import detected_layout, read_folder
from mosaic_deploy.source.migrations.listing import folder_notes, read_migrations
from mosaic_deploy.source.migrations.new import write_new_migration

CASES: dict[str, dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parents[2] / "cases/layouts/cases.yaml").read_text()
)
READABLE = {name: case for name, case in CASES.items() if "run" in case}
REFUSED = {name: case for name, case in CASES.items() if "error" in case}
NOW = datetime(2026, 11, 23, 20, 45, 1, tzinfo=UTC)


def write(root: Path, files: Any) -> None:
    (root / "sql").mkdir()
    for name, text in files.items() if isinstance(files, dict) else ((name, None) for name in files):
        path = root / "sql" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text or "")


def state(root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", READABLE)
def test_what_runs_in_which_order(name: str, tmp_path: Path) -> None:
    case = READABLE[name]
    write(tmp_path, case["files"])
    before = state(tmp_path)
    files = read_migrations(tmp_path, "sql", layout=case.get("set"))
    assert {f.migration.version: f.migration.file for f in files} == {
        str(k): v for k, v in case["run"].items()
    }
    assert [f.migration.file for f in files] == list(case["run"].values())
    orders = [f.migration.order for f in files]
    assert orders == sorted(orders)
    assert [f.relative_path for f in files] == [f"sql/{f.migration.file}" for f in files]
    downs = {
        f.migration.file: down.file.relative_path.removeprefix("sql/")
        for f in files
        for down in read_down_migrations(tmp_path, "sql", f)
        if down.file.relative_path != f.relative_path
    }
    assert downs == case.get("downs", {})
    draft = find_draft(tmp_path / "sql")
    assert (draft.name if draft else "draft.sql") == case.get("draft", "draft.sql")
    assert state(tmp_path) == before, "reading changes nothing"


@pytest.mark.parametrize("name", READABLE)
def test_what_does_not_run_is_said(name: str, tmp_path: Path) -> None:
    case = READABLE[name]
    write(tmp_path, case["files"])
    found = read_folder(tmp_path / "sql", "sql", case.get("set"))
    assert found.layout.name == case["layout"]
    detected = detected_layout(tmp_path / "sql")
    assert "set" in case or (detected.name if detected else "numbered") == case["layout"]
    assert list(found.listing.repeatable) == case.get("repeatable", [])
    notes = list(folder_notes(tmp_path, DatabaseSpec(migrations="sql", layout=case.get("set"))))
    said = [note.message.removeprefix("sql/") for note in notes if note.code == "migration_ignored"]
    assert said == case.get("ignored", [])
    programs = [note.message.split()[0] for note in notes if note.code == "migration_not_sql"]
    assert programs == [f"sql/{each}" for each in case.get("not_sql", [])]


@pytest.mark.parametrize("name", [name for name, case in READABLE.items() if "new" in case])
def test_a_new_migration_is_the_last_one_of_its_layout(name: str, tmp_path: Path) -> None:
    case = READABLE[name]
    write(tmp_path, case["files"])
    before = state(tmp_path)
    made = write_new_migration(tmp_path, "sql", "Add tags", NOW, case.get("set"))
    assert [path.relative_to(tmp_path / "sql").as_posix() for path in made] == case["new"]
    after = state(tmp_path)
    assert {path: text for path, text in after.items() if path in before} == before
    assert after.keys() - before.keys() == {f"sql/{file}" for file in case["new"]}
    assert case.get("new_text", made[0].read_text()) == made[0].read_text()
    files = [f.migration.file for f in read_migrations(tmp_path, "sql", layout=case.get("set"))]
    assert set(files) == {*case["run"].values(), case["new"][0]}
    if name != "prisma sorts names as text":
        assert files[-1] == case["new"][0]


@pytest.mark.parametrize("name", [name for name, case in READABLE.items() if "error_of_new" in case])
def test_a_file_that_only_its_tool_can_make(name: str, tmp_path: Path) -> None:
    write(tmp_path, READABLE[name]["files"])
    with pytest.raises(UsageInvalid) as caught:
        write_new_migration(tmp_path, "sql", "Add tags", NOW)
    assert caught.value.hint == READABLE[name]["error_of_new"]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_unclear_is_refused(name: str, tmp_path: Path) -> None:
    case = REFUSED[name]
    write(tmp_path, case["files"])
    with pytest.raises(MigrationInvalid) as caught:
        read_migrations(tmp_path, "sql")
    found = sorted(f"{each.location}: {each.message}" for each in caught.value.problems)
    assert found == case["error"]
    assert case.get("hint", caught.value.hint) == caught.value.hint


NUMBERS = st.lists(st.integers(0, 10**14), min_size=1, max_size=4)


@given(NUMBERS, NUMBERS)
def test_versions_are_ordered_part_by_part(one: list[int], other: list[int]) -> None:
    """Zeros at the end don't count, as in Flyway; a name tells equal ones apart."""

    def trimmed(parts: list[int]) -> list[int]:
        return trimmed(parts[:-1]) if len(parts) > 1 and parts[-1] == 0 else parts

    first, second = (natural_order(".".join(map(str, parts))) for parts in (one, other))
    assert (first < second) == (trimmed(one) < trimmed(other))
    assert (first == second) == (trimmed(one) == trimmed(other))
    version = ".".join(map(str, one))
    assert natural_order(version) < natural_order(f"{version}/a") < natural_order(f"{version}/b")


@given(st.lists(st.tuples(NUMBERS, st.text("abc", min_size=1, max_size=3)), max_size=8))
def test_every_order_of_a_tool_is_kept(listed: list[tuple[list[int], str]]) -> None:
    """Whatever the tool's order is, the places are in that order, and the versions are unique."""
    from mosaic_deploy.source.migrations.layouts.detect import with_versions
    from mosaic_deploy.source.migrations.layouts.layout import ListedFile

    names = {(tuple(parts), name) for parts, name in listed}
    files = [
        ListedFile(f"{number}_{name}.sql", number, f"{number}_{name}")
        for parts, name in names
        for number in [".".join(map(str, parts))]
    ]
    found = list(with_versions(files))
    orders = [each.place or natural_order(each.version) for each in found]
    assert orders == sorted(set(orders))
    assert len({each.version for each in found}) == len(found)
