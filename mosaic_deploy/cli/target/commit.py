"""The deployed commit, for the deployment history."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

_CI_VARIABLES = ("GITHUB_SHA", "CI_COMMIT_SHA", "GIT_COMMIT")
"""Of GitHub, GitLab and Jenkins."""
_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def read_commit(folder: Path, environ: Mapping[str, str] = os.environ) -> str | None:
    """The commit checked out in `folder`'s repository, else that of the CI run, else None.

    A job may check out another commit than the one it runs for: a tag to go back to, or a branch that has moved on.
    Uncommitted edits aren't detected; the ledger has the digests of the deployed files.
    """
    with contextlib.suppress(OSError, ValueError):
        if head := _read_head(folder.resolve()):
            return head
    return next((environ[name] for name in _CI_VARIABLES if _HASH.fullmatch(environ.get(name, ""))), None)


def _read_head(folder: Path) -> str | None:
    """The checked-out commit, read from git's files without starting a process."""
    git = next((place / ".git" for place in (folder, *folder.parents) if (place / ".git").exists()), None)
    if git is None:
        return None
    if git.is_file():  # in a worktree or submodule it is a file with the path
        git = (git.parent / git.read_text().partition("gitdir:")[2].strip()).resolve()
    head = (git / "HEAD").read_text().strip()
    if _HASH.fullmatch(head):
        return head
    name = head.partition("ref:")[2].strip()
    shared = git / "commondir"
    common = (git / shared.read_text().strip()).resolve() if shared.exists() else git
    for place in (git / name, common / name):
        if place.is_file() and _HASH.fullmatch(found := place.read_text().strip()):
            return found
    return _read_packed_ref(common / "packed-refs", name)


def _read_packed_ref(file: Path, name: str) -> str | None:
    if not file.is_file():
        return None
    lines = (line.split() for line in file.read_text().splitlines())
    return next((words[0] for words in lines if len(words) == 2 and words[1] == name), None)
