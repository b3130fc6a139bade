"""PostgreSQL's folders of platforms that are gone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mosaic_deploy.platform.daemon import leftovers
from mosaic_deploy.platform.daemon.leftovers import find_leftovers, remove_leftovers
from mosaic_deploy.platform.machine import os_user
from mosaic_deploy.platform.postgres.postmaster import Postmaster


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shared"
    monkeypatch.setattr(os_user, "SHARED_FOLDER", folder)
    return folder


def add(shared: Path, name: str, home: Path | None) -> str:
    (shared / name / "data").mkdir(parents=True)
    (shared / name / "data/base").write_text("12345")
    if home:
        (shared / name / "state-folder").write_text(str(home))
    return str(shared / name)


def uses(home: Path, folder: str) -> None:
    home.mkdir()
    (home / "state.json").write_text(json.dumps({"postgres_folder": folder}))


def test_nothing_without_the_shared_folder(shared: Path) -> None:
    assert find_leftovers() == {"folders": [], "removed": []}
    assert remove_leftovers([str(shared / "a")]) == {"folders": [], "removed": []}


def test_folders_of_platforms_that_are_gone(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used, gone, other, running = (tmp_path / name for name in ("used", "gone", "other", "running"))
    live = add(shared, "a", used)
    uses(used, live)
    left = add(shared, "b", gone)
    # Another platform was started where this one's data folder was.
    replaced = add(shared, "c", other)
    uses(other, live)
    unknown = add(shared, "d", None)
    busy = add(shared, "e", running)
    monkeypatch.setattr(
        leftovers,
        "running_postmaster",
        lambda data: Postmaster(7, 1, "ready") if str(data) == f"{busy}/data" else None,
    )
    found = find_leftovers()["folders"]
    assert [(each["folder"], each["pid"]) for each in found] == [(left, None), (replaced, None), (busy, 7)]
    assert (found[0]["home"], found[0]["bytes"]) == (str(gone), 5 + len(str(gone)))
    done = remove_leftovers([live, left, unknown, busy, str(tmp_path)])
    assert [each["folder"] for each in done["removed"]] == [left]
    assert [each["folder"] for each in done["folders"]] == [replaced, busy]
    assert sorted(path.name for path in shared.iterdir()) == ["a", "c", "d", "e"]


def test_a_state_that_cant_be_read_may_be_of_the_folder(shared: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    add(shared, "a", damaged)
    damaged.mkdir()
    (damaged / "state.json").write_text('{"postgres_fol')
    assert find_leftovers()["folders"] == []
