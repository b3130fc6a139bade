"""The action and the workflows are what GitHub takes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mosaic_deploy.cli.workflow import workflow_text

ROOT = Path(__file__).parents[1]


def _run(program: str, *arguments: str) -> None:
    command = [str(Path(sys.executable).parent / program), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("path", [".", "apps/my site", "it's"])
def test_the_workflow_that_init_writes(path: str, tmp_path: Path) -> None:
    file = tmp_path / "mosaic.yml"
    file.write_text(workflow_text(path))
    _run("actionlint", str(file))
    _run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", str(file))
    assert yaml.safe_load(file.read_text())["concurrency"]["cancel-in-progress"] is False


def test_the_action(tmp_path: Path) -> None:
    _run("check-jsonschema", "--builtin-schema", "vendor.github-actions", str(ROOT / "action.yml"))


def test_everything_is_pinned() -> None:
    for text in (workflow_text("."), (ROOT / "action.yml").read_text()):
        for used in re.findall(r"uses: (\S+)", text):
            assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", used), used


def test_no_input_is_pasted_into_a_script() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    for step in action["runs"]["steps"]:
        assert "${{" not in step.get("run", "")


def test_what_is_documented_is_what_there_is() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    text = (ROOT / "docs/github.md").read_text()
    for name in (*action["inputs"], *action["outputs"]):
        assert f"`{name}`" in text, name


def test_the_requirements_are_those_of_the_package() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    pinned = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "action/requirements.txt").read_text(), re.MULTILINE))
    wanted = re.search(r"^dependencies = \[(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    assert wanted
    names = re.findall(r'^ {4}"([a-z0-9-]+)', wanted.group(1), re.MULTILINE)
    assert names
    assert set(names) <= pinned
