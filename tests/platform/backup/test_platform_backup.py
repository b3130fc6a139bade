"""Backup and restore: complete, checked, all or nothing."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from started_platform import create_project, run_platform

from mosaic_deploy.platform.daemon import archive
from mosaic_deploy.platform.daemon import backup as backups
from mosaic_deploy.platform.daemon.archive import (
    ArchiveDamaged,
    extract_archive,
    read_metadata,
    write_archive,
)
from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.machine import os_user, postgres_owner, state_folder
from mosaic_deploy.platform.machine.ports import free_port


def client(document) -> httpx.Client:
    headers = {"X-API-Key": document["api_key"]}
    return httpx.Client(base_url=f"{document['url']}/v1/project", headers=headers, timeout=30)


def fill(document) -> str:
    project_id = create_project(document["url"], document["api_key"], "Kept")
    with client(document) as api:
        query = "CREATE TABLE kept AS SELECT n, '[1,2,3]'::vector AS v FROM generate_series(1, 1000) AS n"
        assert api.post(f"/{project_id}/sql", json={"query": query}).status_code == 200
        api.post(f"/{project_id}/files", json={"filename": "index.html", "content": "kept"})
        upload = api.post(f"/{project_id}/storage/upload", json={"filename": "a b/ü.bin", "size": 3_000_000})
        assert httpx.put(upload.json()["upload_url"], content=b"kept" * 750_000).status_code == 200
        api.post(f"/{project_id}/auth/magic-link", json={"email": "a@example.com"})
        api.post("/tickets", json={"subject": "kept", "message": "kept"})
    return project_id


def assert_kept(document, project_id: str) -> None:
    with client(document) as api:
        rows = api.post(
            f"/{project_id}/sql", json={"query": "SELECT count(*) AS n, min(v::text) AS v FROM kept"}
        )
        assert rows.json()["data"] == [{"n": 1000, "v": "[1,2,3]"}], rows.text
        assert httpx.get(f"{document['url']}/sites/{project_id}/").text == "kept"
        stored = httpx.get(f"{document['url']}/sites/{project_id}/storage/a%20b/%C3%BC.bin")
        assert stored.content == b"kept" * 750_000
        (email,) = api.get(f"{document['url']}/inbox.json").json()["emails"]
        token = httpx.URL(email["link"]).params["token"]
        assert len(api.get("/tickets").json()["tickets"]) == 1
        credentials = api.get(f"/{project_id}/credentials").json()
        verified = api.post(f"/{project_id}/auth/verify", json={"token": token, "email": "a@example.com"})
        assert verified.status_code == 200
    # The role and its password, too.
    with psycopg.connect(credentials["database_url"]) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1000,)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Iterator[tuple[Path, dict[str, object], str]]:
    """A running platform with data, and its data folder."""
    home = tmp_path_factory.mktemp("backed up") / "home"
    document = run_platform(home, "start", "--port", str(free_port()))
    yield home, document, fill(document)
    assert run_platform(home, "reset")["status"] == "reset"


@pytest.fixture(scope="module")
def backup(source, tmp_path_factory) -> Path:
    home, document, _ = source
    file = tmp_path_factory.mktemp("backups") / "mosaic backup.tgz"
    done = run_platform(home, "backup", str(file))
    assert (done["status"], done["file"], done["bytes"]) == ("backed up", str(file), file.stat().st_size)
    assert file.stat().st_mode & 0o777 == 0o600
    # The platform runs again as before.
    again = run_platform(home, "start")
    assert (again["status"], again["port"]) == ("running", document["port"])
    assert again["pid"] != document["pid"]
    return file


def test_everything_is_restored_into_an_empty_data_folder(source, backup, tmp_path) -> None:
    _, document, project_id = source
    home = tmp_path / "fresh home"
    try:
        restored = run_platform(home, "restore", str(backup))
        assert restored["status"] == "restored", restored
        assert run_platform(home, "status")["status"] == "stopped"
        started = run_platform(home, "start")
        assert started["api_key"] == document["api_key"]
        assert started["home_id"] != document["home_id"]
        assert started["port"] != document["port"]
        assert_kept(started, project_id)
        assert {path.name for path in home.iterdir()} & {"restore.json", "store.restored"} == set()

        with client(started) as api:
            api.post(f"/{project_id}/sql", json={"query": "DROP TABLE kept"})
        refused = run_platform(home, "restore", str(backup))
        assert refused["error"]["code"] == "home_not_empty"
        assert run_platform(home, "restore", str(backup), "--overwrite")["status"] == "restored"
        again = run_platform(home, "start")
        assert again["status"] == "running"
        assert_kept(again, project_id)
    finally:
        assert run_platform(home, "reset")["status"] == "reset"
    assert not list(home.glob("*.json"))


def test_an_existing_file_is_kept(source, backup) -> None:
    home, _, _ = source
    before = backup.stat()
    refused = run_platform(home, "backup", str(backup))
    assert refused["error"]["code"] == "backup_exists"
    assert backup.stat().st_mtime_ns == before.st_mtime_ns


def test_nothing_to_back_up(tmp_path) -> None:
    refused = run_platform(tmp_path / "never", "backup", str(tmp_path / "x"))
    assert refused["error"]["code"] == "nothing_to_back_up"
    assert list(tmp_path.glob("x*")) == []


@pytest.mark.parametrize("harm", ["cut off", "64 bytes", "one bit", "empty", "text", "missing"])
def test_a_damaged_backup_changes_nothing(source, backup, tmp_path, harm) -> None:
    """Also when restored over a running platform, which keeps running."""
    home, _, _ = source
    content = backup.read_bytes()
    middle = len(content) // 2
    damaged = {
        "cut off": content[: len(content) - 200],
        "64 bytes": content[:middle] + bytes(64) + content[middle + 64 :],
        # In the CRC: elsewhere one bit may decompress to the same content.
        "one bit": content[:-8] + bytes([content[-8] ^ 1]) + content[-7:],
        "empty": b"",
        "text": b"hello\n" * 1000,
    }
    file = tmp_path / "damaged"
    if harm in damaged:
        file.write_bytes(damaged[harm])
    refused = run_platform(home, "restore", str(file), "--overwrite")
    expected = "backup_unreadable" if harm == "missing" else "backup_damaged"
    assert (refused["exit_code"], refused["error"]["code"]) == (1, expected)
    document = run_platform(home, "start")
    assert document["status"] == "running"
    assert not list(home.glob("*.restored"))
    with client(document) as api:
        assert len(api.get("/projects").json()["projects"]) == 1


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"format": 2}, "backup_too_new"),
        ({"system": "Plan9 mips"}, "backup_of_another_system"),
        ({"postgres": "12"}, "postgres_version_changed"),
        ({"state": {}}, "backup_damaged"),
        ({"state": [1]}, "backup_damaged"),
        ({"created_at": None}, "backup_damaged"),
        ({"system": ["Linux"]}, "backup_damaged"),
        ({"postgres": 18}, "backup_damaged"),
        # Every digest is right, but there are no databases.
        ({}, "backup_damaged"),
    ],
)
def test_an_incompatible_backup_is_refused(backup, tmp_path, changed, code) -> None:
    file = tmp_path / "elsewhere"
    write_archive(file, {**read_metadata(backup), **changed}, {})
    refused = run_platform(tmp_path / "home", "restore", str(file))
    assert (refused["exit_code"], refused["error"]["code"]) == (1, code)
    assert not (tmp_path / "home" / "state.json").exists()


def test_a_full_disk_leaves_no_partial_file(source, tmp_path) -> None:
    """A real failure: this process may not write files above 1 MB."""
    home, _, _ = source
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "from mosaic_deploy.platform.daemon import archive; write = archive.write_archive\n"
        "def limited(*args, **more):\n"
        " resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))\n"
        " try: return write(*args, **more)\n"
        " finally: resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "from mosaic_deploy.platform.daemon import backup; backup.write_archive = limited\n"
        "from mosaic_deploy.platform.__main__ import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "backup", str(tmp_path / "backup")],
        env={**os.environ, "MOSAIC_HOME": str(home)}, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert json.loads(done.stdout)["error"]["code"] == "backup_failed", done.stderr
    assert list(tmp_path.iterdir()) == []
    assert run_platform(home, "start")["status"] == "running"


def test_a_restore_killed_while_replacing_is_finished_by_the_next_start(source, backup, tmp_path) -> None:
    """Once restore.json is written, every later start uses the restored data."""
    _, _, project_id = source
    home = tmp_path / "killed"
    code = (
        "import os, signal, sys\n"
        "from mosaic_deploy.platform.daemon import backup\nfrom mosaic_deploy.platform.machine import state_folder as home\n"
        "write = home.write_private_json\n"
        "def dying(path, document):\n"
        " write(path, document)\n"
        " if path.name == 'restore.json': os.kill(os.getpid(), signal.SIGKILL)\n"
        "home.write_private_json = dying\n"
        "from mosaic_deploy.platform.__main__ import main; sys.exit(main())"
    )
    try:
        killed = subprocess.run(
            [sys.executable, "-c", code, "restore", str(backup)],
            env={**os.environ, "MOSAIC_HOME": str(home)}, capture_output=True, check=False, timeout=100,
        )  # fmt: skip
        assert killed.returncode == -signal.SIGKILL
        assert (home / "restore.json").stat().st_mode & 0o777 == 0o600
        assert_kept(run_platform(home, "start"), project_id)
        assert not (home / "restore.json").exists()
    finally:
        assert run_platform(home, "reset")["status"] == "reset"


# The archive format.


@pytest.fixture
def tree(tmp_path) -> Path:
    folder = tmp_path / "tree"
    (folder / "empty").mkdir(parents=True)
    (folder / "a").write_bytes(b"a" * 3_000_000)
    (folder / "empty file").write_bytes(b"")
    (folder / "left out").write_bytes(b"x")
    (folder / ("long " * 40)).write_bytes(b"long")
    return folder


def test_an_archive_round_trip(tree, tmp_path) -> None:
    file = tmp_path / "file"
    size = write_archive(
        file, {"a": "ü"}, {"t": tree, "none": tmp_path / "none"}, exclude=frozenset({"t/left out"})
    )
    assert size == file.stat().st_size
    assert read_metadata(file) == {"a": "ü"}
    extract_archive(file, {"t": tmp_path / "out", "none": tmp_path / "none"})
    extracted = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*")}
    assert extracted == {"empty", "a", "empty file", "long " * 40}
    assert (tmp_path / "out" / "a").read_bytes() == (tree / "a").read_bytes()
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


@pytest.mark.parametrize("name", ["t/../x", "../x", "/etc/x", "t//x", "other/x", "t/.", "x"])
def test_members_outside_their_tree_are_refused(tree, tmp_path, name, monkeypatch) -> None:
    def walk(_root: str, folder: Path):
        yield name, folder / "a"

    monkeypatch.setattr(archive, "_walk", walk)
    write_archive(tmp_path / "file", {}, {"t": tree})
    with pytest.raises(ArchiveDamaged, match="unexpected member"):
        extract_archive(tmp_path / "file", {"t": tmp_path / "deep" / "out"})
    assert not list(tmp_path.rglob("x"))


def test_symlinks_are_refused(tmp_path) -> None:
    with tarfile.open(tmp_path / "file", "w:gz") as tar:
        entry = tarfile.TarInfo("t/link")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(entry)
    with pytest.raises(ArchiveDamaged):
        extract_archive(tmp_path / "file", {"t": tmp_path / "out"})


@pytest.mark.parametrize("failing", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_no_file(tree, tmp_path, monkeypatch, failing) -> None:
    def fail(_handle: int) -> None:
        raise failing

    monkeypatch.setattr(archive.os, "fsync", fail)
    with pytest.raises(type(failing)):
        write_archive(tmp_path / "file", {}, {"t": tree})
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


def test_a_restored_platform_that_does_not_start_keeps_its_data(tmp_path, monkeypatch) -> None:
    """Under root, where PostgreSQL's folder may be outside the state folder."""
    home, shared = tmp_path / "home", tmp_path / "shared"
    data = tmp_path / "data"
    data.mkdir()
    (data / "PG_VERSION").write_text("18")
    (tmp_path / "store").mkdir()
    state = state_folder.new_state(tmp_path)
    trees = {"store": tmp_path / "store", "postgres": data}
    write_archive(tmp_path / "backup.tgz", backups._build_metadata(state, data), trees)
    for module in (os_user, postgres_owner):
        monkeypatch.setattr(module, "SHARED_FOLDER", shared)
    monkeypatch.setattr(os_user, "choose_postgres_folder", lambda _home, _user: shared / "new")
    monkeypatch.setattr(backups, "_check_postgres_version", lambda _folder, _metadata: None)
    monkeypatch.setattr(state_folder, "is_locked", lambda _path: True)
    monkeypatch.setattr(backups, "stop_all", lambda _folder: None)

    def fail(*_arguments: object) -> None:
        raise ProcessFault("start_failed", "the platform doesn't start")

    monkeypatch.setattr(backups, "launch_daemon", fail)
    with pytest.raises(ProcessFault, match="doesn't start"):
        backups.restore(home, tmp_path / "backup.tgz")
    assert (shared / "new" / "data" / "PG_VERSION").read_text() == "18"
    restored = state_folder.read_state(home)
    assert restored is not None
    assert restored.postgres_folder == str(shared / "new")
