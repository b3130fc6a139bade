"""The GitHub action and the workflows are valid, pinned and documented."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from mosaic_deploy.cli.commands.start.workflow import (
    PLACEHOLDER,
    Workflow,
    build_steps,
    workflow_targets,
    workflow_text,
)
from mosaic_deploy.git import default_branch
from mosaic_deploy.source.manifest.read import read_manifest_text

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
SOURCE = f"we/mosaic-deploy@{'0' * 40}"


def _run(program: str, *arguments: str) -> None:
    command = [str(Path(sys.executable).parent / program), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def _check(file: Path) -> None:
    _run("actionlint", str(file))
    _run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", str(file))


@pytest.mark.parametrize("source", [SOURCE, None])
@pytest.mark.parametrize("path", [".", "apps/my site", "it's", 'a "b"', "${{ x }}", "no", "é 🎉"])
def test_the_workflow_written_by_init(path: str, source: str | None, tmp_path: Path) -> None:
    file = tmp_path / "mosaic.yml"
    text = workflow_text(Workflow(path, source))
    file.write_text(text)
    assert (PLACEHOLDER in text) == (f"# Replace {PLACEHOLDER}" in text) == (source is None)
    _check(file)
    workflow = yaml.safe_load(file.read_text())
    assert workflow["concurrency"]["cancel-in-progress"] is False
    step = workflow["jobs"]["mosaic"]["steps"][-1]
    assert step["uses"] == (source or PLACEHOLDER)
    # A literal `${{` in the path is written as an expression that yields it.
    assert step["with"]["path"].replace("${{ '${{' }}", "${{") == path
    inputs = yaml.safe_load((ROOT / "action.yml").read_text())["inputs"]
    assert step["with"].keys() <= inputs.keys()


def _steps(command: str, folder: Path = Path(), **sections: object) -> tuple[list[str], str]:
    build = {"command": command, "output": "dist"}
    text = yaml.safe_dump({"version": 1, "build": build, "static": {}, **sections})
    return build_steps(read_manifest_text(text, folder))


@pytest.mark.parametrize(
    ("command", "files", "runs", "missing"),
    [
        ("npm run build", ["package-lock.json"], ["npm ci"], ""),
        ("npm run build", [], ["npm install"], ""),
        ("npx vite build", ["pnpm-lock.yaml"], ["npm install --global pnpm", "pnpm install --frozen-lockfile"], ""),
        ("yarn run build", ["yarn.lock", ".yarnrc.yml"], ["npm install --global corepack && corepack enable", "yarn install --immutable"], ""),
        ("yarn run build", ["yarn.lock"], ["npm install --global corepack && corepack enable", "yarn install --frozen-lockfile"], ""),
        ("bun run build", ["bun.lock", ".nvmrc"], ["npm install --global bun", "bun install --frozen-lockfile"], ""),
        ("mkdocs build", ["docs/requirements.txt"], ["-r docs/requirements.txt"], ""),
        ("sphinx-build -b html . dist", [], ["install --quiet sphinx"], ""),
        ("hugo --baseURL /", [], [], "hugo"),
        ("./build.sh", [], [], ""),
    ],
)  # fmt: skip
def test_the_workflow_installs_what_the_build_needs(
    command: str, files: list[str], runs: list[str], missing: str, tmp_path: Path
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    steps, needed = _steps(command, tmp_path)
    assert needed == missing
    file = tmp_path / "mosaic.yml"
    file.write_text(workflow_text(Workflow(".", SOURCE, build_steps=steps)))
    _run("actionlint", str(file))
    found = yaml.safe_load(file.read_text())["jobs"]["mosaic"]["steps"][1:-1]
    assert any("setup-node" in step.get("uses", "") for step in found) == (
        command[:3] in ("npm", "npx", "yar", "bun")
    )
    ran = [step["run"] for step in found if "run" in step]
    assert len(ran) == len(runs)
    assert all(part in whole for part, whole in zip(runs, ran, strict=True))


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({}, None),
        ({"package.json": "{}"}, None),
        ({"package.json": "[]"}, None),
        ({"package.json": '{"engines": {"node": ">=22"}}'}, "package.json"),
        ({"package.json": '{"volta": {"node": "22.1.0"}}', ".tool-versions": "ruby 3.4\n"}, "package.json"),
        ({".tool-versions": "nodejs 22.1.0\n"}, ".tool-versions"),
        ({".node-version": "22", "package.json": '{"engines": {"node": "20"}}'}, ".node-version"),
    ],
)
def test_the_workflow_has_the_node_that_the_project_names(
    files: dict[str, str], named: str | None, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    steps, _ = _steps("npm run build", tmp_path)
    found = yaml.safe_load("\n".join(steps))[0]["with"]
    assert found.get("node-version-file") == named
    assert ("node-version" in found) == (named is None)


def _git(folder: Path, *words: str) -> None:
    author = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    subprocess.run(["git", *author, *words], cwd=folder, check=True, capture_output=True)


def test_a_push_to_the_default_branch_deploys(tmp_path: Path) -> None:
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    assert default_branch(origin) == "main"
    _git(origin, "init", "-q", "-b", "trunk")
    assert default_branch(origin) == "trunk"
    _git(origin, "commit", "-q", "--allow-empty", "-m", "x")
    for branch, found in (("feature", "trunk"), ("master", "master"), ("main", "main")):
        _git(origin, "branch", branch)
        assert default_branch(origin) == found
    _git(tmp_path, "clone", "-q", str(origin), "clone")
    _git(clone, "checkout", "-q", "-b", "main")
    assert default_branch(clone) == "trunk"
    text = workflow_text(Workflow(".", SOURCE, branch="trunk"))
    (tmp_path / "mosaic.yml").write_text(text)
    _run("actionlint", str(tmp_path / "mosaic.yml"))
    assert yaml.safe_load(text)[True]["push"]["branches"] == ["trunk"]


@pytest.mark.parametrize(
    ("sections", "targets"),
    [
        ({"project": {"name": "a"}}, [""]),
        ({"project": {"name": "a"}, "environments": {"staging": {}}}, ["staging", ""]),
        ({"environments": {"production": {}, "staging": {}}}, ["staging", "production"]),
        ({"project": {"name": "a"}, "environments": {"live": {}, "my-test": {}}}, ["my-test", "live"]),
    ],
)
def test_the_workflow_has_a_job_per_environment(
    sections: dict[str, object], targets: list[str], tmp_path: Path
) -> None:
    found = workflow_targets(read_manifest_text(yaml.safe_dump({"version": 1, **sections}), tmp_path))
    assert found == targets
    file = tmp_path / "mosaic.yml"
    file.write_text(workflow_text(Workflow(".", SOURCE, found)))
    _run("actionlint", str(file))
    jobs = list(yaml.safe_load(file.read_text())["jobs"].values())
    assert [job["steps"][-1]["with"].get("env", "") for job in jobs] == targets
    labels = [job["steps"][-1]["with"].get("label", "") for job in jobs]
    assert len(set(labels)) == len(jobs)
    assert [job.get("needs") is not None for job in jobs] == [False, *([True] * (len(jobs) - 1))]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_the_workflows_of_this_repository(file: Path) -> None:
    _check(file)
    for job in yaml.safe_load(file.read_text())["jobs"].values():
        assert "uses" in job or job["timeout-minutes"]
        for step in job.get("steps", ()):
            assert "${{" not in step.get("run", "")


def test_only_the_publish_job_has_an_identity_token() -> None:
    assert [file.name for file in WORKFLOWS] == ["ci.yml", "release.yml"]
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
    allowed = {name: job.get("permissions") for name, job in workflow["jobs"].items()}
    assert workflow["permissions"] == {"contents": "read"}
    assert allowed == {
        "tests": None, "build": None, "publish": {"id-token": "write"}, "announce": {"contents": "write"},
    }  # fmt: skip
    publish = workflow["jobs"]["publish"]
    assert publish["environment"] == "pypi"
    assert set(publish["needs"]) == {"tests", "build"}
    assert not any("run" in step or "checkout" in step["uses"] for step in publish["steps"])


def test_the_action_is_valid(tmp_path: Path) -> None:
    _run("check-jsonschema", "--builtin-schema", "vendor.github-actions", str(ROOT / "action.yml"))


def test_actions_are_pinned() -> None:
    files = (ROOT / "action.yml", *WORKFLOWS)
    for text in (
        workflow_text(Workflow(".", SOURCE, build_steps=_steps("npm run build")[0])),
        *(file.read_text() for file in files),
    ):
        for action in re.findall(r"uses: ([^.\s]\S+)", text):
            assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action), action


def test_scripts_contain_no_expressions() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    for step in action["runs"]["steps"]:
        assert "${{" not in step.get("run", "")


@pytest.mark.parametrize("name", ["venv.py", "venv/__init__.py", "logging.py"])
def test_the_action_imports_nothing_of_the_repository(name: str, tmp_path: Path) -> None:
    """A step starts in the repository of the workflow."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(f"open({str(tmp_path / 'started')!r}, 'w')")
    install = _install_script()
    environ = {**os.environ, "PYTHON": sys.executable, "VENV": str(tmp_path / "made"), "PIP_NO_INDEX": "1"}
    create = install.splitlines()[0].replace("-m venv", "-m venv --without-pip")
    subprocess.run(["bash", "-ec", create], cwd=tmp_path, env=environ, check=True)
    assert (tmp_path / "made/bin/python").exists()
    assert not (tmp_path / "started").exists()


