"""The GitHub workflow that `init --github` writes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

# By commit: what a tag names can change.
_CHECKOUT = "actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0"
PLACEHOLDER = "OWNER/mosaic-deploy@COMMIT"
"""Where the program isn't known to be on GitHub; a job stops at it and says that there is no such repository."""

_TEXT = f"""\
# Plans on pull requests, applies on push to the main branch.
# It needs your API key as the repository secret MOSAIC_API_KEY; update it when the key rotates.
name: Mosaic

on:
  pull_request:
  push:
    branches: [main]

permissions:
  contents: read
  pull-requests: write

# One at a time, and none is cancelled half-way.
concurrency:
  group: mosaic-${{{{ github.event_name == 'pull_request' && github.ref || 'deploy' }}}}
  cancel-in-progress: false

jobs:
  mosaic:
    runs-on: ubuntu-latest
    timeout-minutes: 60
    steps:
      - uses: {_CHECKOUT}
      # The deployer itself, by the commit that you trust. It plans for pull requests and applies for pushes.
      - uses: SOURCE_HERE
        with:
          path: PATH_HERE
          api-key: ${{{{ secrets.MOSAIC_API_KEY }}}}
"""


def workflow_text(path: str, source: str | None) -> str:
    """The workflow for a project at `path`, relative to the repository's root (`.` for the root itself).

    `source` is the deployer's own action, as `OWNER/REPOSITORY@COMMIT`.
    """
    # JSON's strings are YAML's, and what GitHub would take for an expression isn't one.
    written = json.dumps(path, ensure_ascii=False).replace("${{", "${{ '${{' }}")
    return _TEXT.replace("SOURCE_HERE", source or PLACEHOLDER).replace("PATH_HERE", written)


IGNORE_FILE = ".gitignore"
DOTENV_FILE = ".env"


def find_repository(folder: Path) -> Path | None:
    """The root of the git repository that holds `folder`."""
    whole = folder.resolve()
    return next((each for each in (whole, *whole.parents) if (each / ".git").exists()), None)


def is_tracked(folder: Path) -> bool:
    """Whether git follows `.env` already: no list of ignored files changes that."""
    return _run_git(folder, "ls-files", "--error-unmatch", DOTENV_FILE) == 0


def is_ignored(folder: Path) -> bool:
    """Whether git leaves `.env` out. Where git can't be asked, the file beside it answers."""
    code = _run_git(folder, "check-ignore", "--quiet", "--no-index", DOTENV_FILE)
    if code in (0, 1):
        return code == 0
    return DOTENV_FILE in {line.strip().lstrip("/") for line in _read_gitignore(folder).splitlines()}


def add_dotenv(text: str) -> str:
    """A list of ignored files, with `.env` at its end."""
    return f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{DOTENV_FILE}\n"


def _read_gitignore(folder: Path) -> str:
    try:
        return (folder / IGNORE_FILE).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _run_git(folder: Path, *arguments: str) -> int | None:
    try:
        ended = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, timeout=10, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return ended.returncode
