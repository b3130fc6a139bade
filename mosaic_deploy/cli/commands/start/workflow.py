"""The GitHub workflow that `init --github` writes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mosaic_deploy.git import repository_root
from mosaic_deploy.model.manifest import BuildSpec, Manifest
from mosaic_deploy.source.detection.packages import LOCK_FILES, lock_file

# By commit, because a tag can be moved.
_CHECKOUT = "actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0"
_SETUP_NODE = "actions/setup-node@a0853c24544627f65ddf259abe73b1d18a591444 # v5.0.0"
PLACEHOLDER = "OWNER/mosaic-deploy@COMMIT"
"""Used if this program's repository on GitHub isn't known; the job fails on it with a clear message."""
_EXPLAINED = f"""\
      # Replace {PLACEHOLDER} with the repository of mosaic-deploy on GitHub, and a commit of it that you trust.
      # Until then, the job stops here with "repository not found".
"""

_HEAD = """\
# Plans on pull requests and applies on push to {branch}.
# Needs your API key as the repository secret MOSAIC_API_KEY; update it when the key rotates.
name: Mosaic

on:
  pull_request:
  push:
    branches: [{listed_branch}]

permissions:
  contents: read
  pull-requests: write

# One run at a time; none is cancelled halfway.
concurrency:
  group: mosaic-${{ github.event_name == 'pull_request' && github.ref || 'deploy' }}
  cancel-in-progress: false

jobs:
"""
_JOB_HEAD = f"""\
    runs-on: ubuntu-latest
    timeout-minutes: 60
    steps:
      - uses: {_CHECKOUT}
        with:
          fetch-depth: 0  # to tell whether a commit is older than the live one
"""
_INSTALLS = {
    "npm": ("npm ci", "npm install"),
    "pnpm": ("pnpm install --frozen-lockfile", "pnpm install"),
    "yarn": ("yarn install --immutable", "yarn install"),
    "bun": ("bun install --frozen-lockfile", "bun install"),
}
"""Per package manager: what installs the packages of a lock file, and without one."""
_RUNNERS = {"npx": "npm", "bunx": "bun", "node": "npm"}
_FROM_PYPI = {"mkdocs": "mkdocs", "sphinx-build": "sphinx", "pelican": "pelican[markdown]"}


@dataclass(frozen=True, slots=True)
class Workflow:
    """What the workflow deploys. `path` is the project's, relative to the repository's root (`.` for the root itself).

    `source` is the deployer's own action, as `OWNER/REPOSITORY@COMMIT`. `targets` are names of environments, deployed in this
    order, each if those before it succeeded; an empty one is the manifest without any. `build_steps` are the lines of the
    steps that install what the build needs. A push to `branch` deploys.
    """

    path: str
    source: str | None = None
    targets: Sequence[str] = ("",)
    build_steps: Sequence[str] = ()
    branch: str = "main"


def workflow_text(workflow: Workflow) -> str:
    """The text of the workflow file."""
    name = workflow.branch
    listed = name if re.fullmatch(r"[A-Za-z][A-Za-z0-9_/.-]*", name) else _yaml(name)
    head = _HEAD.replace("{branch}", name).replace("{listed_branch}", listed)
    return head + "\n".join(_jobs(workflow))


def _jobs(workflow: Workflow) -> Iterator[str]:
    before = ""
    for target in workflow.targets:
        name = _job_name(target)
        needs = f"    needs: {before}\n" if before else ""
        steps = "".join(f"      {line}\n" for line in workflow.build_steps)
        with_lines = [f"path: {_yaml(workflow.path)}", "api-key: ${{ secrets.MOSAIC_API_KEY }}"]
        if target:
            with_lines[1:1] = [f"env: {_yaml(target)}"]
        if len(workflow.targets) > 1:
            with_lines.append(f"label: {_yaml(target or 'base')}")
        inputs = "".join(f"          {line}\n" for line in with_lines)
        yield (
            f"  {name}:\n{needs}{_JOB_HEAD}{steps}"
            f"      # The deployer, pinned to a commit that you trust. Plans on pull requests, applies on push.\n"
            f"{'' if workflow.source else _EXPLAINED}"
            f"      - uses: {workflow.source or PLACEHOLDER}\n        with:\n{inputs}"
        )
        before = name


def _job_name(target: str) -> str:
    """A job's ID: letters, digits, `-` and `_`."""
    return f"mosaic-{re.sub(r'[^A-Za-z0-9_-]+', '-', target)}" if target else "mosaic"


