"""`login`, `doctor`, `projects` and completion, as users run them."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from tests.cli.conftest import read_json

HERE = ("--local",)


def test_a_rejected_key_suggests_where_to_get_one(run, platform, folder: Path) -> None:
    refused = run("login", env={"MOSAIC_API_URL": platform.url}, input="mk_wrong\n")
    assert refused.returncode == 1
    assert "error[unauthorized]" in refused.stderr
    assert "`mosaic-deploy local key` prints the embedded platform's key" in refused.stderr


def test_projects_are_listed_and_created(run, folder: Path) -> None:
    made = read_json(run("projects", "create", f"made {folder}", *HERE, "-o", "json"))
    assert made["status"] == "running"
    listed = run("projects", "list", *HERE)
    assert any(line.startswith(made["id"]) for line in listed.stdout.splitlines())


def test_a_project_with_a_taken_name_is_not_created(run, folder: Path) -> None:
    name = f"it's made twice {folder}"
    made = read_json(run("projects", "create", name, *HERE, "-o", "json"))
    again = run("projects", "create", name, *HERE, "-o", "json")
    assert again.returncode == 1
    error = json.loads(again.stdout)["error"]
    assert (error["code"], error["mutation_state"]) == ("project_exists", "none")
    assert made["id"] in error["message"]
    commands = [action["command"] for action in error["next_actions"]]
    assert commands == [f"mosaic-deploy apply --project {made['id']} --local -o json --yes"]
    shown = run("projects", "create", name, *HERE).stderr
    assert "plan" not in shown
    assert name in [
        each["name"] for each in read_json(run("projects", "list", *HERE, "-o", "json"))["projects"]
    ]


def test_a_missing_project_is_reported(run, folder: Path) -> None:
    missing = run("storage", "ls", *HERE)
    assert missing.returncode == 1
    assert "error[project_not_found]" in missing.stderr
    assert "mosaic-deploy apply --local" in missing.stderr


def test_login_checks_saves_and_uses_the_key(run, platform, folder: Path, tmp_path: Path) -> None:
    env = {"MOSAIC_API_URL": platform.url, "XDG_CONFIG_HOME": str(tmp_path / "config")}
    refused = run("login", env=env, input="mk_wrong\n")
    assert refused.returncode == 1
    assert not (tmp_path / "config").exists()
    kept = run("login", env=env, input=f"{platform.api_key}\n")
    assert kept.returncode == 0
    assert platform.api_key not in kept.stdout + kept.stderr
    file = tmp_path / "config/mosaic-deploy/keys.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run("projects", "list", env=env).returncode == 0
    assert run("logout", env=env).stdout == f"Logged out. API key for {platform.url} deleted\n"
    assert run("projects", "list", env=env).returncode == 1


def test_a_damaged_key_file_is_named(run, platform, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "config/mosaic-deploy/keys.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    env = {"MOSAIC_API_URL": platform.url, "XDG_CONFIG_HOME": str(tmp_path / "config")}
    failed = run("projects", "list", env=env)
    assert failed.returncode == 1
    assert f"can't read {file}: not valid JSON" in failed.stderr


def test_doctor_is_ok_after_a_deploy(run, deployed: Path) -> None:
    found = run("doctor", *HERE, "-o", "json")
    assert found.returncode == 0
    assert {each["status"] for each in json.loads(found.stdout)["findings"]} == {"ok"}


def test_doctor_shows_what_stops_a_deploy(run, folder: Path, tmp_path: Path) -> None:
    (folder / "mosaic.yaml").write_text("version: 2\n")
    (folder / ".env").write_text("MOSAIC_API_KEY=mk_x\n")
    (folder / ".env").chmod(0o644)
    env = {"MOSAIC_API_URL": "http://127.0.0.1:9", "XDG_CONFIG_HOME": str(tmp_path / "config")}
    found = run("doctor", "-o", "json", env=env)
    assert found.returncode == 1
    verdicts = {each["subject"]: each["status"] for each in json.loads(found.stdout)["findings"]}
    assert verdicts["manifest"] == "fail"
    assert verdicts[".env"] == "warn"
    assert verdicts["API"] == "fail"
    cures = {each["subject"]: each["fix"] for each in json.loads(found.stdout)["findings"]}
    assert cures["API"].endswith("mosaic-deploy doctor --local")
    assert "mk_x" not in found.stdout


def test_doctor_suggests_init_without_a_manifest(run, tmp_path: Path) -> None:
    (tmp_path / "an app").mkdir()
    found = json.loads(run("doctor", "--in", "an app", "-o", "json").stdout)["findings"]
    cures = {each["subject"]: each["fix"] for each in found}
    assert cures["manifest"] == "mosaic-deploy init 'an app'"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_call_the_program(run, shell: str) -> None:
    assert "_MOSAIC_DEPLOY_COMPLETE" in run("completion", shell).stdout


def test_completion_completes(run) -> None:
    env = {"_MOSAIC_DEPLOY_COMPLETE": "bash_complete", "COMP_WORDS": "mosaic-deploy mig", "COMP_CWORD": "1"}
    assert run(env=env).stdout == "plain,migrate\n"


@pytest.mark.parametrize(
    "words",
    [["storage", "ls", "a"], ["auth", "send-link", "a@b.c"], ["sql", "select 1"]],
)
def test_a_path_argument_suggests_the_in_option(run, words: list[str]) -> None:
    refused = run(*words, "my site")
    assert refused.returncode == 2
    assert "Unexpected argument 'my site'. Did you mean --in 'my site'?" in refused.stderr
