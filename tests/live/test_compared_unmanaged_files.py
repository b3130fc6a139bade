"""Which unmanaged live files are fetched to compare them with desired ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mosaic_deploy.errors import ServerFailed
from mosaic_deploy.live import unmanaged
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.snapshot import LiveState
from mosaic_deploy.live.unmanaged import compare_unmanaged
from mosaic_deploy.model.snapshot import Object, ObjectState, Project, Snapshot

PROJECT = Project("pod-1", "app", "https://pod-1.example", "running")
WANTED = Object("a.css", "a" * 64, 5)
THEIRS = Object("a.css", "", 5, ObjectState.UNMANAGED, listed_size=5)


def fetched(
    monkeypatch: pytest.MonkeyPatch, live: list[Object], wanted: list[Object], project: Project = PROJECT
) -> tuple[list[str], dict[str, str]]:
    """The paths that are fetched, and the digests by path afterwards. Files called `bad…` can't be fetched."""
    urls: list[str] = []

    def read(_api: Api, url: str, _cache: object) -> str:
        urls.append(url.rpartition("/")[2])
        if urls[-1].startswith("bad"):
            raise ServerFailed("broken")
        return "f" * 64

    monkeypatch.setattr(unmanaged, "read_digest", read)
    state = LiveState(Snapshot(project, static={each.path: each for each in live}), ledger_exists=True)
    desired = Snapshot(PROJECT, static={each.path: each for each in wanted})
    with Api("https://api.test", ApiKey("mk_1")) as api:
        after = compare_unmanaged(api, state, desired, 1)
    return urls, {path: each.sha256 for path, each in (after.snapshot.static or {}).items()}


@pytest.mark.parametrize(
    ("live", "is_fetched"),
    [
        (THEIRS, True),
        (replace(THEIRS, listed_size=None), True),
        (replace(THEIRS, listed_size=6), False),
        (replace(THEIRS, listed_size=0), False),
        (replace(THEIRS, sha256="b" * 64), False),
        (replace(THEIRS, sha256="b" * 64, state=ObjectState.KEPT_CHANGED), True),
        (replace(THEIRS, sha256="b" * 64, state=ObjectState.REPLACED), True),
        (replace(THEIRS, sha256="b" * 64, state=ObjectState.REPLACED, listed_size=6), False),
        (replace(THEIRS, state=ObjectState.LIVE), False),
        (replace(THEIRS, state=ObjectState.KEPT), False),
        (replace(THEIRS, path="b.css"), False),
    ],
)
def test_a_file_that_may_be_equal_is_fetched(
    monkeypatch: pytest.MonkeyPatch, live: Object, is_fetched: bool
) -> None:
    urls, digests = fetched(monkeypatch, [live], [WANTED])
    assert urls == (["a.css"] if is_fetched else [])
    assert digests == {live.path: "f" * 64 if is_fetched else live.sha256}


def test_a_file_that_cannot_be_fetched_stays_unknown_and_others_are_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ["a.css", "bad.css", "c.css"]
    live, wanted = ([replace(one, path=name) for name in names] for one in (THEIRS, WANTED))
    urls, digests = fetched(monkeypatch, live, wanted)
    assert sorted(urls) == names
    assert digests == {"a.css": "f" * 64, "bad.css": "", "c.css": "f" * 64}


@pytest.mark.parametrize("project", [replace(PROJECT, id=""), replace(PROJECT, status="provisioning")])
def test_a_project_that_is_not_running_has_nothing_to_fetch(
    monkeypatch: pytest.MonkeyPatch, project: Project
) -> None:
    assert fetched(monkeypatch, [THEIRS], [WANTED], project)[0] == []


def test_the_smallest_files_are_fetched_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unmanaged, "_MAX_COMPARED_BYTES", 30)
    sizes = {"large.css": 31, "middle.css": 20, "small.css": 10, "next.css": 21}
    live = [Object(name, "", size, ObjectState.UNMANAGED, listed_size=size) for name, size in sizes.items()]
    wanted = [Object(name, "a" * 64, size) for name, size in sizes.items()]
    assert fetched(monkeypatch, live, wanted)[0] == ["small.css", "middle.css"]