def _yaml(text: str) -> str:
    # A JSON string is a YAML string. `${{` is escaped so that GitHub doesn't evaluate it.
    return json.dumps(text, ensure_ascii=False).replace("${{", "${{ '${{' }}")


def workflow_targets(manifest: Manifest) -> list[str]:
    """What to deploy: the environments, and the manifest without any if it names a project; what is in production last."""
    production = [name for name in manifest.environments if name.lower().startswith(("prod", "live"))]
    others = [name for name in manifest.environments if name not in production]
    base = not production and bool(manifest.project.id or manifest.project.name)
    return [*others, *([""] if base else []), *production] or [""]


def build_steps(manifest: Manifest) -> tuple[list[str], str]:
    """The lines of the steps that install what the build needs, and the name of a program that the user has to install."""
    build = manifest.build
    if build is None:
        return [], ""
    words = build.command if isinstance(build.command, str) else " ".join(build.command)
    first = next(iter(words.split()), "")
    manager = _RUNNERS.get(first, first)
    if manager in _INSTALLS:
        return list(_package_steps(manifest, build, manager)), ""
    if first in _FROM_PYPI:
        return list(_python_steps(manifest, build, _FROM_PYPI[first])), ""
    if first in ("sh", "bash", "make", "python3", "cp", "echo", "mkdir", "cat", "sed", "./build.sh"):
        return [], ""
    return [f"# Install {json.dumps(first, ensure_ascii=False)} here: the build needs it."], first


def _package_steps(manifest: Manifest, build: BuildSpec, manager: str) -> Iterator[str]:
    lock = lock_file(manifest.root, build.dir)
    if manager == "npm" and lock:
        manager = LOCK_FILES[lock.name]
    folder = lock.parent if lock else (manifest.root / build.dir).resolve()
    yield f"- uses: {_SETUP_NODE}"
    yield "  with:"
    if version := _node_version_file(folder):
        yield f"    node-version-file: {_yaml(_in_repository(manifest.root, version))}"
    else:
        yield "    node-version: lts/*"
    yield "    package-manager-cache: false"
    if manager in ("pnpm", "bun"):
        yield f"- run: npm install --global {manager}"
    elif manager == "yarn":
        yield "- run: npm install --global corepack && corepack enable"
    install = _INSTALLS[manager][0 if lock else 1]
    if manager == "yarn" and not (folder / ".yarnrc.yml").is_file():
        install = install.replace("--immutable", "--frozen-lockfile")
    yield f"- run: {install}"
    yield from _in_folder(manifest.root, folder)


def _node_version_file(folder: Path) -> Path | None:
    """The file that says which Node the packages in `folder` need, as setup-node reads it."""
    for name in (".nvmrc", ".node-version"):
        if (folder / name).is_file():
            return folder / name
    if re.search(r"^nodejs\s", _text(folder / ".tool-versions"), re.MULTILINE):
        return folder / ".tool-versions"
    try:
        package = json.loads(_text(folder / "package.json"))
        named = [package.get(name, {}).get("node") for name in ("volta", "engines")]
    except (ValueError, AttributeError):
        return None
    return folder / "package.json" if any(isinstance(each, str) for each in named) else None


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except (OSError, ValueError):
        return ""


def _python_steps(manifest: Manifest, build: BuildSpec, package: str) -> Iterator[str]:
    folder = (manifest.root / build.dir).resolve()
    listed = ("requirements.txt", "requirements-docs.txt", "docs/requirements.txt")
    file = next((name for name in listed if (folder / name).is_file()), None)
    yield "- run: |"
    yield '    python3 -m venv "$RUNNER_TEMP/build"'
    yield f'    "$RUNNER_TEMP/build/bin/pip" install --quiet {f"-r {file}" if file else package}'
    yield '    echo "$RUNNER_TEMP/build/bin" >> "$GITHUB_PATH"'
    yield from _in_folder(manifest.root, folder)


def _in_folder(root: Path, folder: Path) -> Iterator[str]:
    place = _in_repository(root, folder)
    if place != ".":
        yield f"  working-directory: {_yaml(place)}"


def _in_repository(root: Path, path: Path) -> str:
    top = repository_root(root) or root.resolve()
    return os.path.relpath(path, top).replace(os.sep, "/")