def test_inputs_and_outputs_are_documented() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    text = (ROOT / "docs/github.md").read_text()
    for name in (*action["inputs"], *action["outputs"]):
        assert f"`{name}`" in text, name


def test_the_requirements_contain_all_dependencies() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = _pinned("requirements.txt")
    assert _names(extras["dependencies"]) <= pinned
    local = _pinned("requirements-local.txt")
    assert _names(extras["optional-dependencies"]["local"]) <= pinned | local
    assert {"psycopg-binary"} <= local
    assert not pinned & local


def _pinned(file: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "action" / file).read_text(), re.MULTILINE))


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[><=,]", one)[0] for one in requirements}


@pytest.mark.parametrize(
    ("rehearse", "has_key", "installed"),
    [
        ("true", "true", ["requirements.txt", "requirements-local.txt"]),
        ("true", "false", ["requirements.txt"]),
        ("false", "true", ["requirements.txt"]),
        ("yes", "true", None),
    ],
)
def test_what_the_action_installs(
    rehearse: str, has_key: str, installed: list[str] | None, tmp_path: Path
) -> None:
    script = _install_script().partition("\n")[2]
    log = tmp_path / "log"
    _write_program(tmp_path / "bin/pip", f'echo "$@" >> {log}')
    environ = {**os.environ, "VENV": str(tmp_path), "ACTION": "/a", "REHEARSE": rehearse, "HAS_KEY": has_key}
    ended = subprocess.run(["bash", "-ec", script], env=environ, capture_output=True, text=True, check=False)
    if installed is None:
        assert (ended.returncode, ended.stdout) == (
            2,
            "::error title=mosaic-deploy::rehearse must be true or false\n",
        )
        return
    assert ended.returncode == 0, ended.stderr
    *_, last, own = [line.split() for line in log.read_text().splitlines()]
    assert [word.removeprefix("/a/action/") for word in last if word.startswith("/a/")] == installed
    assert own[-1] == "/a"


def test_a_runner_without_packages_for_rehearsals_is_warned(tmp_path: Path) -> None:
    _write_program(tmp_path / "bin/pip", 'case "$*" in *requirements-local*) exit 1 ;; esac')
    environ = {**os.environ, "VENV": str(tmp_path), "ACTION": "/a", "REHEARSE": "true", "HAS_KEY": "true"}
    script = _install_script().partition("\n")[2]
    ended = subprocess.run(["bash", "-ec", script], env=environ, capture_output=True, text=True, check=True)
    assert ended.stdout.startswith(
        "::warning title=mosaic-deploy::the packages for rehearsals can't be installed"
    )


def _install_script() -> str:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    (install,) = (step["run"] for step in action["runs"]["steps"] if "Install" in step.get("name", ""))
    return str(install)


def _write_program(file: Path, body: str) -> None:
    file.parent.mkdir()
    file.write_text(f"#!/bin/bash\n{body}\n")
    file.chmod(0o755)
