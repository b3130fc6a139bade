"""What `init` writes for git: the GitHub workflow, and `.env` in `.gitignore`."""

from __future__ import annotations

import json
from pathlib import Path

from mosaic_deploy.git import path_in_repository, repository_root, run_git

# By commit, because a tag can be moved.
_CHECKOUT = "actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0"
PLACEHOLDER = "OWNER/mosaic-deploy@COMMIT"
"""Used if this program's repository on GitHub isn't known; the job fails on it with a clear message."""

_TEXT = f"""\
# Plans on pull requests and applies on push to main.
# Needs your API key as the repository secret MOSAIC_API_KEY; update it when the key rotates.
name: Mosaic

on:
  pull_request:
  push:
    branches: [main]

permissions:
  contents: read
  pull-requests: write

# One run at a time; none is cancelled halfway.
concurrency:
  group: mosaic-${{{{ github.event_name == 'pull_request' && github.ref || 'deploy' }}}}
  cancel-in-progress: false

jobs:
  mosaic:
    runs-on: ubuntu-latest
    timeout-minutes: 60
    steps:
      - uses: {_CHECKOUT}
        with:
          fetch-depth: 0  # to tell whether a commit is older than the live one
      # The deployer, pinned to a commit that you trust. Plans on pull requests, applies on push.
      - uses: SOURCE_HERE
        with:
          path: PATH_HERE
          api-key: ${{{{ secrets.MOSAIC_API_KEY }}}}
"""


def workflow_text(path: str, source: str | None) -> str:
    """The workflow for a project at `path`, relative to the repository's root (`.` for the root itself).

    `source` is the deployer's own action, as `OWNER/REPOSITORY@COMMIT`.
    """
    # A JSON string is a YAML string. `${{` is escaped so that GitHub doesn't evaluate it.
    written = json.dumps(path, ensure_ascii=False).replace("${{", "${{ '${{' }}")
    return _TEXT.replace("SOURCE_HERE", source or PLACEHOLDER).replace("PATH_HERE", written)


IGNORE_FILE = ".gitignore"
DOTENV_FILE = ".env"


def is_tracked(folder: Path) -> bool:
    """Whether `.env` is tracked by git; then .gitignore has no effect on it."""
    return _git_code(folder, "ls-files", "--error-unmatch", "--", path=":(literal){}") == 0


def is_ignored(folder: Path) -> bool:
    """Whether git ignores `.env`. Without git, only the .gitignore in `folder` is read."""
    code = _git_code(folder, "check-ignore", "--quiet", "--no-index", "--", path="./{}")
    if code in (0, 1):
        return code == 0
    return DOTENV_FILE in {line.strip().lstrip("/") for line in _read_gitignore(folder).splitlines()}


def add_dotenv(text: str) -> str:
    """The text of a .gitignore with `.env` added."""
    return f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{DOTENV_FILE}\n"


def _read_gitignore(folder: Path) -> str:
    try:
        return (folder / IGNORE_FILE).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _git_code(folder: Path, *command: str, path: str) -> int | None:
    """The exit code of a git command about `.env` in `folder`, written as in `path`; None without a repository or git."""
    root = repository_root(folder)
    if root is None:
        return None
    ended = run_git(root, *command, path.format(path_in_repository(root, folder / DOTENV_FILE)))
    return ended.returncode if ended else None
