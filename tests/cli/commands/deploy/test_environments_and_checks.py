"""Commands for a project without a manifest, with environments, and with checks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ENVIRONMENTS = """\
version: 1
static: {dir: public}
environments:
  staging: {project: {name: staging of NAME}}
  production: {project: {name: production of NAME}, policy: {destructive: deny}}
"""


@pytest.fixture
def with_environments(tmp_path: Path) -> Path:
    (tmp_path / "public").mkdir()
    (tmp_path / "public/index.html").write_text("hello")
    (tmp_path / "mosaic.yaml").write_text(ENVIRONMENTS.replace("NAME", tmp_path.name))
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        ("plan",),
        ("apply", "--yes"),
        ("status",),
        ("verify",),
        ("sql", "select 1"),
        ("plan", "--project", "x"),
        ("status", "--project", "x"),
    ],
)
def test_a_forgotten_environment_is_an_error(run, with_environments: Path, command: tuple[str, ...]) -> None:
    ended = run(*command, "--local", "-o", "json")
    assert ended.returncode == 1
    error = json.loads(ended.stdout)["error"]
    assert error["code"] == "environment_required"
    assert error["message"] == "mosaic.yaml has environments, so choose one: staging, production"
    assert error["location"]["line"] == 3
    assert [each["command"].rpartition("--env ")[2] for each in error["next_actions"]] == [
        "staging",
        "production",
    ]


def test_another_environment_of_the_same_project_is_a_warning(run, with_environments: Path) -> None:
    manifest = with_environments / "mosaic.yaml"
    manifest.write_text(manifest.read_text().replace("production of", "staging of"))
    (with_environments / "public/index.html").write_text("staging")
    assert run("apply", "--local", "--yes", "--env", "staging").returncode == 0

    def warned(*options: str) -> list[str]:
        notes = json.loads(run("plan", "--local", *options, "-o", "json").stdout)["notes"]
        return [note["message"] for note in notes if note["code"] == "environment_differs"]

    was = "this project was last deployed with environment staging, now with"
    assert warned("--env", "staging") == []
    assert warned("--env", "production") == [
        f"{was} environment production; each replaces what the other deployed"
    ]
    manifest.write_text(manifest.read_text() + f"project: {{name: staging of {with_environments.name}}}\n")
    assert warned() == [f"{was} no environment; each replaces what the other deployed"]


def test_an_environment_is_chosen_or_not_needed(run, with_environments: Path) -> None:
    assert run("validate").returncode == 0
    assert f"staging of {with_environments.name}" in run("plan", "--local", "--env", "staging").stdout
    planned = run("plan", "--local", env={"MOSAIC_ENV": "production"}).stdout
    assert f"production of {with_environments.name}" in planned
    manifest = with_environments / "mosaic.yaml"
    manifest.write_text(manifest.read_text() + f"project: {{name: base of {with_environments.name}}}\n")
    shown = run("plan", "--local").stdout
    assert f"base of {with_environments.name}" in shown
    assert (
        "! no environment is chosen, so this makes a project of its own; for staging, production pass --env NAME"
        in shown
    )


def test_the_embedded_platform_gives_no_id_to_pin(run, folder: Path) -> None:
    applied = run("apply", "--local", "--yes")
    assert applied.returncode == 0
    assert "Pin" not in applied.stdout
    created = run("projects", "create", "--local", f"another {folder.name}")
    assert created.returncode == 0
    assert "Pin" not in created.stdout


@pytest.fixture
def project_id(run, folder: Path) -> str:
    assert run("apply", "--local", "--yes").returncode == 0
    return str(json.loads(run("status", "--local", "-o", "json").stdout)["project"]["id"])


COMMANDS = [
    ("sql", "select 1"),
    ("credentials",),
    ("status",),
    ("storage", "ls"),
    ("history",),
    ("open", "--print"),
]


def test_a_project_id_needs_no_manifest(run, project_id: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty folder"
    empty.mkdir()
    for command in COMMANDS:
        ended = run(*command, "--local", "--project", project_id, cwd=empty)
        assert ended.returncode == 0, (command, ended.stderr)
    assert run("status", "--local", env={"MOSAIC_PROJECT_ID": project_id}, cwd=empty).returncode == 0
    sent = run(
        "auth", "send-link", "a@example.com", "--redirect", "/", "--local", "--project", project_id, cwd=empty
    )
    assert sent.returncode == 0, sent.stderr
    assert not list(empty.iterdir())
    missing = run("sql", "select 1", "--local", cwd=empty)
    assert missing.returncode == 1
    assert "hint: run this in a folder with a mosaic.yaml, or pass --project ID" in missing.stderr
    assert "mosaic-deploy projects list --local" in missing.stderr
    refused = run("plan", "--local", "--project", project_id, cwd=empty)
    assert "error[manifest_missing]" in refused.stderr, "there is nothing to deploy"


def test_a_project_id_needs_no_valid_manifest(run, project_id: str, folder: Path) -> None:
    (folder / "mosaic.yaml").write_text("version: 1\nproject: {name: '${UNSET}'}\n")
    assert run("sql", "select 1", "--local", "--project", project_id).returncode == 0
    assert "error[manifest_invalid]" in run("sql", "select 1", "--local").stderr
    assert "error[manifest_invalid]" in run("status", "--local", "--project", project_id).stderr


def test_the_folder_is_an_argument_or_an_option(run, folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert run("validate", "--in", "..", cwd=elsewhere).returncode == 0
    assert run("validate", "..", cwd=elsewhere).returncode == 0
    assert run("plan", "--local", "--in", str(folder / "mosaic.yaml"), cwd=elsewhere).returncode == 0
    assert run("doctor", "..", "--local", cwd=elsewhere).returncode == 0
    twice = run("validate", "..", "--in", ".", cwd=elsewhere)
    assert (twice.returncode, "PATH is given twice: .. and --in ." in twice.stderr) == (2, True)


VERIFY = """\
verify:
  http:
    - {path: /, contains: hello, max_ms: 60000}
  sql:
    - {query: SELECT count(*) FROM t, value: 0}
