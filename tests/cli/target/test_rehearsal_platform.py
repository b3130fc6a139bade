"""The platform that is only for rehearsals: when its home in the cache is damaged, and what it prepares."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mosaic_deploy.cli.target import embedded
from mosaic_deploy.cli.target.rehearsal import rehearse_plan
from mosaic_deploy.deploy import rehearsal
from mosaic_deploy.errors import PlatformFailed


@pytest.mark.parametrize("content", ["", "{", "[]", '"x"', '{"url": 5}', "null"])
def test_a_damaged_platform_file_is_no_running_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setenv("MOSAIC_CACHE", str(tmp_path))
    monkeypatch.setenv("MOSAIC_HOME", str(tmp_path / "rehearsals"))
    home = tmp_path / "rehearsals"
    home.mkdir()
    (home / "platform.json").write_text(content)
    started: list[tuple[str, ...]] = []

    def run(*arguments: str, **_: object) -> dict[str, object]:
        started.append(arguments)
        return {"url": "http://127.0.0.1:1", "api_key": "k"}

    monkeypatch.setattr(embedded, "run_platform_command", run)
    assert embedded.ensure_rehearsals_started().url == "http://127.0.0.1:1"
    assert [arguments[0] for arguments in started] == ["start"]
    assert embedded.running_url() is None


def test_a_failed_start_names_the_folder_to_delete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSAIC_CACHE", str(tmp_path))

    def fail(*_: str, **__: object) -> dict[str, object]:
        raise PlatformFailed(
            "state.json is damaged or unreadable", hint="start over with `mosaic-deploy local reset`"
        )

    monkeypatch.setattr(embedded, "run_platform_command", fail)
    with pytest.raises(PlatformFailed) as caught:
        embedded.ensure_rehearsals_started()
    folder = embedded.cache_folder() / "rehearsals"
    assert caught.value.hint == f"if that happens again, delete {folder}: it is a cache, and is made again"


@pytest.mark.parametrize(("ci", "spare"), [("", True), ("true", False)])
def test_no_copy_is_made_in_advance_under_ci(monkeypatch: pytest.MonkeyPatch, ci: str, spare: bool) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(rehearsal, "has_anything_to_rehearse", lambda _: True)
    monkeypatch.setattr(rehearsal, "rehearse", lambda *_, **options: options)
    snapshot = SimpleNamespace(migrations=(), seeds=None)
    planned = SimpleNamespace(
        plan=SimpleNamespace(rehearsal_rule=None), live=SimpleNamespace(snapshot=snapshot)
    )
    session = SimpleNamespace(local=True, api=None)
    made: Any = rehearse_plan(cast(Any, session), cast(Any, planned), True, command="mosaic-deploy plan")
    assert made == {"spare": spare}
