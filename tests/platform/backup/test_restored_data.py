"""A restored backup's settings aren't taken over: PostgreSQL runs programs and libraries that they name."""

from __future__ import annotations

import json
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import psycopg
import pytest
from started_platform import create_project, run_platform

from mosaic_deploy.platform.daemon.archive import extract_archive, read_metadata, write_archive
from mosaic_deploy.platform.daemon.restored_data import is_data
from mosaic_deploy.platform.machine.ports import free_port
from mosaic_deploy.platform.machine.state_folder import new_state, parse_state


@pytest.fixture
def backup(tmp_path) -> Iterator[Path]:
    home = tmp_path / "home"
    started = run_platform(home, "start", "--port", str(free_port()))
    create_project(started["url"], started["api_key"], "Kept")
    assert run_platform(home, "backup", str(tmp_path / "backup"))["status"] == "backed up"
    yield tmp_path / "backup"
    run_platform(home, "reset")


@pytest.fixture
def marked() -> Iterator[Path]:
    """A folder that PostgreSQL's user may write to."""
    folder = Path(tempfile.mkdtemp(prefix="mosaic-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def test_no_program_named_in_a_backup_runs(backup, marked, tmp_path) -> None:
    """Two ways to run one: `restore_command` at the start, and a library in every session."""
    trees = {"store": tmp_path / "store", "postgres": tmp_path / "data"}
    extract_archive(backup, trees)
    data = trees["postgres"]
    command = f"touch {marked}/ran; false"
    (data / "postgresql.auto.conf").write_text(f"restore_command = '{command}'\n")
    with (data / "postgresql.conf").open("a") as settings:
        settings.write("include_dir = 'conf.d'\nhba_file = 'open_hba.conf'\n")
    (data / "conf.d").mkdir()
    (data / "conf.d" / "a.conf").write_text("session_preload_libraries = '/nowhere/evil'\n")
    (data / "open_hba.conf").write_text("host all all 0.0.0.0/0 trust\n")
    (data / "recovery.signal").write_text("")
    (data / "pg_replslot" / "slot").mkdir()
    (data / "pg_replslot" / "slot" / "state").write_text("x")
    hostile = tmp_path / "hostile"
    write_archive(hostile, read_metadata(backup), trees)

    home = tmp_path / "restored"
    try:
        assert run_platform(home, "restore", str(hostile))["status"] == "restored"
        started = run_platform(home, "start")
        assert started["status"] == "started", started
        assert not (marked / "ran").exists()
        restored = Path(json.loads((home / "state.json").read_text())["postgres_folder"]) / "data"
        kept = {path.name for path in restored.iterdir()}
        assert "PG_VERSION" in kept
        assert not kept & {"recovery.signal", "conf.d", "open_hba.conf"}
        assert list((restored / "pg_replslot").iterdir()) == []
    finally:
        run_platform(home, "reset")


def test_the_settings_written_are_those_of_a_new_platform(backup, tmp_path) -> None:
    home = tmp_path / "restored"
    try:
        run_platform(home, "restore", str(backup))
        restored = _settings(run_platform(home, "start"))
    finally:
        run_platform(home, "reset")
    try:
        new = _settings(run_platform(home, "start"))
    finally:
        run_platform(home, "reset")
    assert restored == new


def _settings(document) -> set[tuple[str, str]]:
    """Every setting of a session of a project, without addresses and folders."""
    import httpx

    project_id = create_project(document["url"], document["api_key"], "Asking")
    response = httpx.get(
        f"{document['url']}/v1/project/{project_id}/credentials", headers={"X-API-Key": document["api_key"]}
    )
    with psycopg.connect(response.json()["database_url"]) as connection:
        rows = connection.execute("SELECT name, setting FROM pg_settings").fetchall()
    # Some depend on the machine's limits or on the port.
    return {(name, setting) for name, setting in rows if name not in ("port", "max_stack_depth")}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("base/5/1259", True),
        ("pg_wal/000000010000000000000001", True),
        ("PG_VERSION", True),
        ("pg_tblspc", True),
        ("pg_tblspc/16400/PG_18/x", False),
        ("postgresql.auto.conf", False),
        ("postgresql.conf", False),
        ("conf.d/a.conf", False),
        ("standby.signal", False),
        ("backup_label", False),
        ("tablespace_map", False),
        ("PG_VERSION/x", False),
        ("evil.so", False),
    ],
)
def test_which_members_are_data(path, expected) -> None:
    assert is_data(tuple(path.split("/"))) is expected


@pytest.mark.parametrize(
    ("name", "value"), [("api_key", ["mk"]), ("port", "1"), ("postgres_port", True), ("signing_key", None)]
)
def test_a_state_of_other_types_is_refused(name, value) -> None:
    """It used to replace the platform that was there, which then couldn't start."""
    state = asdict(new_state(Path("/nowhere")))
    assert asdict(parse_state({**state, "unknown": 1})) == state
    with pytest.raises(TypeError, match=name):
        parse_state({**state, name: value})


def test_no_link_is_extracted(tmp_path) -> None:
    """A link out of the data folder, such as a tablespace's, would be written through."""
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        with tarfile.open(tmp_path / "file", "w:gz") as tar:
            entry = tarfile.TarInfo("postgres/pg_tblspc/1")
            entry.type, entry.linkname = kind, "/etc"
            tar.addfile(entry)
        with pytest.raises(Exception, match="unexpected member"):
            extract_archive(tmp_path / "file", {"postgres": tmp_path / "out"})
