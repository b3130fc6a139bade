"""`mosaic-deploy login --keyring` and `logout`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The keyring's file."""
    return tmp_path / "ring.json"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config/mosaic-deploy/keys.json"


@pytest.fixture
def env(platform, tmp_path: Path, kept: Path) -> dict[str, str]:
    return {
        "MOSAIC_API_URL": platform.url,
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "PYTHONPATH": str(ROOT),
        "PYTHON_KEYRING_BACKEND": "tests.cli.file_keyring.FileKeyring",
        "TEST_KEYRING": str(kept),
    }


def test_login_with_the_keyring(run, platform, env, kept, file) -> None:
    refused = run("login", "--keyring", env=env, input="mk_wrong\n")
    assert refused.returncode == 1
    assert not kept.exists()
    assert not file.exists()
    ended = run("login", "--keyring", "-o", "json", env=env, input=f"{platform.api_key}\n")
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert (document["file"], document["keyring"]) == (None, "file keyring FileKeyring")
    assert platform.api_key not in ended.stdout + ended.stderr + file.read_text()
    assert platform.api_key in kept.read_text()
    assert run("projects", "list", env=env).returncode == 0
    assert run("logout", env=env).stdout == f"Logged out. API key for {platform.url} deleted\n"
    assert platform.api_key not in kept.read_text() + file.read_text()
    assert run("projects", "list", env=env).returncode == 1
    assert run("logout", env=env).stdout.startswith("No API key saved for")


def test_the_key_is_stored_in_one_place(run, platform, env, kept, file) -> None:
    key = f"{platform.api_key}\n"
    assert run("login", env=env, input=key).returncode == 0
    assert platform.api_key in file.read_text()
    assert run("login", "--keyring", env=env, input=key).returncode == 0
    assert platform.api_key not in file.read_text()
    assert run("login", env=env, input=key).returncode == 0
    assert platform.api_key in file.read_text()
    assert platform.api_key not in kept.read_text()


def test_the_environment_overrides_the_saved_key(run, platform, env, tmp_path: Path) -> None:
    run("login", "--keyring", env=env, input=f"{platform.api_key}\n")
    (tmp_path / ".env").write_text("MOSAIC_API_KEY=mk_wrong\n")
    assert "error[unauthorized]" in run("projects", "list", env=env).stderr
    whole = {**env, "MOSAIC_API_KEY": platform.api_key}
    assert run("projects", "list", env=whole).returncode == 0


def test_a_locked_keyring_is_not_a_missing_key(run, platform, env, kept, file) -> None:
    run("login", "--keyring", env=env, input=f"{platform.api_key}\n")
    kept.with_name("locked").touch()
    for command in (["projects", "list"], ["logout"]):
        failed = run(*command, env=env)
        assert failed.returncode == 1
        assert "error[key_store_failed]: can't read the system keyring: it is locked\n" in failed.stderr
    again = run("login", "--keyring", env=env, input=f"{platform.api_key}\n")
    assert "error[key_store_failed]: can't save the key in the system keyring: it is locked\n" in again.stderr
    kept.with_name("locked").unlink()
    assert run("projects", "list", env=env).returncode == 0


def test_a_keyring_that_stores_nothing_is_an_error(run, platform, env, file) -> None:
    for backend, said in (
        ("null", "didn't store the key"),
        ("fail", "can't save the key in the system keyring: No recommended"),
    ):
        whole = {**env, "PYTHON_KEYRING_BACKEND": f"keyring.backends.{backend}.Keyring"}
        failed = run("login", "--keyring", env=whole, input=f"{platform.api_key}\n")
        assert failed.returncode == 1
        assert said in failed.stderr
        assert "Traceback" not in failed.stderr
        assert not file.exists()


def test_logout_deletes_a_key_that_only_the_keyring_has(run, platform, env, kept, file) -> None:
    run("login", "--keyring", env=env, input=f"{platform.api_key}\n")
    file.unlink()
    assert run("logout", env=env).stdout == f"Logged out. API key for {platform.url} deleted\n"
    assert platform.api_key not in kept.read_text()


def test_logout_does_not_open_an_unused_keyring(run, platform, env, kept) -> None:
    run("login", env=env, input=f"{platform.api_key}\n")
    kept.with_name("locked").touch()
    assert run("logout", env=env).stdout == f"Logged out. API key for {platform.url} deleted\n"


def test_a_missing_keyring_package_suggests_its_installation(run, env, tmp_path: Path) -> None:
    hidden = "import sys\nsys.modules['keyring'] = None\n"
    (tmp_path / "sitecustomize.py").write_text(hidden)
    path = os.pathsep.join([str(tmp_path), env["PYTHONPATH"]])
    failed = run("login", "--keyring", env={**env, "PYTHONPATH": path}, input="mk_x\n")
    assert failed.returncode == 2
    assert "--keyring needs the package keyring; install it: pip install " in failed.stderr
