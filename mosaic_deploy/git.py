"""Asks git about the repository that a folder is in. Git only reads, and starts no program that a repository names.

Git takes a folder with HEAD, objects and refs for a repository, too. Such a folder can be committed to another repository,
with a config that names programs. So commands run where a `.git` is, with settings that exclude other repositories.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_TIMEOUT = 10.0
_SAFE_SETTINGS = ("safe.bareRepository=explicit", "core.fsmonitor=false", "core.hooksPath=/dev/null")
_OTHER_REPOSITORY = frozenset(
    {"GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_SHALLOW_FILE"}
)
"""Variables that git sets for hooks: they name the hook's repository, not that of the folder."""
_SAFE_ENVIRONMENT = {
    "LC_ALL": "C",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
}


def repository_root(folder: Path) -> Path | None:
    """The folder with the `.git` of the repository that `folder` is in."""
    absolute = folder.resolve()
    return next((each for each in (absolute, *absolute.parents) if (each / ".git").exists()), None)


def path_in_repository(root: Path, file: Path) -> str:
    """The path of `file` as the repository at `root` has it; a link isn't followed."""
    return (file.parent.resolve().relative_to(root) / file.name).as_posix()


def run_git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str] | None:
    """A command that reads the repository at `root`, which has a `.git`; None if there is no git, or it takes too long."""
    environ = {name: value for name, value in os.environ.items() if name not in _OTHER_REPOSITORY}
    settings = [word for setting in _SAFE_SETTINGS for word in ("-c", setting)]
    try:
        return subprocess.run(
            ["git", *settings, "-C", str(root), *arguments],
            capture_output=True, timeout=_TIMEOUT, check=False, stdin=subprocess.DEVNULL, text=True, errors="replace",
            env={**environ, **_SAFE_ENVIRONMENT},
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