"""


def test_verify_runs_all_checks(run, folder: Path) -> None:
    manifest = folder / "mosaic.yaml"
    assert "error[checks_not_configured]: mosaic.yaml has no checks" in run("verify", "--local").stderr
    manifest.write_text(manifest.read_text() + VERIFY)
    absent = run("verify", "--local")
    assert (absent.returncode, "error[project_not_found]" in absent.stderr) == (1, True)
    assert run("apply", "--local", "--yes").returncode == 0
    passed = run("verify", "--local")
    assert passed.returncode == 0
    assert passed.stdout.splitlines()[-1] == "2 checks: 2 passed"
    assert "ok    SELECT count(*) FROM t: 0" in passed.stdout
    run("sql", "--local", "insert into t values (1)")
    failed = run("verify", "--local", "--wait", "0.1", "-o", "json")
    assert failed.returncode == 1
    document = json.loads(failed.stdout)
    assert (document["type"], document["passed"]) == ("verify", False)
    assert [each["status"] for each in document["checks"]] == ["passed", "failed"]
    assert document["checks"][1]["message"] == "the value is 1, expected 0"
    assert document["checks"][1]["location"] == {"file": "mosaic.yaml", "line": 12, "column": 15}


def test_an_apply_reports_all_failed_checks(run, folder: Path) -> None:
    with (folder / "mosaic.yaml").open("a") as manifest:
        manifest.write(
            "verify:\n  sql:\n    - {query: select 1, value: 2}\n    - {query: select 3, value: 4}\n"
        )
    for state in ("committed", "none"):
        error = json.loads(run("apply", "--local", "--yes", "-o", "json").stdout)["error"]
        assert (error["code"], error["message"]) == ("verify_failed", "2 checks failed")
        assert [problem["location"]["line"] for problem in error["problems"]] == [10, 11]
        assert error["mutation_state"] == state
        assert error["hint"].startswith("everything in the plan was applied") is (state == "committed")


def test_nothing_is_compared_without_a_manifest(run, project_id: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    options = ("status", "--local", "--project", project_id)
    ended = run(*options, cwd=elsewhere)
    assert ended.returncode == 0
    assert ended.stdout.endswith("Nothing was compared, because there is no manifest here.\n")
    assert json.loads(run(*options, "-o", "json", cwd=elsewhere).stdout)["pending"] is None


def test_failed_checks_are_pending_until_they_pass(run, folder: Path) -> None:
    """Also for `plan` and `status`, which pipelines ask whether an apply is needed."""
    manifest = folder / "mosaic.yaml"
    without_checks = manifest.read_text()
    failing = "verify: {http: [{path: /, method: POST, status: 200}]}\n"
    manifest.write_text(without_checks + failing)
    assert run("apply", "--local", "--yes").returncode == 1

    def exit_codes() -> list[int]:
        commands = (("status",), ("plan",), ("ci", "plan"))
        return [run(*command, "--local", "--detailed-exitcode").returncode for command in commands]

    assert exit_codes() == [2, 2, 2]
    shown = run("status", "--local").stdout
    assert "No changes, but the checks in verify haven't passed." in shown
    assert "status 405, expected 200" in shown
    assert "next: run the checks in verify:  mosaic-deploy apply --local" in shown
    [action] = json.loads(run("status", "--local", "-o", "json").stdout)["next_actions"]
    assert action["command"] == "mosaic-deploy apply --local -o json --yes"
    planned = run("plan", "--local").stdout
    assert (
        "! the checks in verify didn't pass in the last deploy; `mosaic-deploy apply --local` runs them again"
        in planned
    )
    assert "up to date" not in planned
    outputs = folder / "outputs"
    run("ci", "plan", "--local", env={"GITHUB_OUTPUT": str(outputs)})
    name, value, *_ = outputs.read_text().splitlines()
    assert (name.startswith("changes<<"), value) == (True, "true")

    manifest.write_text(without_checks + failing.replace("200", "405"))
    assert "changed since" not in run("plan", "--local").stdout, "they have never passed"
    assert run("apply", "--local", "--yes").returncode == 0
    assert exit_codes() == [0, 0, 0]
    manifest.write_text(without_checks + failing)
    assert "the checks in verify changed since they last passed" in run("plan", "--local").stdout
    assert exit_codes() == [2, 2, 2]
